package hub

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/metricstest"
	"github.com/gobwas/ws/wsutil"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// patience bounds waiting for another goroutine; it is only ever used up by a failing test.
const patience = 5 * time.Second

func newHub(t *testing.T, change func(*Options)) (*Hub, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	o := Options{Origin: "api-1/x", Queue: 8, MaxConns: 100, WriteTimeout: time.Second, Heartbeat: time.Hour, Register: reg, Log: zap.NewNop()}
	if change != nil {
		change(&o)
	}
	h := New(o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		h.Shutdown(ctx) // waits for every goroutine: a leak hangs the test
	})
	return h, reg
}

// peer is the browser's end of a connection.
type peer struct {
	t    *testing.T
	conn net.Conn
}

// dial connects over a real socket pair of the loopback, so that kernel buffers and resets are real too.
func dial(t *testing.T, h *Hub, id Identity) (peer, error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() //nolint:errcheck // test
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	_ = server.(*net.TCPConn).SetWriteBuffer(16 << 10) // small, so that a peer that does not read is felt soon
	_ = client.(*net.TCPConn).SetReadBuffer(16 << 10)
	return peer{t, client}, h.Accept(server, nil, id)
}

func connect(t *testing.T, h *Hub, user, role string) peer {
	t.Helper()
	p, err := dial(t, h, Identity{UserID: user, Role: role})
	if err != nil {
		t.Fatal(err)
	}
	if e := p.next(); e.EventType != EventAck {
		t.Fatalf("first frame is %q, want the acknowledgement", e.EventType)
	}
	return p
}

func (p peer) next() Envelope {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	raw, err := wsutil.ReadServerText(p.conn)
	if err != nil {
		p.t.Fatalf("no message: %v", err)
	}
	var e Envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		p.t.Fatalf("%s: %v", raw, err)
	}
	return e
}

func (p peer) say(text string) {
	p.t.Helper()
	if err := wsutil.WriteClientText(p.conn, []byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

func (p peer) subscribe(topic string) {
	p.t.Helper()
	p.say(`{"event_type":"subscribe","data":{"events":["` + topic + `"]}}`)
	if e := p.next(); e.EventType != EventNotification {
		p.t.Fatalf("subscribe was answered by %q", e.EventType)
	}
}

func note(t *testing.T, topic, content string) Envelope {
	t.Helper()
	e, err := NewEnvelope(EventNotification, map[string]string{"content": content})
	if err != nil {
		t.Fatal(err)
	}
	if topic != "" {
		e.Topic = &topic
	}
	return e
}

func content(t *testing.T, e Envelope) string {
	t.Helper()
	var d struct{ Content string }
	if err := json.Unmarshal(e.Data, &d); err != nil {
		t.Fatal(err)
	}
	return d.Content
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestTopics(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, nil)
	follower, other := connect(t, h, "1", "LEVEL_1"), connect(t, h, "2", "LEVEL_1")
	follower.subscribe("patrol")
	other.subscribe("fire")
	for _, m := range []struct{ topic, content string }{{"patrol", "for patrol <&>"}, {"nobody", "lost"}, {"", "for all"}} {
		want := map[string]int{"patrol": 1, "nobody": 0, "": 2}[m.topic]
		if _, n, err := h.Broadcast(note(t, m.topic, m.content)); n != want || err != nil {
			t.Errorf("topic %q went to %d (%v), want %d", m.topic, n, err, want)
		}
	}
	got := []string{content(t, follower.next()), content(t, follower.next()), content(t, other.next())}
	if d := cmp.Diff([]string{"for patrol <&>", "for all", "for all"}, got); d != "" {
		t.Errorf("received (-want +got):\n%s", d)
	}
	follower.say(`{"event_type":"unsubscribe","data":{"events":["patrol"]}}`)
	eventually(t, "the topic is forgotten", func() bool { return h.Stats().Topics == 1 })
	_ = other.conn.Close()
	eventually(t, "a closed connection's topic is forgotten", func() bool { return h.Stats().Topics == 0 })
}

func TestATopicListIsBounded(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, nil)
	p := connect(t, h, "1", "LEVEL_1")
	names := make([]string, maxTopics+10)
	for i := range names {
		names[i] = `"t` + strings.Repeat("x", i) + `"`
	}
	p.say(`{"event_type":"subscribe","data":{"events":[` + strings.Join(names, ",") + `,"` + strings.Repeat("y", maxTopicName+1) + `",""]}}`)
	p.next()
	if got := h.Stats().Topics; got != maxTopics {
		t.Errorf("%d topics, want %d", got, maxTopics)
	}
}

// The defect own-echo-twice: those who listen where a message is published get it twice, the others once.
func TestOwnEchoIsDelivered(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, func(o *Options) { o.EchoOwn = func() bool { return true } })
	p := connect(t, h, "1", "LEVEL_1")
	payload, _, err := h.Broadcast(note(t, "", "seq 1"))
	if err == nil {
		err = h.Relay(payload)
	}
	if err != nil {
		t.Fatal(err)
	}
	if a, b := p.next(), p.next(); a.MessageID != b.MessageID || content(t, b) != "seq 1" {
		t.Errorf("received %+v and %+v, want the same twice", a, b)
	}
}

func TestOwnEchoIsLeftOutAndOthersComeOnceUnchanged(t *testing.T) {
	t.Parallel()
	one, reg1 := newHub(t, nil)
	two, reg2 := newHub(t, func(o *Options) { o.Origin = "api-2/y" })
	p1, p2 := connect(t, one, "1", "LEVEL_1"), connect(t, two, "2", "LEVEL_1")
	payload, _, err := one.Broadcast(note(t, "", "seq 1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []*Hub{one, two} { // Redis gives it to both
		if err := h.Relay(payload); err != nil {
			t.Fatal(err)
		}
	}
	end, _, _ := one.Broadcast(note(t, "", "end"))
	if err := two.Relay(end); err != nil {
		t.Fatal(err)
	}
	first, second := p1.next(), p1.next()
	if content(t, first) != "seq 1" || content(t, second) != "end" {
		t.Errorf("own client received %s then %s: the echo was delivered", first.Data, second.Data)
	}
	if got := p2.next(); got.MessageID != first.MessageID || string(got.Data) != string(first.Data) {
		t.Errorf("the other instance delivered %+v, want %+v", got, first)
	}
	if got := content(t, p2.next()); got != "end" {
		t.Errorf("the other instance delivered %q twice", got)
	}
	if got := metricstest.Value(t, reg1, "ggrt_broadcasts_total"); got != 2 {
		t.Errorf("ggrt_broadcasts_total = %v, want the 2 that began here", got)
	}
	if got := metricstest.Value(t, reg2, "ggrt_broadcasts_relayed_total"); got != 2 {
		t.Errorf("relayed = %v, want 2", got)
	}
	eventually(t, "every delivery's latency is observed", func() bool {
		return metricstest.Value(t, reg1, "ggrt_message_latency_seconds") == 2
	})
}

func TestSlowConsumerIsDroppedAndStallsNobody(t *testing.T) {
	t.Parallel()
	h, reg := newHub(t, func(o *Options) { o.WriteTimeout = time.Minute })
	connect(t, h, "slow", "LEVEL_1")
	fast := connect(t, h, "fast", "LEVEL_1")
	big := strings.Repeat("x", 64<<10) // fills the socket's buffers; slow never reads
	sent := 0
	for h.Stats().Connections == 2 {
		if sent++; sent > 1000 {
			t.Fatal("the slow consumer was never dropped")
		}
		if _, _, err := h.Broadcast(note(t, "", big)); err != nil {
			t.Fatal(err)
		}
		if e := fast.next(); len(e.Data) < len(big) { // lock-step: fast's queue stays short, so only slow's can overflow
			t.Fatal("the fast consumer got something else")
		}
	}
	if got := metricstest.Value(t, reg, "ggrt_slow_consumers_dropped_total"); got != 1 {
		t.Errorf("dropped = %v, want 1", got)
	}
	if got := metricstest.Value(t, reg, "ggrt_send_errors_total"); got < 9 {
		t.Errorf("ggrt_send_errors_total = %v, want at least the 8 queued and the one that overflowed", got)
	}
}

func TestGaugesAreTrue(t *testing.T) {
	t.Parallel()
	h, reg := newHub(t, nil)
	a := connect(t, h, "1", "LEVEL_3")
	connect(t, h, "1", "LEVEL_3")
	unit := connect(t, h, "2", "LEVEL_1")
	expect := func(active, users, admins, units float64) {
		t.Helper()
		for _, m := range []struct {
			name   string
			want   float64
			labels []string
		}{
			{"ggrt_active_connections", active, nil},
			{"ggrt_user_active", users, nil},
			{"ggrt_connections_total", 3, nil},
			{"ggrt_role_connections", admins, []string{"role=LEVEL_3"}},
			{"ggrt_role_connections", units, []string{"role=LEVEL_1"}},
		} {
			if got := metricstest.Value(t, reg, m.name, m.labels...); got != m.want {
				t.Errorf("%s%v = %v, want %v", m.name, m.labels, got, m.want)
			}
		}
	}
	expect(3, 2, 2, 1)
	expect(3, 2, 2, 1) // a scrape must not change what the next one sees
	_ = a.conn.Close()
	eventually(t, "the gauges follow", func() bool { return h.Stats().Connections == 2 })
	expect(2, 2, 1, 1)
	_ = unit.conn.Close()
	eventually(t, "the gauges follow", func() bool { return h.Stats().Connections == 1 })
	expect(1, 1, 1, 0)
}

func TestFullHubRefuses(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, func(o *Options) { o.MaxConns = 1 })
	if h.Room() != nil {
		t.Error("an empty hub has no room")
	}
	connect(t, h, "1", "LEVEL_1")
	if h.Room() == nil {
		t.Error("a full hub has room")
	}
	if _, err := dial(t, h, Identity{}); err == nil {
		t.Error("a second connection was accepted")
	}
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	h, reg := newHub(t, func(o *Options) { o.Heartbeat = 10 * time.Millisecond })
	p := connect(t, h, "1", "LEVEL_1")
	if got := metricstest.Value(t, reg, "ggrt_heartbeat_last_timestamp"); got != 0 {
		t.Errorf("timestamp before the first round = %v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	if e := p.next(); e.EventType != EventPing {
		t.Errorf("got %q, want a ping", e.EventType)
	}
	eventually(t, "the round is stamped", func() bool {
		return time.Since(time.Unix(int64(metricstest.Value(t, reg, "ggrt_heartbeat_last_timestamp")), 0)) < time.Minute
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := metricstest.Value(t, reg, "ggrt_broadcasts_total"); got != 0 {
		t.Errorf("%v heartbeats were counted as broadcasts", got)
	}
}

// The peers that answer stay, whether they answer by themselves or talk anyway; the one that has vanished is cut, and not early.
func TestSilentPeersAreAskedAndCut(t *testing.T) {
	t.Parallel()
	const silence = 100 * time.Millisecond
	h, reg := newHub(t, func(o *Options) { o.Silence = silence })
	connect(t, h, "gone", "LEVEL_1") // never read from again: it answers nothing
	alive := connect(t, h, "alive", "LEVEL_1")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{}, 2)
	begin := time.Now()
	go func() { _ = h.Run(ctx); done <- struct{}{} }()
	go func() {
		defer func() { done <- struct{}{} }()
		for { // answers pings until it is closed
			if _, err := wsutil.ReadServerText(alive.conn); err != nil {
				return
			}
		}
	}()
	eventually(t, "the one that vanished is cut", func() bool { return h.Stats().Connections == 1 })
	if took := time.Since(begin); took < silence {
		t.Errorf("cut after %v, before it could answer", took)
	}
	for end := time.Now().Add(6 * silence); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if h.Stats().Connections != 1 {
			t.Fatal("one that answers was cut")
		}
	}
	if got := metricstest.Value(t, reg, "ggrt_silent_peers_cut_total"); got != 1 {
		t.Errorf("cut = %v, want 1", got)
	}
	cancel()
	_ = alive.conn.Close()
	<-done
	<-done
}

// The defect half-open-kept.
func TestPeersThatDoNotAnswerAreKept(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, func(o *Options) { o.Silence, o.KeepGone = 20*time.Millisecond, func() bool { return true } })
	connect(t, h, "gone", "LEVEL_1")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := h.Run(ctx); err != nil || h.Stats().Connections != 1 {
		t.Errorf("%d connections, %v", h.Stats().Connections, err)
	}
}

// The defect slow-consumer-blocks: one that does not read holds up everybody for as long as it is there.
func TestASlowConsumerBlocks(t *testing.T) {
	t.Parallel()
	h, reg := newHub(t, func(o *Options) { o.WriteTimeout, o.SlowBlocks = 50*time.Millisecond, func() bool { return true } })
	slow := connect(t, h, "slow", "LEVEL_1")
	fast := connect(t, h, "fast", "LEVEL_1")
	go func() {
		for {
			if _, err := wsutil.ReadServerText(fast.conn); err != nil {
				return
			}
		}
	}()
	big, done := strings.Repeat("x", 64<<10), make(chan error, 1)
	go func() {
		for range 100 {
			if _, _, err := h.Broadcast(note(t, "", big)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	select {
	case err := <-done:
		t.Fatalf("nobody was held up: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	if h.Stats().Connections != 2 || metricstest.Value(t, reg, "ggrt_slow_consumers_dropped_total") != 0 {
		t.Error("the slow consumer was dropped")
	}
	_ = slow.conn.Close()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("the others are held up although the slow consumer is gone")
	}
}

// Who is connected with an expired token is told so and sent away; with the defect sockets-outlive-token nobody is.
func TestConnectionsEndWithTheirToken(t *testing.T) {
	t.Parallel()
	for name, outlive := range map[string]bool{"sound": false, "sockets-outlive-token": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, reg := newHub(t, func(o *Options) { o.Silence, o.Outlive = 10*time.Second, func() bool { return outlive } })
			until := time.Now().Add(700 * time.Millisecond)
			short, err := dial(t, h, Identity{UserID: "1", Until: until})
			if err != nil {
				t.Fatal(err)
			}
			short.next()
			connect(t, h, "2", "LEVEL_1") // without an end
			if _, err := dial(t, h, Identity{UserID: "3", Until: time.Now().Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			_ = h.Run(ctx)
			want := map[bool]float64{false: 1, true: 0}[outlive]
			if got := metricstest.Value(t, reg, "ggrt_expired_sessions_closed_total"); got != want {
				t.Errorf("%v were closed, want %v", got, want)
			}
			if outlive {
				return
			}
			_ = short.conn.SetReadDeadline(time.Now().Add(patience))
			var closed wsutil.ClosedError
			if _, err := wsutil.ReadServerText(short.conn); !errors.As(err, &closed) || closed.Code != 1008 || closed.Reason != "token expired" {
				t.Errorf("ended with %v", err)
			}
			eventually(t, "the others stay", func() bool { return h.Stats().Connections == 2 })
		})
	}
}
