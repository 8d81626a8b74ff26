package calibrate

import (
	"bufio"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/eevans-d/simulacro/drills"
)

// act is what the store does with one write.
type act uint8

const (
	obey      act = iota
	refuse        // answered with an error, before any effect
	breakOff      // not done, and the connection is cut without an answer
	doAndHide     // done, and the connection is cut without an answer
)

// ack is one write that was acknowledged.
type ack struct {
	key, value string
	at         drills.Span // CLOCK_MONOTONIC just before and just after the answer was handed to the kernel
}

// store speaks as much of Redis' protocol as a canary needs: one primary and one replica that has every write before it is
// acknowledged. What it acknowledged and what it holds are known exactly.
type store struct {
	primary, replica *storeMember

	mu      sync.Mutex
	next    func(key string) act // decides the fate of a write; called under the lock
	acked   []ack
	refused []ack
	hidden  int // writes without an answer, done or not
	offset  int
	changed chan struct{} // closed and replaced at every acknowledgement
}

// storeMember is one address of the store with data of its own.
type storeMember struct {
	store *store
	l     net.Listener
	data  map[string]string // under the store's lock

	mu    sync.Mutex
	conns map[net.Conn]bool
	shut  bool
	work  sync.WaitGroup
}

// startStore listens on two addresses of this host.
func startStore(next func(key string) act) (*store, error) {
	s := &store{next: next, changed: make(chan struct{})}
	for _, m := range []**storeMember{&s.primary, &s.replica} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			s.close()
			return nil, drills.Wrap(drills.Blocked, err, "the calibration's store cannot listen", "")
		}
		*m = &storeMember{store: s, l: l, data: map[string]string{}, conns: map[net.Conn]bool{}}
		(*m).work.Go((*m).accept)
	}
	return s, nil
}

func (s *store) members() []*storeMember { return []*storeMember{s.primary, s.replica} }

func (s *store) close() {
	for _, m := range s.members() {
		if m != nil {
			m.close()
		}
	}
}

func (m *storeMember) addr() string { return m.l.Addr().String() }

func (m *storeMember) close() {
	_ = m.l.Close()
	m.mu.Lock()
	m.shut = true
	for c := range m.conns {
		_ = c.Close()
	}
	m.mu.Unlock()
	m.work.Wait()
}

func (m *storeMember) accept() {
	for {
		c, err := m.l.Accept()
		if err != nil {
			return
		}
		m.mu.Lock()
		if m.shut {
			_ = c.Close()
		} else {
			m.conns[c] = true
			m.work.Go(func() { m.serve(c) })
		}
		m.mu.Unlock()
	}
}

func (m *storeMember) serve(c net.Conn) {
	defer func() {
		m.mu.Lock()
		delete(m.conns, c)
		m.mu.Unlock()
		_ = c.Close()
	}()
	in := bufio.NewReader(c)
	for {
		words, err := readCommand(in)
		if err != nil {
			return
		}
		if strings.EqualFold(words[0], "SET") && len(words) >= 3 {
			if !m.store.set(c, words[1], words[2]) {
				return
			}
			continue
		}
		if _, err := c.Write([]byte(m.answer(words))); err != nil {
			return
		}
	}
}

// set takes a write. The answer is handed to the kernel under the lock (a few bytes into an empty buffer: it does not
// block), so that the order of acks is the order of acknowledgements.
func (s *store) set(c net.Conn, key, value string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	do := s.next(key)
	if do == refuse {
		s.refused = append(s.refused, ack{key: key, value: value})
		_, err := c.Write([]byte("-OOM command not allowed when used memory > 'maxmemory'.\r\n"))
		return err == nil
	}
	if do != breakOff {
		s.offset++
		for _, m := range s.members() {
			m.data[key] = value
		}
	}
	if do != obey {
		s.hidden++
		return false
	}
	from := drills.Monotonic()
	_, err := c.Write([]byte("+OK\r\n"))
	s.acked = append(s.acked, ack{key: key, value: value, at: stamp(from)})
	close(s.changed)
	s.changed = make(chan struct{})
	return err == nil
}

func (m *storeMember) answer(w []string) string {
	s := m.store
	s.mu.Lock()
	defer s.mu.Unlock()
	switch strings.ToUpper(w[0]) {
	case "PING":
		return "+PONG\r\n"
	case "ROLE":
		return m.role()
	case "MGET":
		var out []string
		for _, k := range w[1:] {
			out = append(out, m.get(k))
		}
		return respArray(out)
	case "GET":
		if len(w) == 2 {
			return m.get(w[1])
		}
	case "UNLINK", "DEL":
		for _, k := range w[1:] {
			for _, each := range s.members() {
				delete(each.data, k)
			}
		}
		return fmt.Sprintf(":%d\r\n", len(w)-1)
	case "SCAN":
		return m.scan(w)
	}
	return "-ERR unknown command '" + w[0] + "'\r\n"
}

func (m *storeMember) role() string {
	if m == m.store.primary {
		return fmt.Sprintf("*3\r\n$6\r\nmaster\r\n:%d\r\n*1\r\n$7\r\nreplica\r\n", m.store.offset)
	}
	return fmt.Sprintf("*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:1\r\n$9\r\nconnected\r\n:%d\r\n", m.store.offset)
}

func (m *storeMember) get(key string) string {
	v, ok := m.data[key]
	if !ok {
		return respNil
	}
	return respBulk(v)
}

// scanPage is how many keys a page of SCAN has.
const scanPage = 100

// scan answers in pages, and gives the first key of a page a second time, as Redis may: a key that SCAN gives twice is there once.
func (m *storeMember) scan(w []string) string {
	prefix := ""
	for i := 2; i+1 < len(w); i += 2 {
		if strings.EqualFold(w[i], "MATCH") {
			prefix = strings.ReplaceAll(strings.TrimSuffix(w[i+1], "*"), `\`, "")
		}
	}
	var hit []string
	for _, k := range slices.Sorted(maps.Keys(m.data)) {
		if strings.HasPrefix(k, prefix) {
			hit = append(hit, k)
		}
	}
	from := 0
	if len(w) > 1 {
		from, _ = strconv.Atoi(w[1])
	}
	from = min(max(from, 0), len(hit))
	to := min(from+scanPage, len(hit))
	next := "0"
	if to < len(hit) {
		next = strconv.Itoa(to)
	}
	var keys []string
	for i, k := range hit[from:to] {
		keys = append(keys, respBulk(k))
		if i == 0 {
			keys = append(keys, respBulk(k))
		}
	}
	return respArray([]string{respBulk(next), respArray(keys)})
}
