package verifier

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// fakeRedis is enough of a Redis server (and sentinel) for probes and canaries, on a real socket, with faults.
type fakeRedis struct {
	t        *testing.T
	l        net.Listener
	password string

	mu       sync.Mutex
	data     map[string]string
	replicas []*fakeRedis // writes go to them as well
	role     string       // master | slave
	link     string       // of a slave
	offset   int64
	refuse   string                   // answer to SET, such as READONLY …
	held     chan struct{}            // not nil: every command waits until it is closed
	forget   func(key string) bool    // acknowledge this SET without doing it
	primary  func() string            // as a sentinel: host:port
	conns    map[net.Conn]bool        //
	seen     map[string]int           // commands by name
	wg       sync.WaitGroup           //
	change   func(k, v string) string // what is really stored
	streams  map[string][]fakeEntry
	swallow  func(seq string) bool // store this XADD and break the connection instead of answering
}

// fakeEntry is one entry of a stream.
type fakeEntry struct {
	id     string
	fields []string
}

func newFakeRedis(t *testing.T, cfg *tls.Config) *fakeRedis {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if cfg != nil {
		l = tls.NewListener(l, cfg)
	}
	f := &fakeRedis{t: t, l: l, data: map[string]string{}, streams: map[string][]fakeEntry{}, role: "master", link: "connected", conns: map[net.Conn]bool{}, seen: map[string]int{}}
	f.wg.Go(f.accept)
	t.Cleanup(f.stop)
	return f
}

func (f *fakeRedis) addr() string { return f.l.Addr().String() }

func (f *fakeRedis) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeRedis) count(command string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen[command]
}

func (f *fakeRedis) keys() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.data))
}

// stop closes the listener and every connection: from then on dials are refused.
func (f *fakeRedis) stop() {
	_ = f.l.Close()
	f.cut()
	f.wg.Wait()
}

// cut breaks every connection.
func (f *fakeRedis) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		_ = c.Close()
	}
}

func (f *fakeRedis) accept() {
	for {
		c, err := f.l.Accept()
		if err != nil {
			return
		}
		f.set(func() { f.conns[c] = true })
		f.wg.Go(func() { f.serve(c) })
	}
}

func (f *fakeRedis) serve(c net.Conn) {
	defer func() { _ = c.Close(); f.set(func() { delete(f.conns, c) }) }()
	r := &respConn{c: c, r: bufio.NewReader(c)}
	authed := false
	f.set(func() { authed = f.password == "" })
	for {
		v, err := r.read()
		args, ok := v.([]any)
		if err != nil || !ok {
			return
		}
		words := make([]string, len(args))
		for i, a := range args {
			words[i] = fmt.Sprint(a)
		}
		f.mu.Lock()
		held := f.held
		f.seen[words[0]]++
		f.mu.Unlock()
		if held != nil {
			<-held
		}
		answer := f.answer(words, &authed)
		if answer == "" {
			return
		}
		if _, err := c.Write([]byte(answer)); err != nil {
			return
		}
	}
}

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

func (f *fakeRedis) answer(w []string, authed *bool) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w[0] == "AUTH" {
		if w[len(w)-1] != f.password {
			return "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
		}
		*authed = true
		return "+OK\r\n"
	}
	if !*authed {
		return "-NOAUTH Authentication required.\r\n"
	}
	switch w[0] {
	case "PING":
		return "+PONG\r\n"
	case "SET":
		if f.refuse != "" {
			return "-" + f.refuse + "\r\n"
		}
		f.store(w[1], w[2])
		return "+OK\r\n"
	case "GET":
		return f.get(w[1])
	case "MGET":
		out := fmt.Sprintf("*%d\r\n", len(w)-1)
		for _, k := range w[1:] {
			out += f.get(k)
		}
		return out
	case "XADD":
		return f.xadd(w)
	case "XRANGE":
		return f.xrange(w)
	case "PEXPIRE":
		return ":1\r\n"
	case "UNLINK":
		for _, k := range w[1:] {
			delete(f.data, k)
			delete(f.streams, k)
			for _, r := range f.replicas {
				r.set(func() { delete(r.data, k); delete(r.streams, k) })
			}
		}
		return fmt.Sprintf(":%d\r\n", len(w)-1)
	case "SCAN":
		return f.scanPage(w)
	case "ROLE":
		if f.role == "master" {
			return fmt.Sprintf("*3\r\n+master\r\n:%d\r\n*%d\r\n%s", f.offset, len(f.replicas), strings.Repeat("+x\r\n", len(f.replicas)))
		}
		return fmt.Sprintf("*5\r\n+slave\r\n+h\r\n:1\r\n+%s\r\n:%d\r\n", f.link, f.offset)
	case "SENTINEL":
		if f.primary == nil {
			return "*-1\r\n"
		}
		h, p, _ := net.SplitHostPort(f.primary())
		return "*2\r\n" + bulk(h) + bulk(p)
	}
	return "-ERR unknown command '" + w[0] + "'\r\n"
}

func (f *fakeRedis) get(k string) string {
	v, ok := f.data[k]
	if !ok {
		return "$-1\r\n"
	}
	return bulk(v)
}

func (f *fakeRedis) store(k, v string) {
	if f.forget != nil && f.forget(k) {
		return
	}
	if f.change != nil {
		v = f.change(k, v)
	}
	f.data[k] = v
	for _, r := range f.replicas {
		r.set(func() { r.data[k] = v })
	}
}

// loseTwoChangeOne acknowledges the seventh and the eighth write without doing them and changes the tenth's value. It counts
// writes, for a number may be left out where the machine was too busy to send it in time.
func (f *fakeRedis) loseTwoChangeOne() {
	stored, kept := 0, 0
	f.set(func() {
		f.forget = func(string) bool {
			stored++
			return stored == 7 || stored == 8
		}
		f.change = func(_, v string) string {
			if kept++; kept == 8 {
				return v + "x"
			}
			return v
		}
	})
}

// all are the keys of every type.
func (f *fakeRedis) all() map[string]bool {
	out := map[string]bool{}
	for k := range f.data {
		out[k] = true
	}
	for k := range f.streams {
		out[k] = true
	}
	return out
}

// scanPage answers SCAN in two pages, the second with every key twice, as the real one may.
func (f *fakeRedis) scanPage(w []string) string {
	var hit []string
	for _, k := range slices.Sorted(maps.Keys(f.all())) {
		if ok, _ := path.Match(w[3], k); ok {
			hit = append(hit, k)
		}
	}
	half, next := hit[:len(hit)/2], "7"
	if cursor, _ := strconv.Atoi(w[1]); cursor != 0 {
		half, next = hit[len(hit)/2:], "0"
		half = slices.Concat(half, half)
	}
	out := "*2\r\n" + bulk(next) + fmt.Sprintf("*%d\r\n", len(half))
	for _, k := range half {
		out += bulk(k)
	}
	return out
}

// xadd appends to a stream and to the replicas' copies.
func (f *fakeRedis) xadd(w []string) string {
	if f.refuse != "" {
		return "-" + f.refuse + "\r\n"
	}
	e := fakeEntry{id: fmt.Sprintf("17-%06d", f.seen["XADD"]), fields: slices.Clone(w[3:])}
	if f.forget != nil && f.forget(w[1]+":"+w[4]) {
		return bulk(e.id)
	}
	if f.change != nil {
		e.fields[len(e.fields)-1] = f.change(w[1]+":"+w[4], e.fields[len(e.fields)-1])
	}
	f.streams[w[1]] = append(f.streams[w[1]], e)
	for _, r := range f.replicas {
		r.set(func() { r.streams[w[1]] = append(r.streams[w[1]], e) })
	}
	if f.swallow != nil && f.swallow(w[4]) {
		return ""
	}
	return bulk(e.id)
}

func (f *fakeRedis) xrange(w []string) string {
	after, exclusive := strings.CutPrefix(w[2], "(")
	limit, _ := strconv.Atoi(w[5])
	out, n := "", 0
	for _, e := range f.streams[w[1]] {
		if exclusive && e.id <= after || n == limit {
			continue
		}
		n++
		out += "*2\r\n" + bulk(e.id) + fmt.Sprintf("*%d\r\n", len(e.fields))
		for _, x := range e.fields {
			out += bulk(x)
		}
	}
	return fmt.Sprintf("*%d\r\n", n) + out
}

func (f *fakeRedis) entries(key string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.streams[key])
}
