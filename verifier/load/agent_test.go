package load

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/eevans-d/simulacro/drills"
)

// agent is WebSocketMain as its owner sees it.
type agent struct {
	t     *testing.T
	in    *io.PipeWriter
	out   *bufio.Scanner
	ended chan error
}

func startAgent(t *testing.T, a Args) *agent {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	g := &agent{t: t, in: inW, out: bufio.NewScanner(outR), ended: make(chan error, 1)}
	g.out.Buffer(nil, 16<<20)
	go func() {
		err := WebSocketMain(t.Context(), inR, outW)
		_ = outW.Close()
		g.ended <- err
	}()
	g.send("spec", a)
	return g
}

func (g *agent) send(kind string, data any) {
	g.t.Helper()
	b, err := json.Marshal(data)
	if err != nil {
		g.t.Fatal(err)
	}
	line, _ := json.Marshal(drills.Frame{Type: kind, Data: b})
	if _, err := g.in.Write(append(line, '\n')); err != nil {
		g.t.Fatal(err)
	}
}

// until reads frames up to one of that kind into v, which may be nil; it returns how many others came before it.
func (g *agent) until(kind string, v any) int {
	g.t.Helper()
	for others := 0; g.out.Scan(); others++ {
		var f drills.Frame
		if err := json.Unmarshal(g.out.Bytes(), &f); err != nil {
			g.t.Fatalf("%s: %v", g.out.Bytes(), err)
		}
		if f.Type == kind {
			if v != nil {
				if err := json.Unmarshal(f.Data, v); err != nil {
					g.t.Fatal(err)
				}
			}
			return others
		}
	}
	g.t.Fatalf("the agent ended without %q: %v", kind, <-g.ended)
	return 0
}

// stop ends the agent and returns its result.
func (g *agent) stop() drills.LoadMeasured {
	g.t.Helper()
	var m drills.LoadMeasured
	g.send("stop", nil)
	g.until("done", &m)
	if err := <-g.ended; err != nil {
		g.t.Fatal(err)
	}
	return m
}

func argsFor(n int, targets ...*target) Args {
	a := Args{
		Connections: n, Path: "/ws/connect", Ramp: drills.Duration(300 * time.Millisecond),
		Login:   &drills.Login{URL: targets[0].URL + "/auth/login", Username: "u", Password: password},
		Publish: &Publish{URL: targets[0].URL + "/publish", Rate: 10, Topic: "t1", Size: 200},
	}
	for _, t := range targets {
		a.Targets = append(a.Targets, t.addr())
	}
	return a
}

func (a Args) with(engine string) Args { a.Engine = engine; return a }

func eachEngine(t *testing.T, test func(*testing.T, string)) {
	t.Parallel()
	for _, engine := range []string{EngineEpoll, EngineLibrary} {
		t.Run(engine, func(t *testing.T) { t.Parallel(); test(t, engine) })
	}
}

func (s *target) waitPublished(t *testing.T, n int64) {
	t.Helper()
	waitFor(t, "messages published", func() bool { return s.published.Load() >= n })
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestNothingLostNothingInvented(t *testing.T) { eachEngine(t, nothingLostNothingInvented) }

func nothingLostNothingInvented(t *testing.T, engine string) {
	const held = 500
	s := newTarget(t, nil)
	g := startAgent(t, argsFor(held, s).with(engine))
	var r Readiness
	g.until("ready", &r)
	if r.Connected != held || r.Wanted != held || r.From.IsZero() || r.To.Before(r.From) {
		t.Fatalf("ready: %+v", r)
	}
	s.everybody(ws.NewTextFrame([]byte(`{"event_type": "ping","data":{}}`)))
	s.everybody(ws.NewPingFrame([]byte("p")))
	waitFor(t, "every connection to answer the application's ping", func() bool { return s.pongs.Load() == held })
	s.waitPublished(t, 5)
	m := g.stop()
	if want := int64(m.Published-m.PublishFail) * held; m.Received != want || m.Expected != want || want < 5*held {
		t.Errorf("published %d, expected %d, received %d", m.Published, m.Expected, m.Received)
	}
	if m.Duplicated != 0 || m.Drops != 0 || m.FailedDials != 0 || m.Connected != held {
		t.Errorf("%+v", m)
	}
	if m.P50 <= 0 || m.P50 > m.P95 || m.P95 > m.P99 || m.P99 > m.Max || m.RSSBytes == 0 || m.CPU == 0 || m.ConnectP50 <= 0 || m.RampTook.D() < 290*time.Millisecond {
		t.Errorf("figures that cannot be: %+v", m)
	}
	if engine == EngineEpoll && (m.Arrived.P50 <= 0 || m.Arrived.P99 > m.P99 || m.Reading.P99 <= 0) {
		t.Errorf("kernel stamps: %+v, reading %+v, p99 %s", m.Arrived, m.Reading, m.P99)
	}
	if (m.Engine == "epoll loop") != (engine == EngineEpoll) || m.MemoryBytes == 0 {
		t.Errorf("engine %q: %+v", m.Engine, m)
	}
	if s.logins.Load() != 1 {
		t.Errorf("%d logins, want one shared token", s.logins.Load())
	}
}

func TestLossAndDuplicatesAreCounted(t *testing.T) { eachEngine(t, lossAndDuplicatesAreCounted) }

func lossAndDuplicatesAreCounted(t *testing.T, engine string) {
	s := newTarget(t, func(s *target) { s.twice, s.lose = 7, 3 })
	g := startAgent(t, argsFor(100, s).with(engine))
	g.until("ready", nil)
	s.waitPublished(t, 5)
	m := g.stop()
	n := int64(m.Published - m.PublishFail)
	if m.Expected != 100*n || m.Received != 97*n || m.Duplicated != 7*n {
		t.Errorf("published %d: expected %d, received %d, duplicated %d; want 100, 97 and 7 of each", n, m.Expected, m.Received, m.Duplicated)
	}
}

func TestDropsAreSeenAndReconnected(t *testing.T) { eachEngine(t, dropsAreSeenAndReconnected) }

func dropsAreSeenAndReconnected(t *testing.T, engine string) {
	s := newTarget(t, nil)
	g := startAgent(t, argsFor(300, s).with(engine))
	g.until("ready", nil)
	if n := s.drop(120); n != 120 {
		t.Fatalf("dropped %d", n)
	}
	waitFor(t, "reconnection", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.shakes >= 420 && len(s.conns) == 300 })
	m := g.stop()
	if m.Drops != 120 || m.Reconnects != 120 || m.Connected != 300 {
		t.Errorf("drops %d, reconnects %d, connected %d", m.Drops, m.Reconnects, m.Connected)
	}
	if len(m.DialErrors) != 1 || m.DialErrors[0].Text != "dropped: closed without a word" || m.DialErrors[0].Count != 120 {
		t.Errorf("reasons %+v", m.DialErrors)
	}
	if m.Received > m.Expected {
		t.Errorf("received %d of %d: more than anybody was to get", m.Received, m.Expected)
	}
}

func TestRefusalsAreTheTargets(t *testing.T) { eachEngine(t, refusalsAreTheTargets) }

func refusalsAreTheTargets(t *testing.T, engine string) {
	s := newTarget(t, func(s *target) { s.refuse = 50 })
	gone := newTarget(t, nil)
	a := argsFor(200, s, gone).with(engine)
	gone.Server.Close() // nobody listens there any more
	g := startAgent(t, a)
	var r Readiness
	g.until("ready", &r)
	if r.Connected < 1 || r.Connected > 100 {
		t.Errorf("%d connected of 100 whose every second handshake is refused and 100 whose target is gone", r.Connected)
	}
	waitFor(t, "the refused half to try again", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.conns) == 100 })
	for p := (drills.LoadPoint{}); p.Open < 100; { // until the generator knows it too
		g.until("second", &p)
	}
	m := g.stop()
	count := map[string]int{}
	for _, c := range m.DialErrors {
		count[c.Text] = c.Count
	}
	if n := count["connection refused"]; count["handshake answered 503"] != 50 || n < 100 || m.FailedDials != n+50 {
		t.Errorf("failed dials %d: %v; want 50 answered 503 and at least 100 refused", m.FailedDials, m.DialErrors)
	}
	if strings.Contains(m.Saturated, "attempts to connect") {
		t.Errorf("the target's refusals are held against the generator: %s", m.Saturated)
	}
	if m.Connected != 100 || m.Expected != m.Received {
		t.Errorf("connected %d, expected %d, received %d", m.Connected, m.Expected, m.Received)
	}
}

func TestSlowDeliveryShowsFromTheDueTime(t *testing.T) {
	t.Parallel()
	s := newTarget(t, func(s *target) { s.delay = 150 * time.Millisecond })
	g := startAgent(t, argsFor(50, s))
	g.until("ready", nil)
	s.waitPublished(t, 10)
	m := g.stop()
	if m.P50.D() < 150*time.Millisecond {
		t.Errorf("p50 %s of messages that the target held for 150ms", m.P50)
	}
	if m.Received != m.Expected || m.Published < 10 {
		t.Errorf("received %d of %d: frames on their way at the end are not lost", m.Received, m.Expected)
	}
}

func TestPublishFailuresPromiseNothing(t *testing.T) {
	t.Parallel()
	s := newTarget(t, func(s *target) { s.failPublish = true })
	g := startAgent(t, argsFor(10, s))
	g.until("ready", nil)
	g.until("second", nil)
	m := g.stop()
	if m.Published == 0 || m.PublishFail != m.Published || m.Expected != 0 || len(m.Series) == 0 || m.Series[0].Open != 10 {
		t.Errorf("%+v", m)
	}
}

func TestABadLoginIsNoLoad(t *testing.T) {
	t.Parallel()
	s := newTarget(t, nil)
	a := argsFor(10, s)
	a.Login.Password = "wrong"
	g := startAgent(t, a)
	_ = g.in.Close() // so that it does not try five times
	var e trouble
	g.until("error", &e)
	if !strings.Contains(e.Text, "login") || strings.Contains(e.Text, "wrong") {
		t.Errorf("error %q", e.Text)
	}
	if err := <-g.ended; err == nil {
		t.Error("ended without an error")
	}
}

func TestBadSpecIsRefused(t *testing.T) {
	t.Parallel()
	for want, a := range map[string]Args{
		"connections": {Targets: []string{"x:1"}, Path: "/"}, "targets": {Connections: 1, Path: "/"},
		"slash": {Connections: 1, Targets: []string{"x:1"}}, "rate": {Connections: 1, Targets: []string{"x:1"}, Path: "/", Publish: &Publish{URL: "u"}},
	} {
		g := startAgent(t, a)
		var e trouble
		if g.until("error", &e); !strings.Contains(e.Text, want) {
			t.Errorf("error %q, want %q", e.Text, want)
		}
		<-g.ended
	}
}

// The orchestrator is stopped dead: no renewals, nobody reads. The load must end all the same.
func TestLeaseEndsTheLoad(t *testing.T) {
	t.Parallel()
	s := newTarget(t, nil)
	a := argsFor(20, s)
	a.Lease = drills.Duration(400 * time.Millisecond)
	g := startAgent(t, a)
	alive, ready := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(alive)
		for {
			select {
			case <-ready:
				return
			case <-time.After(20 * time.Millisecond):
				g.send("renew", nil)
			}
		}
	}()
	g.until("ready", nil)
	close(ready)
	<-alive
	waitFor(t, "every connection to be closed", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.shakes == 20 && len(s.conns) == 0 })
	go func() { _, _ = io.Copy(io.Discard, neverEnding{g.out}) }()
	if err := <-g.ended; err != nil && !errors.Is(err, errNobodyReads) {
		t.Error(err)
	}
}

// neverEnding lets io.Copy drain a scanner.
type neverEnding struct{ s *bufio.Scanner }

func (n neverEnding) Read(p []byte) (int, error) {
	if !n.s.Scan() {
		return 0, io.EOF
	}
	return copy(p, n.s.Bytes()), nil
}
