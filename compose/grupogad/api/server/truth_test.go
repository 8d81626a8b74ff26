package server

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/compose/grupogad/api/defects"
	"github.com/eevans-d/simulacro/compose/grupogad/api/hub"
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier"
	"github.com/eevans-d/simulacro/verifier/audit"
)

// TestTruthOfTheSocketMetrics: the doctor's witness works on a real hub. What is said of sound metrics is good, and each way in
// which the real system's metrics lie is told of the metric that lies, and of no other.
func TestTruthOfTheSocketMetrics(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		defects []string
		change  func(*world)
		bad     map[string]drills.Level // by metric; every other one is OK
	}{
		"sound":                      {},
		"the gauge is always zero":   {defects: []string{string(defects.ActiveConnectionsZero)}, bad: map[string]drills.Level{"ggrt_active_connections": drills.LevelProblem}},
		"nothing is ever observed":   {defects: []string{string(defects.LatencyNeverObserved)}, bad: map[string]drills.Level{"ggrt_message_latency_seconds_count": drills.LevelProblem}},
		"a metric nobody exposes":    {change: func(w *world) { w.hide = "ggrt_broadcasts_total" }, bad: map[string]drills.Level{"ggrt_broadcasts_total": drills.LevelProblem}},
		"heartbeats are broadcasts":  {change: func(w *world) { w.add["ggrt_broadcasts_total"] = 1 }, bad: map[string]drills.Level{"ggrt_broadcasts_total": drills.LevelProblem}},
		"messages fail":              {change: func(w *world) { w.add["ggrt_send_errors_total"] = 1 }, bad: map[string]drills.Level{"ggrt_send_errors_total": drills.LevelProblem}},
		"the heartbeat stands still": {change: func(w *world) { w.skew = 3 * time.Minute }, bad: map[string]drills.Level{"ggrt_heartbeat_last_timestamp": drills.LevelProblem}},
		"others are about":           {change: func(w *world) { w.busy = 2 }},
		"others are busy":            {change: func(w *world) { w.busy = 20 }, bad: map[string]drills.Level{"ggrt_connections_total": drills.LevelNotChecked}},
		"others come meanwhile":      {change: func(w *world) { w.come = 25 }, bad: map[string]drills.Level{"ggrt_broadcasts_total": drills.LevelNotChecked}},
		"the gauge is zero and others are busy": {
			change:  func(w *world) { w.busy = 20 },
			defects: []string{string(defects.ActiveConnectionsZero)},
			bad:     map[string]drills.Level{"ggrt_active_connections": drills.LevelProblem, "ggrt_connections_total": drills.LevelNotChecked},
		},
		"it counts half of it": {change: func(w *world) { w.share["ggrt_messages_sent_total"] = 0.5 }, bad: map[string]drills.Level{"ggrt_messages_sent_total": drills.LevelProblem}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.sv.switchOn(tc.defects...)
			if tc.change != nil {
				tc.change(w)
			}
			for _, d := range w.look() {
				metric, _, _ := strings.Cut(strings.TrimPrefix(d.What, "truth of "), "{")
				want := drills.LevelOK
				if l, ok := tc.bad[metric]; ok {
					want = l
				}
				if d.Level != want {
					t.Errorf("%s: %s, want %s: %s", d.What, d.Level, want, d.Found)
				}
			}
		})
	}
}

// world is one service, our witness and a Prometheus that scrapes whenever it is asked.
type world struct {
	t     *testing.T
	sv    *service
	reg   *prometheus.Registry
	began time.Time
	hide  string             // a metric that is not exposed
	add   map[string]float64 // what a metric says too much, once we have begun to act
	share map[string]float64 // how much of it a metric says
	skew  time.Duration      // how far Prometheus' clock is ahead
	busy  float64            // connections that others make in a second
	come  float64            // messages that others publish in a second, once we have begun to act

	mu      sync.Mutex
	acting  bool
	acted   time.Time // when it began
	scraped time.Time
	found   []*dto.MetricFamily
}

const scrapeEvery = 400 * time.Millisecond

func newWorld(t *testing.T) *world {
	w := &world{t: t, reg: prometheus.NewRegistry(), began: time.Now(), add: map[string]float64{}, share: map[string]float64{}}
	w.sv = newService(t, func(d *Deps) {
		on := func(n defects.Name) func() bool { return func() bool { return d.Defects.On(n) } }
		d.Hub = hub.New(hub.Options{
			Origin: "api-1/x", Queue: 64, MaxConns: 10, WriteTimeout: time.Second, Heartbeat: 700 * time.Millisecond, Log: zap.NewNop(),
			Register:   prometheus.WrapRegistererWith(prometheus.Labels{"env": "test"}, w.reg),
			ActiveZero: on(defects.ActiveConnectionsZero), NoLatency: on(defects.LatencyNeverObserved),
		})
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.sv.s.Hub.Run(ctx) }() // its heartbeat
	t.Cleanup(func() { cancel(); <-done })
	return w
}

func (w *world) look() []drills.Diagnosis {
	sel := func(metric string) string { return metric + `{env="test"}` }
	truth := drills.Truth{Canary: "ws", Connections: 4, Messages: 12, Metrics: []drills.TruthMetric{
		{Metric: sel("ggrt_active_connections"), Is: drills.TruthConnections},
		{Metric: `ggrt_role_connections{env="test",role="LEVEL_3"}`, Is: drills.TruthConnections},
		{Metric: sel("ggrt_user_active"), Is: drills.TruthUsers},
		{Metric: sel("ggrt_connections_total"), Is: drills.TruthConnects},
		{Metric: sel("ggrt_messages_sent_total"), Is: drills.TruthReceived},
		{Metric: sel("ggrt_broadcasts_total"), Is: drills.TruthPublished},
		{Metric: sel("ggrt_message_latency_seconds_count"), Is: drills.TruthDelivered},
		{Metric: sel("ggrt_send_errors_total"), Is: drills.TruthErrors, Of: sel("ggrt_messages_sent_total"), Max: 0.001},
		{Metric: sel("ggrt_heartbeat_last_timestamp"), Is: drills.TruthTime, MaxAge: drills.Duration(2 * time.Minute)},
	}}
	base := w.sv.http.URL
	witness, err := verifier.NewWitness(w.t.Context(), verifier.WitnessConfig{Truth: truth, Name: "here", Launcher: here{}, Spec: drills.CanarySpec{
		Kind: drills.PubSub, PublishURL: base + "/ws/_test/broadcast", Receive: []string{"ws" + strings.TrimPrefix(base, "http") + "/ws/connect"},
		Topic: "canary-{run}", Expect: drills.HTTPExpect{Contains: `"published":true`},
		Login: &drills.Login{URL: base + "/auth/login", Username: "admin@gad.example", Password: "right"},
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() {
		if err := witness.Close(context.Background()); err != nil {
			w.t.Error(err)
		}
	}()
	do := func(ctx context.Context, d drills.Deed) (drills.Tally, error) {
		w.mu.Lock()
		if !w.acting {
			w.acting, w.acted = true, time.Now()
		}
		w.mu.Unlock()
		return witness.Do(ctx, d)
	}
	return audit.Truth(w.t.Context(), audit.TruthInput{Truth: truth, Ask: w.ask, Do: do})
}

var askedFor = regexp.MustCompile(`^(sum|min)\((timestamp\()?(\w+)\{(.*)\}\)+$`)

// ask answers the questions that are asked of Prometheus, from the registry as it is now.
func (w *world) ask(_ context.Context, q string) ([]float64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.scrape()
	if now := unix(time.Now().Add(w.skew)); q == "time()" {
		return []float64{now}, nil
	}
	m := askedFor.FindStringSubmatch(q)
	if m == nil {
		w.t.Errorf("asked %s", q)
		return nil, nil
	}
	v, found := w.value(m[3], strings.ReplaceAll(m[4], `"`, ""))
	switch {
	case !found || m[3] == w.hide:
		return nil, nil
	case m[2] != "":
		return []float64{unix(w.scraped.Add(w.skew))}, nil
	}
	if w.acting {
		v += w.add[m[3]]
	}
	if k, ok := w.share[m[3]]; ok {
		v *= k
	}
	if m[3] == "ggrt_broadcasts_total" && w.acting {
		v += max(0, w.come*w.scraped.Sub(w.acted).Seconds())
	}
	if m[3] == "ggrt_connections_total" {
		v += w.busy * w.scraped.Sub(w.began).Seconds()
	}
	return []float64{v}, nil
}

func unix(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

// scrape takes everything that is exposed, when it is time.
func (w *world) scrape() {
	if time.Since(w.scraped) < scrapeEvery {
		return
	}
	var err error
	w.scraped = time.Now()
	if w.found, err = w.reg.Gather(); err != nil {
		w.t.Error(err)
	}
}

// value adds the series up that have the labels.
func (w *world) value(name, labels string) (sum float64, found bool) {
	counted := strings.TrimSuffix(name, "_count")
	for _, f := range w.found {
		if f.GetName() != name && f.GetName() != counted {
			continue
		}
		for _, m := range f.Metric {
			if !carries(m, labels) {
				continue
			}
			sum, found = sum+m.GetCounter().GetValue()+m.GetGauge().GetValue()+float64(m.GetHistogram().GetSampleCount()), true
		}
	}
	return math.Round(sum*1e6) / 1e6, found
}

func carries(m *dto.Metric, labels string) bool {
	for want := range strings.SplitSeq(labels, ",") {
		ok := false
		for _, l := range m.Label {
			ok = ok || l.GetName()+"="+l.GetValue() == want
		}
		if !ok {
			return false
		}
	}
	return true
}

// here runs the witness as a goroutine of the test, over pipes.
type here struct{}

func (here) Start(context.Context, drills.Place, []string) (drills.Stream, error) {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	s := &piped{in: inW, dec: json.NewDecoder(outR), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		_ = verifier.WitnessMain(context.Background(), inR, outW)
		_ = outW.Close()
	}()
	return s, nil
}

type piped struct {
	in   *io.PipeWriter
	dec  *json.Decoder
	done chan struct{}
}

func (s *piped) Send(f drills.Frame) error { return json.NewEncoder(s.in).Encode(f) }

func (s *piped) Recv() (f drills.Frame, err error) { return f, s.dec.Decode(&f) }

func (s *piped) Close(context.Context) error { _ = s.in.Close(); <-s.done; return nil }
