package load

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/drilltest"
)

func quietFor(kind string, n int, s *target) QuietArgs {
	return QuietArgs{
		Kind: kind, Connections: n, Targets: []string{s.addr()}, Path: "/ws/connect", Topic: "t1", Ramp: drills.Duration(200 * time.Millisecond),
		Login: &drills.Login{URL: s.URL + "/auth/login", Username: "u", Password: password},
		Ask:   drills.Duration(time.Second), Prove: drills.Duration(20 * time.Second), Buffer: 4 << 10,
	}
}

// startQuiet is QuietMain as its owner sees it.
func startQuiet(t *testing.T, a QuietArgs) *agent {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	g := &agent{t: t, in: inW, out: bufio.NewScanner(outR), ended: make(chan error, 1)}
	g.out.Buffer(nil, 16<<20)
	go func() {
		err := QuietMain(t.Context(), inR, outW)
		_ = outW.Close()
		g.ended <- err
	}()
	g.send("spec", a)
	return g
}

func (s *target) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// each does something to up to n connections, and returns what it was done to.
func (s *target) each(n int, f func(*net.TCPConn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if n--; n < 0 {
			return
		}
		f(c.(*net.TCPConn))
	}
}

// lastSign is how long ago the kernel of the target last heard of any of its peers, ms.
func (s *target) lastSign(t *testing.T) uint32 {
	t.Helper()
	least := uint32(1 << 31)
	s.each(1<<30, func(c *net.TCPConn) {
		raw, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		_ = raw.Control(func(fd uintptr) {
			info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
			if err != nil {
				t.Fatal(err)
			}
			least = min(least, info.Last_ack_recv)
		})
	})
	return least
}

// TestHalfOpen: the clients vanish for the target, which they nevertheless ask whether it has them; what it ends is seen when
// it is, however it does that, and what it keeps is counted and let go.
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	s := newTarget(t, nil)
	g := startQuiet(t, quietFor(drills.HalfOpenClients, 7, s))
	var r Readiness
	g.until("ready", &r)
	if r.Connected != 7 || r.Wanted != 7 || r.Silent != 7 || r.From.IsZero() || r.To.Before(r.From) {
		t.Fatalf("ready: %+v", r)
	}
	s.everybody(ws.NewTextFrame([]byte("is there anybody?")))
	g.until("second", nil)
	g.until("second", nil)
	if sign := s.lastSign(t); time.Duration(sign)*time.Millisecond < time.Since(r.To)-200*time.Millisecond || s.open() != 7 {
		t.Errorf("the target heard of a client %d ms ago, %v after they vanished; it has %d", sign, time.Since(r.To), s.open())
	}
	before := time.Now()
	s.each(2, func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() })
	waitFor(t, "the readers of the two to end", func() bool { return s.open() == 5 })
	var p drills.LoadPoint
	for p.Open != 5 && time.Since(before) < 10*time.Second {
		g.until("second", &p)
	}
	noticed := time.Since(before)
	m := g.stop()
	q := m.Quiet
	if q == nil || q.Silent != 7 || q.Ended != 2 || q.Held != 5 || q.Unclear+q.Unproven != 0 || q.Unanswered < 7 {
		t.Fatalf("%+v", q)
	}
	// Held at least until we had it dropped, less one question and one look; at most until we saw that it was.
	lo, hi := before.Sub(r.To)-2*time.Second, before.Sub(r.From)+noticed
	if q.First.Lo.D() < lo-time.Second || q.Last.Hi.D() > hi || q.First.Hi.D() < before.Sub(r.To) {
		t.Errorf("ended after %s to %s, want between %v and %v", q.First, q.Last, lo, hi)
	}
	waitFor(t, "nothing is left at the target", func() bool { return s.open() == 0 })
}

// TestHalfOpenSeesAClose: a connection that the target closes in order, with nothing unacknowledged, is ended too.
func TestHalfOpenSeesAClose(t *testing.T) {
	t.Parallel()
	s := newTarget(t, nil)
	g := startQuiet(t, quietFor(drills.HalfOpenClients, 2, s))
	g.until("ready", nil)
	s.drop(2)
	var p drills.LoadPoint
	for p.Open = 2; p.Open != 0; {
		g.until("second", &p)
	}
	if q := g.stop().Quiet; q.Ended != 2 || len(q.Ends) != 1 || q.Ends[0].Text != "closed by the target" {
		t.Errorf("%+v", q)
	}
}

// flood writes to each connection on a goroutine of its own until it is broken.
func (s *target) flood() {
	frame := ws.MustCompileFrame(ws.NewTextFrame(bytes.Repeat([]byte("x"), 8<<10)))
	s.each(1<<30, func(c *net.TCPConn) {
		s.readers.Go(func() {
			for {
				if _, err := c.Write(frame); err != nil {
					return
				}
			}
		})
	})
}

// TestSlowConsumers: their windows close, and stay closed until they are let go. Nobody to read from: nothing is proven.
func TestSlowConsumers(t *testing.T) {
	t.Parallel()
	s := newTarget(t, nil)
	g := startQuiet(t, quietFor(drills.SlowClients, 4, s))
	waitFor(t, "four clients", func() bool { return s.open() == 4 })
	g.until("second", nil)
	s.flood()
	var r Readiness
	g.until("ready", &r)
	if r.Silent != 4 {
		t.Fatalf("ready: %+v", r)
	}
	s.drop(1)
	q := g.stop().Quiet
	if q.Silent != 4 || q.Closed != 4 || q.Unread < 4*1000 || q.Ended+q.Held != 4 || q.Held < 3 {
		t.Errorf("%+v", q)
	}
	waitFor(t, "nothing is left at the target", func() bool { return s.open() == 0 })
}

func TestSlowConsumersWithNothingToReadAreNotProven(t *testing.T) {
	t.Parallel()
	s := newTarget(t, nil)
	a := quietFor(drills.SlowClients, 2, s)
	a.Prove = drills.Duration(500 * time.Millisecond)
	act := NewActuator(&inProcess{main: QuietMain, agent: "ws-quiet"}, nil, nil, zaptest.NewLogger(t))
	c := quietChange(t, "clients.slow", a)
	e, err := act.Apply(t.Context(), c.Do)
	if err != nil || e.Proven || string(e.Evidence) != `{"connected":2,"silent":0,"wanted":2}` {
		t.Errorf("%+v %s %v", e, e.Evidence, err)
	}
	if u, err := act.Apply(t.Context(), c.Undo); err != nil || !strings.Contains(string(u.Evidence), `"unproven":2`) {
		t.Errorf("%s %v", u.Evidence, err)
	}
}

// TestSlowIsNotNever: a slow client goes on reading as fast as it is told to, and no faster.
func TestSlowIsNotNever(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	f, err := c.(*net.TCPConn).File()
	_ = c.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_ = unix.SetNonblock(int(f.Fd()), true)
	fd, err := unix.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	q, a := &quiet{fd: fd}, QuietArgs{Kind: drills.SlowClients, Read: 1000}
	if ok, err := q.hush(a); !ok || err != nil {
		t.Fatal(err)
	}
	_, _ = peer.Write(make([]byte, 10_000))
	waitFor(t, "the data to be there", func() bool { l, _ := lookAt(fd); return l.unread == 10_000 })
	for range 25 {
		q.watch(a, 100*time.Millisecond, make([]byte, readSize))
	}
	if l, _ := lookAt(fd); l.unread != 7500 {
		t.Errorf("%d bytes unread after 2.5 s at 1000 a second, want 7500", l.unread)
	}
	q.release()
}

func quietChange(t *testing.T, verb string, a QuietArgs) drills.Change {
	t.Helper()
	c := drills.Change{ID: "gone.1"}
	var err error
	if c.Do, err = drills.NewOp(verb, "abc", a); err != nil {
		t.Fatal(err)
	}
	c.Undo, _ = drills.NewOp("clients.release", "abc", nil)
	c.Do.ID, c.Undo.ID = "gone.1.do", "gone.1.undo"
	return c
}

func TestQuietActuatorConforms(t *testing.T) {
	t.Parallel()
	a := quietFor(drills.HalfOpenClients, 3, newTarget(t, nil))
	act := NewActuator(&inProcess{main: QuietMain, agent: "ws-quiet"}, nil, nil, zaptest.NewLogger(t))
	drilltest.Actuator(t, drilltest.ActuatorCase{Name: "half-open", Change: quietChange(t, "clients.half-open", a), Actuator: act})
}

// TestTheEndOfAGeneratorIsTold: a fault that ends by itself is not one that we lifted.
func TestTheEndOfAGeneratorIsTold(t *testing.T) {
	t.Parallel()
	for name, dies := range map[string]bool{"it dies": true, "it is stopped": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := quietFor(drills.HalfOpenClients, 1, newTarget(t, nil))
			a.Login.Password = "${env:PW}"
			ctx, kill := context.WithCancel(context.Background())
			defer kill()
			told := make(chan string, 1)
			l := &inProcess{agent: "ws-quiet", main: func(_ context.Context, in io.Reader, out io.Writer) error { return QuietMain(ctx, in, out) }}
			act := NewActuator(l, nil, secrets, zaptest.NewLogger(t)).OnEnd(func(change, why string) { told <- change + ": " + why })
			c := quietChange(t, "clients.half-open", a)
			if e, err := act.Apply(t.Context(), c.Do); err != nil || !e.Proven {
				t.Fatalf("%+v %v", e, err)
			}
			if dies {
				kill()
				if got := <-told; got != "gone.1: the process that held the silent clients ended" {
					t.Errorf("told %q", got)
				}
				return
			}
			if _, err := act.Apply(t.Context(), c.Undo); err != nil {
				t.Fatal(err)
			}
			select {
			case got := <-told:
				t.Errorf("told %q of what we ended ourselves", got)
			default:
			}
		})
	}
}

func expiredFor(n int, s *target) QuietArgs {
	a := quietFor(drills.ExpiredClients, n, s)
	a.Life = drills.Duration(10 * time.Second)
	return a
}

// TestExpiredTokens: the clients behave until their token has ended, which a refused handshake proves; who is ended after that is
// counted with its time, and does not come back.
func TestExpiredTokens(t *testing.T) {
	t.Parallel()
	s := newTarget(t, func(s *target) { s.life = 3 * time.Second })
	g := startQuiet(t, expiredFor(5, s))
	waitFor(t, "five clients", func() bool { return s.open() == 5 })
	s.everybody(ws.NewTextFrame([]byte(`{"event_type":"ping"}`)))
	waitFor(t, "their answers", func() bool { return s.pongs.Load() == 5 })
	var r Readiness
	g.until("ready", &r)
	if r.Connected != 5 || r.Silent != 5 || r.From.Sub(s.issued) > 3*time.Second || r.To.Sub(s.issued) < 3*time.Second {
		t.Errorf("ready %+v, the token was issued %v", r, s.issued)
	}
	if n := s.drop(2); n != 2 {
		t.Fatal(n)
	}
	at := time.Now()
	var p drills.LoadPoint
	for p.Open = 5; p.Open != 3; {
		g.until("second", &p)
	}
	m := g.stop()
	if len(m.DialErrors) != 1 || m.DialErrors[0].Text != "dropped: closed without a word" {
		t.Errorf("somebody tried to come back: %v", m.DialErrors)
	}
	q := m.Quiet
	if q.Silent != 5 || q.Ended != 2 || q.Held != 3 || q.Unproven != 0 || q.First.Lo.D() > at.Sub(r.To)+time.Second || q.Last.Hi.D() < at.Sub(r.From)-100*time.Millisecond {
		t.Errorf("%s", q)
	}
	waitFor(t, "nothing is left at the target", func() bool { return s.open() == 0 })
}

// TestTokensThatDoNotExpire prove nothing: one that is let in after its end, and one that ends too late.
func TestTokensThatDoNotExpire(t *testing.T) {
	t.Parallel()
	s := newTarget(t, func(s *target) { s.life = 2 * time.Second })
	a := expiredFor(2, s)
	a.Prove = drills.Duration(time.Second)
	g := startQuiet(t, a)
	waitFor(t, "two clients", func() bool { return s.open() == 2 })
	s.mu.Lock()
	s.issued = time.Now().Add(time.Hour) // the target goes on letting it in
	s.mu.Unlock()
	var r Readiness
	g.until("ready", &r)
	if r.Connected != 2 || r.Silent != 0 {
		t.Errorf("ready: %+v", r)
	}
	if q := g.stop().Quiet; q.Silent != 0 || q.Unproven != 2 {
		t.Errorf("%s", q)
	}
	late := startQuiet(t, expiredFor(2, newTarget(t, nil)))
	var e trouble
	late.until("error", &e)
	if !strings.Contains(e.Text, "the token lives 1h0m0s") {
		t.Errorf("said %q", e.Text)
	}
	if err := <-late.ended; err == nil {
		t.Error("no error")
	}
}

// TestATargetThatEndsThemAtOnceIsCounted: it may be faster than we wake up for the end of the token.
func TestATargetThatEndsThemAtOnceIsCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newExpiry(QuietArgs{Kind: drills.ExpiredClients, Connections: 3})
		e.ends = time.Now().Add(time.Second)
		for id := range 3 {
			e.told(id, nil)
		}
		e.told(0, io.EOF) // before its token has expired
		time.Sleep(time.Second)
		e.told(1, io.EOF)
		e.told(3, nil)
		e.fix()
		if m := e.measured().Quiet; e.expired != 2 || m.Ended != 1 || m.Held != 1 {
			t.Errorf("%d were open: %+v", e.expired, m)
		}
	})
}
