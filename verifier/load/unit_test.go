package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

func TestWindow(t *testing.T) {
	w := newWindow(10)
	for i, c := range []struct {
		seq   int64
		fresh bool
	}{{10, true}, {12, true}, {11, true}, {12, false}, {73, true}, {74, true}, {10, false}, {13, true}, {11, false}, {500, true}, {437, true}, {436, false}, {500, false}} {
		if got := w.fresh(c.seq); got != c.fresh {
			t.Errorf("%d: fresh(%d) = %t", i, c.seq, got)
		}
	}
}

func TestBackoffGrowsAndStaysBounded(t *testing.T) {
	for n, most := range map[int]time.Duration{0: backoffFirst, 3: 8 * backoffFirst, 1000: backoffMost} {
		lo, hi := time.Hour, time.Duration(0)
		for range 2000 {
			d := backoff(n)
			lo, hi = min(lo, d), max(hi, d)
		}
		if hi > most+time.Millisecond || hi < most*8/10 || lo > most/5 {
			t.Errorf("attempt %d waits %s to %s, want full jitter up to %s", n, lo, hi, most)
		}
	}
}

// The same bytes, cut at every place, are the same messages.
func TestInboxCutsAnywhere(t *testing.T) {
	var wire []byte
	frame := func(f ws.Frame) { wire = append(wire, ws.MustCompileFrame(f)...) }
	frame(ws.NewTextFrame([]byte("one")))
	frame(ws.NewFrame(ws.OpText, false, []byte("two-")))
	frame(ws.NewPingFrame([]byte("p")))
	frame(ws.NewFrame(ws.OpContinuation, false, []byte("and-")))
	frame(ws.NewFrame(ws.OpContinuation, true, []byte("a-half")))
	frame(ws.NewBinaryFrame(bytes.Repeat([]byte("x"), 300)))
	frame(ws.NewCloseFrame(ws.NewCloseFrameBody(1012, "service restart")))
	want := fmt.Sprint("1:one 9:p 1:two-and-a-half 2:", strings.Repeat("x", 300), " 8:\x03\xf4service restart ")
	for cut := range len(wire) + 1 {
		var got strings.Builder
		take := func(op ws.OpCode, p []byte) error { fmt.Fprintf(&got, "%d:%s ", op, p); return nil }
		var in inbox
		for _, part := range [][]byte{wire[:cut], wire[cut:]} {
			if err := in.feed(bytes.Clone(part), take); err != nil {
				t.Fatal(err)
			}
		}
		if got.String() != want || in.rest != nil {
			t.Fatalf("cut at %d: %q, rest %q", cut, got.String(), in.rest)
		}
	}
	var in inbox
	for i := range wire {
		if err := in.feed(wire[i:i+1], func(ws.OpCode, []byte) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
}

func TestInboxRefusesWhatNoServerSends(t *testing.T) {
	for name, b := range map[string][]byte{
		"masked":   masked(ws.NewTextFrame([]byte("x"))),
		"reserved": {0xC1, 0x01, 'x'},
		"huge":     {0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0},
	} {
		var in inbox
		if err := in.feed(b, func(ws.OpCode, []byte) error { return nil }); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func FuzzInbox(f *testing.F) {
	f.Add(ws.MustCompileFrame(ws.NewTextFrame([]byte("hello"))))
	f.Fuzz(func(_ *testing.T, b []byte) {
		var in inbox
		_ = in.feed(b, func(ws.OpCode, []byte) error { return nil }) // must neither panic nor run on
	})
}

func TestInboxReadsASocket(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = c.Write(ws.MustCompileFrame(ws.NewTextFrame([]byte("hi"))))
			_ = c.Close()
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in, err := newInbox(c, &sync.Pool{New: func() any { return new([readSize]byte) }})
	if err != nil {
		t.Fatal(err)
	}
	var got string
	for err == nil {
		err = in.read(func(_ ws.OpCode, p []byte) error { got += string(p); return nil })
	}
	if got != "hi" || !errors.Is(err, io.EOF) {
		t.Errorf("read %q, then %v", got, err)
	}
}

func TestWhoIsToBlame(t *testing.T) {
	wrapped := func(e syscall.Errno) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{Port: 81}, Err: os.NewSyscallError("connect", e)}
	}
	b := newBook(10)
	for _, err := range []error{
		wrapped(syscall.EMFILE), wrapped(syscall.EADDRNOTAVAIL), ws.StatusError(403), wrapped(syscall.ECONNREFUSED),
		ws.StatusError(500), os.ErrDeadlineExceeded, io.ErrUnexpectedEOF,
		closedError{1013, "full"},
		&url.Error{Op: "Post", URL: "http://api:81/x", Err: errors.New("odd")},
	} {
		b.failed(err)
	}
	if b.failedDials.Load() != 6 || b.limits.sockets.Load() != 2 || b.limits.tokens.Load() != 1 {
		t.Errorf("target %d, sockets %d, tokens %d", b.failedDials.Load(), b.limits.sockets.Load(), b.limits.tokens.Load())
	}
	for _, c := range b.counted() {
		if strings.Contains(c.Text, "81") {
			t.Errorf("%q names a port: equal causes would not be counted together", c.Text)
		}
	}
	b.limits.nofile, b.limits.seconds, b.limits.busy = 50, 60, 12
	text := b.limits.saturated(10, 80*time.Millisecond, 90*time.Millisecond)
	for _, want := range []string{"may open 50 files", "2 attempts", "1 attempts", "woken up to 80ms late", "90ms behind schedule", "in 12 of 60 s"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q does not say %q", text, want)
		}
	}
	if idle := (&limits{nofile: 20000, seconds: 60}).saturated(5000, time.Millisecond, time.Millisecond); idle != "" {
		t.Errorf("a generator that kept up says %q", idle)
	}
}

// A message published before a connection had joined is not promised to it, and one of another run is nobody's.
func TestOnlyPromisedMessagesCount(t *testing.T) {
	b := newBook(2)
	first := newWindow(b.joined(0))
	seq0, m0 := b.publish()
	second := newWindow(b.joined(0))
	seq1, m1 := b.publish()
	now := time.Now()
	for _, c := range []struct {
		w   *window
		seq int64
	}{{&first, seq0}, {&first, seq1}, {&second, seq0}, {&second, seq1}, {&second, seq1}, {&first, 99}} {
		b.arrived(0, c.w, []byte(`{"data":{"content":"`+b.content(c.seq, now, 100)+`"}}`), now)
	}
	other := newBook(1)
	if b.arrived(0, &first, []byte(other.content(0, now, 0)), now) {
		t.Error("a message of another run was taken")
	}
	m0.accepted.Store(true)
	m1.accepted.Store(true)
	if expected, got := b.settled(); expected != 3 || got != 3 || b.duplicates.Load() != 1 {
		t.Errorf("expected %d, got %d, duplicates %d; want 3, 3, 1", expected, got, b.duplicates.Load())
	}
}
