package verifier

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
)

// station is one instance of a service that publishes to its own clients and relays to its peer's. It keeps its own books of
// what it did, and shares no code with the canary.
type station struct {
	*httptest.Server
	peer *station

	mu        sync.Mutex
	conns     map[*websocket.Conn]string // topic
	status    int                        // of an answer to a publication; 0: 200
	deaf      bool                       // takes nothing from its peer
	twice     bool                       // its own clients get everything a second time
	hold      []string                   // relayed messages kept back while holding
	holding   bool
	alter     bool
	published int // answered with 200
	relayed   int // passed on to the clients of this one for its peer
	dropped   int // not passed on because it was deaf
}

// newStations are two instances, each the other's peer.
func newStations(t *testing.T) (a, b *station) {
	a, b = newStation(t), newStation(t)
	a.peer, b.peer = b, a
	return a, b
}

func newStation(t *testing.T) *station {
	s := &station{conns: map[*websocket.Conn]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", s.subscribe)
	mux.HandleFunc("/publish", s.publish)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(func() { s.cut(); s.Close() })
	return s
}

func (s *station) set(f func()) { s.mu.Lock(); defer s.mu.Unlock(); f() }

func (s *station) subscribe(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer s.set(func() { delete(s.conns, c) })
	for {
		_, b, err := c.Read(context.Background())
		if err != nil {
			return
		}
		var m struct{ Data struct{ Events []string } }
		if json.Unmarshal(b, &m) == nil && len(m.Data.Events) == 1 {
			s.set(func() { s.conns[c] = m.Data.Events[0] })
		}
	}
}

func (s *station) publish(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	status := s.status
	if status == 0 {
		s.published++
	}
	s.mu.Unlock()
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	s.deliver(string(b))
	s.peer.relay(string(b))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.twice {
		s.write(string(b))
	}
}

func (s *station) deliver(msg string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write(msg)
}

func (s *station) relay(msg string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.deaf:
		s.dropped++
		return
	case s.holding:
		s.hold = append(s.hold, msg)
		return
	case s.alter:
		i := strings.Index(msg, ".")
		msg = msg[:i+1] + "0000" + msg[i+5:]
	}
	s.relayed++
	s.write(msg)
}

// release passes on what was held back, behind what came since.
func (s *station) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.hold {
		s.relayed++
		s.write(m)
	}
	s.hold = nil
}

// write sends to every subscriber of the message's topic. The lock is held.
func (s *station) write(msg string) {
	var m struct{ Topic string }
	_ = json.Unmarshal([]byte(msg), &m)
	for c, topic := range s.conns {
		if topic == m.Topic {
			_ = c.Write(context.Background(), websocket.MessageText, []byte(`{"data":`+msg+`}`))
		}
	}
}

func (s *station) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.CloseNow()
	}
}

func (s *station) count(f func() int) int { s.mu.Lock(); defer s.mu.Unlock(); return f() }

// fanOutCanary publishes on a, with one client there and two at b.
func fanOutCanary(t *testing.T, a, b *station) (*Canary, *memSamples) {
	t.Helper()
	files := newMemSamples()
	ws := func(s *station) string { return strings.Replace(s.URL, "http", "ws", 1) + "/ws" }
	c := NewCanary(CanaryConfig{Name: "fan", Run: "run-1", Launcher: &inProcess{t: t}, Samples: files, Spec: drills.CanarySpec{
		Kind: drills.PubSub, PublishURL: a.URL + "/publish", Receive: []string{ws(a), ws(b)}, Clients: 2,
		Topic: "canary-{run}", Every: ms(5), Timeout: ms(1000),
	}})
	if err := c.Start(t.Context(), func(drills.Event) {}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "publishing", func() bool { return a.count(func() int { return a.published }) > 20 })
	return c, files
}

func fanOutMeasured(t *testing.T, c *Canary, files *memSamples) drills.CanaryMeasured {
	t.Helper()
	if err := c.ReadBack(t.Context(), drills.Timing{}); err != nil {
		t.Fatal(err)
	}
	m := finished(t, c, drills.Timing{})
	again, err := MeasureCanary(bytes.NewReader(files.bytes(m.Raw)), drills.Timing{})
	again.Raw = m.Raw
	if diff := cmp.Diff(m, again); err != nil || diff != "" {
		t.Errorf("recomputed: %v\n%s", err, diff)
	}
	if m.Error != "" || len(m.Clients) != 4 || len(m.Members) != 0 || m.Survived+m.Lost+m.Corrupt < m.Acked {
		t.Fatalf("%+v", m)
	}
	return m
}

func publishes(t *testing.T, s *station, n int) {
	t.Helper()
	from := s.count(func() int { return s.published })
	eventually(t, "more messages", func() bool { return s.count(func() int { return s.published }) >= from+n })
}

func TestFanOutWithoutLoss(t *testing.T) {
	t.Parallel()
	a, b := newStations(t)
	c, files := fanOutCanary(t, a, b)
	publishes(t, a, 30)
	m := fanOutMeasured(t, c, files)
	if m.Acked != a.published || m.Survived != m.Acked || m.Lost+m.Duplicated+m.Reordered+m.Corrupt+m.Phantom+m.Failed+m.Indeterminate != 0 {
		t.Errorf("published %d: %+v", a.published, m)
	}
	for _, x := range m.Clients {
		if x.Received != m.Acked || x.Reconnects != 0 || x.Gap.D() <= 0 || x.P95 <= 0 {
			t.Errorf("%+v", x)
		}
	}
	if m.Purged || m.PurgeProof != "" {
		t.Errorf("claims a purge: %q", m.PurgeProof)
	}
}

// What does not pass between the instances is counted as the stations themselves count it, and only for those who listen there.
func TestFanOutLoss(t *testing.T) {
	t.Parallel()
	a, b := newStations(t)
	c, files := fanOutCanary(t, a, b)
	began := time.Now()
	b.set(func() { b.deaf = true })
	publishes(t, a, 40)
	b.set(func() { b.deaf = false })
	deaf := time.Since(began)
	publishes(t, a, 30)
	m := fanOutMeasured(t, c, files)
	if m.Lost != b.dropped || b.dropped < 40 || m.Survived != m.Acked-m.Lost || len(m.Spans) != 1 {
		t.Errorf("the station dropped %d: %+v", b.dropped, m)
	}
	for i, x := range m.Clients {
		want := 0
		if i >= 2 {
			want = b.dropped
		}
		if x.Lost != want || x.Connected != want || x.Received != m.Acked-want || i >= 2 && (x.Gap.D() < deaf/2 || x.GapFrom.Before(began.Add(-time.Second))) {
			t.Errorf("want %d lost, deaf for %s: %+v", want, deaf, x)
		}
	}
}

// The publishing instance of the real system hands its own clients every message twice.
func TestFanOutTwice(t *testing.T) {
	t.Parallel()
	a, b := newStations(t)
	a.set(func() { a.twice = true })
	c, files := fanOutCanary(t, a, b)
	m := fanOutMeasured(t, c, files)
	if m.Duplicated != a.published || m.Lost != 0 || m.Clients[0].Duplicated != a.published || m.Clients[2].Duplicated != 0 {
		t.Errorf("published %d: %+v", a.published, m)
	}
}

// A message that was acknowledged before others were sent must not come behind them.
func TestFanOutOutOfOrder(t *testing.T) {
	t.Parallel()
	a, b := newStations(t)
	c, files := fanOutCanary(t, a, b)
	b.set(func() { b.holding = true })
	publishes(t, a, 5)
	b.set(func() { b.holding = false })
	held := b.count(func() int { return len(b.hold) })
	publishes(t, a, 10)
	b.release()
	m := fanOutMeasured(t, c, files)
	if m.Lost != 0 || m.Reordered < held-2 || m.Reordered > held || m.Clients[0].Reordered != 0 || m.Clients[3].Reordered == 0 {
		t.Errorf("%d were held: %+v", held, m)
	}
}

func TestFanOutAltered(t *testing.T) {
	t.Parallel()
	a, b := newStations(t)
	b.set(func() { b.alter = true })
	c, files := fanOutCanary(t, a, b)
	m := fanOutMeasured(t, c, files)
	if m.Corrupt != a.published || m.Lost != 0 || m.Survived != 0 {
		t.Errorf("published %d: %+v", a.published, m)
	}
}

// A broken connection is made again; what was published meanwhile is lost to that client, but not behind its back.
func TestFanOutReconnects(t *testing.T) {
	t.Parallel()
	a, b := newStations(t)
	c, files := fanOutCanary(t, a, b)
	b.cut()
	eventually(t, "both clients again", func() bool { return b.count(func() int { return len(b.conns) }) == 2 })
	publishes(t, a, 60)
	m := fanOutMeasured(t, c, files)
	for i, x := range m.Clients {
		if i < 2 && (x.Reconnects != 0 || x.Lost != 0) || i >= 2 && (x.Reconnects != 1 || x.Connected > 2) {
			t.Errorf("%+v", x)
		}
	}
}

// Only a message that was acknowledged can be lost.
func TestFanOutOutcomes(t *testing.T) {
	t.Parallel()
	for status, count := range map[int]func(drills.CanaryMeasured) int{
		http.StatusServiceUnavailable: func(m drills.CanaryMeasured) int { return m.Indeterminate }, // it may have been passed on
		http.StatusConflict:           func(m drills.CanaryMeasured) int { return m.Failed },
		http.StatusTooManyRequests:    func(m drills.CanaryMeasured) int { return m.Throttled },
	} {
		a, b := newStations(t)
		c, files := fanOutCanary(t, a, b)
		a.set(func() { a.status = status })
		wait(t, 100*time.Millisecond)
		m := fanOutMeasured(t, c, files)
		if n := count(m); n < 5 || m.Lost != 0 || n != m.Sent-m.Acked {
			t.Errorf("%d: %+v", status, m)
		}
	}
}

func TestFanOutThatCannot(t *testing.T) {
	t.Parallel()
	a, b := newStations(t)
	spec := drills.CanarySpec{Kind: drills.PubSub, PublishURL: a.URL + "/publish", Receive: []string{strings.Replace(b.URL, "http", "ws", 1) + "/nothing"}, Topic: "canary-{run}"}
	c := NewCanary(CanaryConfig{Name: "fan", Run: "r", Launcher: &inProcess{t: t}, Samples: newMemSamples(), Spec: spec})
	if err := c.Start(t.Context(), func(drills.Event) {}); err == nil || !strings.Contains(err.Error(), "HTTP 404") {
		t.Errorf("nowhere to receive: %v", err)
	}
	spec.Topic = "everybody"
	shared := NewCanary(CanaryConfig{Name: "fan", Run: "r", Spec: spec})
	if err := shared.Start(t.Context(), func(drills.Event) {}); drills.CodeOf(err) != drills.Input {
		t.Errorf("a topic without {run}: %v", err)
	}
}
