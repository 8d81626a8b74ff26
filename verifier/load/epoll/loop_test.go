package epoll

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/gorilla/websocket"
)

func TestStateIsSmallAndWithoutPointers(t *testing.T) {
	if n := unsafe.Sizeof(conn{}); n > 40 {
		t.Errorf("a connection keeps %d bytes", n)
	}
}

// client is a handler that notes everything; onMessage may answer.
type client struct {
	mu        sync.Mutex
	open      map[int]int // times opened
	messages  map[int][]string
	ends      []string
	stamped   int
	late      int // messages that the kernel claims to have had after us
	onOpen    func(*Loop, int)
	onMessage func(*Loop, int, string) error
	opened    atomic.Int64
	ended     atomic.Int64
	received  atomic.Int64
}

func (c *client) Opened(l *Loop, id int, began int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[id]++
	if began <= 0 || began > l.Now() {
		c.ends = append(c.ends, "began in the future")
	}
	if c.onOpen != nil {
		c.onOpen(l, id)
	}
	c.opened.Add(1)
}

func (c *client) Message(l *Loop, id int, m Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages[id] = append(c.messages[id], string(m.Payload))
	if m.Arrived != 0 {
		c.stamped++
	}
	if m.Arrived > m.Read {
		c.late++
	}
	c.received.Add(1)
	if c.onMessage != nil {
		return c.onMessage(l, id, string(m.Payload))
	}
	return nil
}

func (c *client) Ended(_ int, opened bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends = append(c.ends, fmt.Sprintf("%t %v", opened, err))
	c.ended.Add(1)
}

func (c *client) sawEnd(text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Contains(strings.Join(c.ends, "\n"), text)
}

// start runs a loop until the test ends, and checks that nothing is left of it.
func start(t *testing.T, n int, target string, c *client, change func(*Options)) (*Loop, func()) {
	t.Helper()
	c.open, c.messages = map[int]int{}, map[int][]string{}
	o := Options{
		Connections: n, Targets: []netip.AddrPort{netip.MustParseAddrPort(target)}, Path: func() string { return "/ws?token=t" },
		Window: 64, HandshakeTimeout: 5 * time.Second, Backoff: func(int) time.Duration { return 20 * time.Millisecond },
		Settled: time.Minute, ReceiveBuffer: 32 << 10, Limit: testLimit, Goodbye: 2 * time.Second,
	}
	if change != nil {
		change(&o)
	}
	l, err := New(o, c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil || l.live != 0 || l.wheel.n != 0 {
				t.Errorf("ended with %v, %d sockets, %d timers", err, l.live, l.wheel.n)
			}
		case <-time.After(20 * time.Second):
			t.Error("the loop does not end")
		}
	})
	t.Cleanup(stop)
	return l, stop
}

func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.Listener.Addr().String()
}

// Against gobwas: fragments with control frames in between, pongs that echo, a masked answer, close codes.
func TestAgainstGobwas(t *testing.T) {
	const n = 50
	var pongs, answers, byes atomic.Int64
	var from [3]atomic.Int64 // by source address: 127.0.1.1, 127.0.1.2, another
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		switch host {
		case "127.0.1.1":
			from[0].Add(1)
		case "127.0.1.2":
			from[1].Add(1)
		default:
			from[2].Add(1)
		}
		if r.URL.Query().Get("token") != "t" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		c, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = c.Write(aConversation[:len(aConversation)-19]) // all but the close
		for {
			f, err := ws.ReadFrame(c)
			if err != nil {
				return
			}
			if !f.Header.Masked || f.Header.Rsv != 0 {
				t.Errorf("a frame that no client may send: %+v", f.Header)
			}
			f = ws.UnmaskFrameInPlace(f)
			switch f.Header.OpCode {
			case ws.OpPong:
				if string(f.Payload) == "p" {
					pongs.Add(1)
				}
			case ws.OpText:
				if string(f.Payload) == "thanks" {
					answers.Add(1)
				}
			case ws.OpClose:
				if code, _ := ws.ParseCloseFrameData(f.Payload); code == 1000 {
					byes.Add(1)
				}
				_ = ws.WriteFrame(c, ws.NewCloseFrame(f.Payload))
				return
			}
		}
	})
	c := &client{onMessage: func(l *Loop, id int, s string) error {
		if s == "one" {
			return l.Send(id, []byte("thanks"))
		}
		return nil
	}}
	_, stop := start(t, n, addr, c, func(o *Options) {
		o.Sources = []netip.Addr{netip.MustParseAddr("127.0.1.1"), netip.MustParseAddr("127.0.1.2")}
	})
	wait(t, "pongs, answers and all messages", func() bool { return pongs.Load() == n && answers.Load() == n && c.received.Load() == 4*n })
	stop()
	if from[0].Load() != n/2 || from[1].Load() != n/2 || from[2].Load() != 0 {
		t.Errorf("source addresses: %d and %d, %d from elsewhere", from[0].Load(), from[1].Load(), from[2].Load())
	}
	if byes.Load() != n {
		t.Errorf("%d said goodbye", byes.Load())
	}
	for id := range n {
		if got := c.messages[id]; got[1] != "two-ñ" || len(got[2]) != 300 || len(got[3]) != 70000 {
			t.Errorf("connection %d got %.40q", id, got)
		}
	}
	// The kernel turns stamping on a moment after the first socket asks for it (net_enable_timestamp works deferred).
	if c.late > 0 || c.stamped > 4*n || c.stamped == 0 || len(c.ends) != 0 {
		t.Errorf("%d stamps, %d in the future, ends %v", c.stamped, c.late, c.ends)
	}
}

// Against gorilla, which closes a connection whose frames are not as they must be.
func TestAgainstGorilla(t *testing.T) {
	const n = 20
	var echoed, pongs, closed atomic.Int64
	up := websocket.Upgrader{}
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		c.SetPongHandler(func(string) error { pongs.Add(1); return nil })
		_ = c.WriteControl(websocket.PingMessage, []byte("x"), time.Now().Add(time.Second))
		_ = c.WriteMessage(websocket.TextMessage, []byte("say it again"))
		if _, b, err := c.ReadMessage(); err == nil && string(b) == "say it again" {
			echoed.Add(1)
		}
		_ = c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4001, "enough"), time.Now().Add(time.Second))
		if _, _, err := c.ReadMessage(); websocket.IsCloseError(err, 4001) {
			closed.Add(1)
		}
	})
	c := &client{onMessage: func(l *Loop, id int, s string) error { return l.Send(id, []byte(s)) }}
	start(t, n, addr, c, nil)
	wait(t, "echoes, pongs and close echoes", func() bool { return echoed.Load() >= n && pongs.Load() >= n && closed.Load() >= n })
	wait(t, "the close code, and coming back after it", func() bool { return c.sawEnd("true closed with 4001 enough") && c.opened.Load() >= 2*n })
}

// What a server may not send is answered by the right close code and counted, and the connection comes back.
func TestProtocolErrorsAreAnswered(t *testing.T) {
	codes := make(chan ws.StatusCode, 64)
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		c, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			return
		}
		defer c.Close()
		_ = wsutil.WriteServerText(c, []byte{0xff, 0xfe})
		if f, err := ws.ReadFrame(c); err == nil {
			code, _ := ws.ParseCloseFrameData(ws.UnmaskFrame(f).Payload)
			select {
			case codes <- code:
			default:
			}
		}
	})
	c := &client{}
	start(t, 1, addr, c, nil)
	for range 2 {
		select {
		case code := <-codes:
			if code != codeText {
				t.Errorf("answered by %d", code)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("no answer")
		}
	}
	if !c.sawEnd("text that is not UTF-8") {
		t.Errorf("%v", c.ends)
	}
}

// A storm: all are cut at once and all come back.
func TestCutAllComeBack(t *testing.T) {
	const n = 300
	var resets atomic.Int64
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		c, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			return
		}
		defer c.Close()
		if _, _, err := wsutil.ReadClientData(c); errors.Is(err, syscall.ECONNRESET) {
			resets.Add(1)
		}
	})
	c := &client{}
	l, _ := start(t, n, addr, c, nil)
	wait(t, "all open", func() bool { return c.opened.Load() == n })
	l.Cut()
	wait(t, "all back", func() bool { return c.opened.Load() == 2*n })
	if c.ended.Load() != n || resets.Load() != n {
		t.Errorf("%d ended, %d resets", c.ended.Load(), resets.Load())
	}
}

// Attempts that fail: refused, answered 503, an answer in single bytes, and one that never comes.
func TestAttempts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := l.Addr().String()
	_ = l.Close()
	c := &client{}
	start(t, 2, gone, c, nil)
	wait(t, "refusals", func() bool { return c.sawEnd("false connect: connection refused") && c.ended.Load() > 4 })

	var shakes atomic.Int64
	full := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if shakes.Add(1) <= 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _, _, _ = ws.UpgradeHTTP(r, w)
	})
	c2 := &client{}
	start(t, 1, full, c2, nil)
	wait(t, "success after three refusals", func() bool {
		return c2.opened.Load() == 1 && c2.ended.Load() == 3 && c2.sawEnd("false handshake answered 503")
	})

	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	c3 := &client{}
	start(t, 1, silent.Addr().String(), c3, func(o *Options) { o.HandshakeTimeout = 50 * time.Millisecond })
	wait(t, "the handshake's timeout", func() bool { return c3.sawEnd("false i/o timeout") })

	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		answer := fmt.Sprintf("HTTP/1.1 101 x\r\nupgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", acceptOf(r.Header.Get("Sec-WebSocket-Key")))
		for _, b := range append([]byte(answer), ws.MustCompileFrame(ws.NewTextFrame([]byte("bit by bit")))...) {
			_, _ = conn.Write([]byte{b})
			time.Sleep(50 * time.Microsecond)
		}
	})
	c4 := &client{}
	start(t, 1, addr, c4, nil)
	wait(t, "the message", func() bool { return c4.received.Load() == 1 })
}

// The handler's own deadline ends a connection that does not do what it should.
func TestHandlersDeadline(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _, _, _ = ws.UpgradeHTTP(r, w) })
	c := &client{onOpen: func(l *Loop, id int) {
		l.Deadline(id, 30*time.Millisecond)
		if id == 1 {
			l.Deadline(id, 0)
		}
	}}
	start(t, 2, addr, c, nil)
	wait(t, "the deadline", func() bool { return c.sawEnd("true i/o timeout") })
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[1] != 1 {
		t.Errorf("the one whose deadline was taken back was opened %d times", c.open[1])
	}
}

// A client whose socket does not take everything at once loses nothing.
func TestWritesThatDoNotFit(t *testing.T) {
	const size = 3 << 20
	got := make(chan int, 1)
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		c, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			return
		}
		defer c.Close()
		time.Sleep(20 * time.Millisecond)
		n := 0
		for range 2 {
			b, _, err := wsutil.ReadClientData(c)
			if err != nil {
				break
			}
			n += len(b)
		}
		got <- n
	})
	c := &client{onOpen: func(l *Loop, id int) {
		_ = l.Send(id, make([]byte, size))
		_ = l.Send(id, []byte("and more"))
	}}
	start(t, 1, addr, c, nil)
	select {
	case n := <-got:
		if n != size+8 {
			t.Errorf("%d bytes arrived", n)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nothing arrived")
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	fds := func() int { l, _ := os.ReadDir("/proc/self/fd"); return len(l) }
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		c, _, _, err := ws.UpgradeHTTP(r, w)
		if err == nil {
			_, _, _ = wsutil.ReadClientData(c)
			_ = c.Close()
		}
	})
	files, routines := fds(), runtime.NumGoroutine()
	for range 3 {
		c := &client{}
		_, stop := start(t, 50, addr, c, nil)
		wait(t, "all open", func() bool { return c.opened.Load() == 50 })
		stop()
	}
	wait(t, "files and goroutines to be as before", func() bool { return fds() <= files+1 && runtime.NumGoroutine() <= routines+3 })
}

func TestWheel(t *testing.T) {
	conns := make([]conn, 4)
	for i := range conns {
		conns[i] = conn{next: none, prev: none}
	}
	w := newWheel(5 * slotTime)
	var fired []int32
	w.set(conns, 0, 7*slotTime)
	w.set(conns, 1, 7*slotTime+1)
	w.set(conns, 2, (7+slots)*slotTime) // a turn later, in the same slot
	w.set(conns, 3, 1)                  // past
	w.set(conns, 1, 7*slotTime+2)       // again
	w.clear(conns, 0)
	for _, at := range []int64{6, 7, 8, 7 + slots, 9 + slots} {
		w.advance(conns, at*slotTime, func(id int32) { fired = append(fired, id, int32(at)) })
	}
	if got := fmt.Sprint(fired); got != fmt.Sprintf("[3 6 1 8 2 %d]", 9+slots) || w.n != 0 {
		t.Errorf("fired %s, %d left", got, w.n)
	}
	w.set(conns, 0, w.at*slotTime+5*slots*slotTime)
	w.advance(conns, (w.at+100*slots)*slotTime, func(int32) { w.n += 10 })
	if w.n != 10 {
		t.Errorf("after a long sleep: %d", w.n)
	}
}
