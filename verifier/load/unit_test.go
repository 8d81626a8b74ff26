package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"pgregory.net/rapid"

	"github.com/eevans-d/simulacro/verifier/load/epoll"
)

func TestSeen(t *testing.T) {
	var s seen
	for i, c := range []struct {
		seq              int32
		fresh, reordered bool
	}{
		{10, true, false},
		{12, true, false},
		{11, true, true},
		{12, false, false},
		{73, true, false},
		{74, true, false},
		{10, false, false},
		{13, true, true},
		{11, false, false},
		{500, true, false},
		{437, true, true},
		{436, false, false},
		{500, false, false},
	} {
		if fresh, re := s.fresh(c.seq); fresh != c.fresh || re != c.reordered {
			t.Errorf("%d: fresh(%d) = %t, %t", i, c.seq, fresh, re)
		}
	}
	if n := unsafe.Sizeof(s); n > 24 {
		t.Errorf("%d bytes a connection, 64 with the loop's 40", n)
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

// FuzzInbox: wherever the reads cut it, the same messages, and those that gobwas's own reader sees up to where one of them stops.
func FuzzInbox(f *testing.F) {
	f.Add(ws.MustCompileFrame(ws.NewTextFrame([]byte("hello"))), 3)
	f.Add([]byte{0x01, 1, 'a', 0x89, 0, 0x00, 1, 'b', 0x80, 1, 'c', 0x82, 126, 0, 2, 'd', 'e'}, 5)
	f.Fuzz(func(t *testing.T, wire []byte, cut int) {
		if len(wire) > 4096 {
			return
		}
		see := func(parts ...[]byte) (got []string, err error) {
			var in inbox
			for _, p := range parts {
				if err = in.feed(bytes.Clone(p), func(op ws.OpCode, p []byte) error {
					if op.IsData() {
						got = append(got, string(p))
					}
					return nil
				}); err != nil {
					break
				}
			}
			return got, err
		}
		got, err := see(wire)
		cut = min(max(cut, 0), len(wire))
		if again, errAgain := see(wire[:cut], wire[cut:]); !slices.Equal(got, again) || (err == nil) != (errAgain == nil) {
			t.Fatalf("cut at %d: %q %v, in one read %q %v", cut, again, errAgain, got, err)
		}
		theirs := gobwasSees(wire)
		if n := min(len(got), len(theirs)); !slices.Equal(got[:n], theirs[:n]) || err == nil && len(theirs) > len(got) {
			t.Fatalf("gobwas sees %q, we %q (%v)", theirs, got, err)
		}
	})
}

// gobwasSees is the messages that gobwas's reader finds, until the end or something that it does not take.
func gobwasSees(wire []byte) (got []string) {
	r := wsutil.Reader{Source: bytes.NewReader(wire), State: ws.StateClientSide, OnIntermediate: func(_ ws.Header, r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	}}
	for {
		h, err := r.NextFrame()
		if err != nil {
			return got
		}
		b, err := io.ReadAll(&r)
		if err != nil {
			return got
		}
		if h.OpCode.IsData() {
			got = append(got, string(b))
		}
	}
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
	in, err := newInbox(c, &sync.Pool{New: func() any { return new([readSize]byte) }}, false)
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
	b := newBook("m:", 10)
	for _, err := range []error{
		wrapped(syscall.EMFILE), wrapped(syscall.EADDRNOTAVAIL), ws.StatusError(403), wrapped(syscall.ECONNREFUSED),
		ws.StatusError(500), os.ErrDeadlineExceeded, io.ErrUnexpectedEOF,
		closedError{1013, "full"},
		&url.Error{Op: "Post", URL: "http://api:81/x", Err: errors.New("odd")},
	} {
		b.failed(&seen{}, err)
	}
	sum := b.tally()
	if sum.Failed != 6 || sum.Sockets != 2 || sum.Tokens != 1 {
		t.Errorf("target %d, sockets %d, tokens %d", sum.Failed, sum.Sockets, sum.Tokens)
	}
	for text := range sum.Errors {
		if strings.Contains(text, "81") {
			t.Errorf("%q names a port: equal causes would not be counted together", text)
		}
	}
	for err, want := range map[error]string{
		epoll.StatusError(503): "handshake answered 503", epoll.CloseError{Code: 1013, Reason: "full"}: "closed with 1013 full",
		epoll.ErrEOF: "closed without a word", epoll.ProtocolError{Code: 1002, Text: "x"}: "protocol error: x",
	} {
		if got := reason(err); got != want {
			t.Errorf("%v is told as %q", err, got)
		}
	}
	if !unauthorised(epoll.StatusError(401)) || unauthorised(epoll.StatusError(503)) {
		t.Error("the raw engine's refusals")
	}
	l := limits{sockets: 2, tokens: 1, seconds: 60, busy: 12, threads: 3, lost: 1, crowded: "many for a pair"}
	text := l.saturated(80*time.Millisecond, 90*time.Millisecond, time.Second)
	for _, want := range []string{"1 of its processes", "2 attempts", "1 attempts", "woken up to 80ms late", "90ms behind schedule", "up to 1s in its sockets", "in 12 of 60 s", "its core in 3 s", "many for a pair"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q does not say %q", text, want)
		}
	}
	if idle := (&limits{nofile: 20000, seconds: 60, crowded: "x"}).saturated(time.Millisecond, time.Millisecond, 100*time.Millisecond); idle != "" {
		t.Errorf("a generator that kept up says %q", idle)
	}
}

// A message published before a connection had joined is not promised to it, one of another run is nobody's, and who was
// open at a publication is decided by time, whenever it is told.
func TestOnlyPromisedMessagesCount(t *testing.T) {
	a := newAccount(1)
	b := newBook(a.marker, 2)
	var first, second seen
	b.joined(&first, 0)
	b.joined(&second, 0)
	b.ended(&second, io.EOF, false)
	seq0, at0, _ := a.publish()
	b.joined(&second, 0)
	seq1, at1, _ := a.publish()
	b.failed(&second, io.EOF)
	for _, c := range []struct {
		s       *seen
		seq, at int64
	}{{&first, seq0, at0}, {&second, seq0, at0}, {&second, seq1, at1}, {&second, seq1, at1}, {&first, seq1, at1}} {
		now := b.clock.now()
		if !b.arrived(c.s, []byte(`{"data":{"content":"`+a.content(c.seq, now-int64(time.Second), c.at, 100)+`"}}`), now, now-1000) {
			t.Error("a message of ours is not known")
		}
	}
	if b.arrived(&first, []byte(newAccount(1).content(0, 0, at1, 0)), 0, 0) {
		t.Error("a message of another run was taken")
	}
	a.accepted(seq0)
	a.accepted(seq1)
	if _, _, told := a.settled(); told {
		t.Error("settled before anything was told")
	}
	a.take(0, b.tally())
	if expected, got, told := a.settled(); expected != 3 || got != 3 || !told || a.sum.Duplicated != 1 || a.sum.Drops != 1 || a.sum.Reconnects != 1 || a.sum.Failed != 1 {
		t.Errorf("expected %d, got %d, told %t, %+v; want 3, 3 and one duplicate", expected, got, told, a.sum)
	}
	if d := at(a.delivery.histogram(), 50); d.D() < 900*time.Millisecond || d.D() > 1100*time.Millisecond {
		t.Errorf("delivery %s, want the second since it was due", d)
	}
	if d := at(a.lag.histogram(), 50); d.D() != time.Microsecond {
		t.Errorf("reading %s", d)
	}
}

// What several shares counted is what one would have counted, cell by cell.
func TestMergingLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole, parts := newHistogram(), [3]*hdrhistogram.Histogram{newHistogram(), newHistogram(), newHistogram()}
		for i, us := range rapid.SliceOf(rapid.Int64Range(1, longest)).Draw(t, "us") {
			_ = whole.RecordValue(us)
			_ = parts[i%3].RecordValue(us)
		}
		var sum counts
		for _, p := range parts {
			sum.add(emptied(p))
		}
		if got := sum.histogram(); got.TotalCount() != whole.TotalCount() || got.Max() != whole.Max() || got.ValueAtQuantile(99) != whole.ValueAtQuantile(99) || got.ValueAtQuantile(50) != whole.ValueAtQuantile(50) {
			t.Fatalf("%d of %d, p99 %d of %d", got.TotalCount(), whole.TotalCount(), got.ValueAtQuantile(99), whole.ValueAtQuantile(99))
		}
	})
}

func TestStorms(t *testing.T) {
	ms := int64(time.Millisecond)
	var log []step
	for i := range int64(100) { // 100 of 200 end within 100 ms …
		log = append(log, step{1000*ms + i*ms, -1})
	}
	log = append(log, step{1150 * ms, 0}, step{1160 * ms, 0})
	for i := range int64(100) { // … and come back one each 10 ms, the first after a second
		log = append(log, step{2000*ms + 10*i*ms, +1})
	}
	log = append(log, step{9000 * ms, -1}, step{9001 * ms, +1}) // one alone is no storm
	for i := range int64(30) {
		log = append(log, step{12000*ms + i*ms, -1}) // and thirty never come back
	}
	got := storms(log, 200, 200, func(t int64) time.Time { return time.Unix(0, t) })
	if len(got) != 2 {
		t.Fatalf("%+v", got)
	}
	s := got[0]
	if s.Level != 200 || s.Lowest != 100 || s.Failed != 2 || s.At.UnixNano() != 1000*ms || s.Back50.D() != 1490*time.Millisecond || s.Back95.D() != 1940*time.Millisecond || s.Back100.D() != 1990*time.Millisecond || s.Rate < 48 || s.Rate > 50 {
		t.Errorf("%+v", s)
	}
	if s := got[1]; s.Level != 200 || s.Lowest != 170 || s.Back50 != 0 || s.Rate != 0 {
		t.Errorf("%+v", s)
	}
}

func TestSplitAndSources(t *testing.T) {
	for _, c := range []struct {
		n, processes int
		files        uint64
		want         []int
	}{{10, 0, 1000, []int{10}}, {936, 0, 1000, []int{936}}, {937, 0, 1000, []int{468, 469}}, {10, 3, 1000, []int{3, 3, 4}}, {2, 5, 1000, []int{1, 1}}, {50000, 0, 20000, []int{16666, 16667, 16667}}} {
		at := 0
		for i, p := range split(plan{Args: Args{Connections: c.n, Shares: c.processes}}, c.files) {
			if i >= len(c.want) || p.count != c.want[i] || p.first != at {
				t.Errorf("%d over %d files: share %d is %d from %d, want %v", c.n, c.files, i, p.count, p.first, c.want)
			}
			at += p.count
		}
		if at != c.n {
			t.Errorf("%d of %d", at, c.n)
		}
	}
	loopback, other := netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("10.0.0.1:1")
	for _, c := range []struct {
		a       Args
		targets []netip.AddrPort
		want    string
	}{
		{Args{Connections: 10000}, []netip.AddrPort{loopback}, "[]"},
		{Args{Connections: 10001}, []netip.AddrPort{loopback}, "[127.0.1.1 127.0.1.2]"},
		{Args{Connections: 50000}, []netip.AddrPort{loopback, loopback}, "[127.0.1.1 127.0.1.2 127.0.1.3]"},
		{Args{Connections: 50000}, []netip.AddrPort{other}, "[]"},
		{Args{Connections: 1, Sources: []string{"10.0.0.7"}}, []netip.AddrPort{other}, "[10.0.0.7]"},
	} {
		if got, err := sourcesFor(c.a, c.targets); err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("%d connections: %v, %v, want %s", c.a.Connections, got, err, c.want)
		}
	}
	if crowded(50000, 5, 0) != "" || crowded(50000, 2, 0) == "" || crowded(50000, 2, 3) != "" {
		t.Error("crowded")
	}
}
