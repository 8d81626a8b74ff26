package verifier

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
)

func ms(n int) drills.Duration { return drills.Duration(time.Duration(n) * time.Millisecond) }

// A run against a real HTTP server that fails, throttles and recovers: brackets contain the truth, classes are told
// apart, and the raw files give the same result again.
func TestProbesMeasureARun(t *testing.T) {
	t.Parallel()
	var status atomic.Int32
	status.Store(200)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) }))
	defer srv.Close()
	files, seen, l := newMemSamples(), &events{}, &inProcess{t: t}
	p := NewProbes(ProbesConfig{Launcher: l, Samples: files, Recovery: drills.Recovery{For: ms(500)}, Specs: map[string]drills.ProbeSpec{
		"api": {Kind: "http", URL: srv.URL, From: drills.From{Host: true}, Every: ms(10), Timeout: ms(100)},
		"net": {Kind: "tcp", Address: srv.Listener.Addr().String(), From: drills.From{Network: "n"}, Every: ms(20), Timeout: ms(100)},
	}})
	if err := p.Start(t.Context(), seen.emit); err != nil {
		t.Fatal(err)
	}
	if len(l.places) != 2 {
		t.Fatalf("agents in %v, want one on the host and one in the network", l.places)
	}
	from := time.Now()
	wait(t, 400*time.Millisecond)
	steady := drills.Interval{From: from, To: time.Now()}
	base, err := p.Baseline(t.Context(), steady)
	if err != nil || len(base) != 2 || base[0].Baseline.Share != 1 || base[0].Baseline.Count.Good < 20 {
		t.Fatalf("baseline %+v, %v", base, err)
	}
	down := time.Now()
	status.Store(503)
	wait(t, 300*time.Millisecond)
	status.Store(200)
	up := time.Now()
	eventually(t, "edges of api", func() bool { return len(seen.edges("api")) >= 2 })
	wait(t, 200*time.Millisecond)
	got, err := p.Finish(t.Context(), drills.Timing{Steady: steady})
	if err != nil || len(got) != 2 {
		t.Fatalf("finish: %v, %d events", err, len(got))
	}
	api, tcp := *got[0].Probe, *got[1].Probe
	if len(api.Outages) != 1 || api.Outages[0].End == nil || api.Error != "" {
		t.Fatalf("outages %+v, error %q", api.Outages, api.Error)
	}
	o := api.Outages[0]
	if o.Start.From.After(down) || o.Start.To.Before(down.Add(-time.Millisecond)) || o.End.From.After(up.Add(time.Millisecond)) || o.End.To.Before(up) {
		t.Errorf("down %v up %v, bracket %+v %+v", down.UTC(), up.UTC(), o.Start, *o.End)
	}
	if len(tcp.Outages) != 0 || tcp.Count.Bad() != 0 {
		t.Errorf("tcp probe saw an outage: %+v", tcp)
	}
	again, err := Measure(bytes.NewReader(files.bytes(api.Raw)), steady)
	again.Raw = api.Raw
	if diff := cmp.Diff(api, again); err != nil || diff != "" {
		t.Errorf("recomputed: %v\n%s", err, diff)
	}
	edges := seen.edges("api")
	if edges[0].Good || edges[0].Class != "failed" || !edges[1].Good {
		t.Errorf("edges %+v", edges)
	}
	ws, err := p.Windows(t.Context(), []drills.NamedWindow{
		{During: drills.During{Title: "phase:observing"}, Window: drills.Interval{From: down, To: up}},
		{During: drills.During{Title: "x", Probe: "other"}, Window: steady},
		{During: drills.During{Title: "keeps on", Probe: "api"}, Window: steady},
	})
	if err != nil || len(ws) != 3 || ws[0].Window.Share > 0.2 || ws[2].Window.Title != "keeps on" || ws[2].Window.Share != 1 {
		t.Errorf("windows %+v, %v", ws, err)
	}
}

func startProbes(t *testing.T, specs map[string]drills.ProbeSpec) (*Probes, *inProcess, *events, *memSamples) {
	t.Helper()
	files, seen, l := newMemSamples(), &events{}, &inProcess{t: t}
	p := NewProbes(ProbesConfig{Launcher: l, Samples: files, Specs: specs, Recovery: drills.Recovery{For: ms(400)}})
	if err := p.Start(t.Context(), seen.emit); err != nil {
		t.Fatal(err)
	}
	return p, l, seen, files
}

// A server that is frozen for longer than the timeout is found with its ends; for less, every caller has had its answer in
// time, and it shows as latency.
func TestProbesSeeAFreeze(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		timeout drills.Duration
		found   int
	}{"longer than the timeout": {ms(200), 1}, "shorter than the timeout": {ms(2000), 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeRedis(t, nil)
			p, _, _, _ := startProbes(t, map[string]drills.ProbeSpec{"r": {Kind: "redis", Address: f.addr(), Every: ms(10), Timeout: c.timeout}})
			from := time.Now()
			wait(t, 400*time.Millisecond)
			steady := drills.Interval{From: from, To: time.Now()}
			held := make(chan struct{})
			f.set(func() { f.held = held })
			frozen := time.Now()
			wait(t, 700*time.Millisecond)
			f.set(func() { f.held = nil })
			thawed := time.Now()
			close(held)
			wait(t, 600*time.Millisecond)
			ev, err := p.Finish(t.Context(), drills.Timing{Steady: steady})
			if err != nil {
				t.Fatal(err)
			}
			m := ev[0].Probe
			if len(m.Outages) != c.found || (m.Count.Bad() > 0) != (c.found > 0) {
				t.Fatalf("%+v, %+v", m.Outages, m.Count)
			}
			if c.found == 0 {
				return
			}
			o := m.Outages[0]
			// The fake server shares this process: on a busy machine it goes on somewhat after it was thawed.
			const slack = 50 * time.Millisecond
			if o.Kind != drills.Frozen || o.End == nil || frozen.Before(o.Start.From) || frozen.After(o.Start.To.Add(slack)) ||
				thawed.Add(slack).Before(o.End.From) || thawed.After(o.End.To) {
				t.Errorf("frozen %v to %v, found %+v", frozen.UTC(), thawed.UTC(), o)
			}
		})
	}
}

// A prober that dies spoils the measurement and is told of at once.
func TestProbesThatDie(t *testing.T) {
	t.Parallel()
	f := newFakeRedis(t, nil)
	p, l, seen, _ := startProbes(t, map[string]drills.ProbeSpec{"r": {Kind: "redis", Address: f.addr(), Every: ms(10)}})
	wait(t, 150*time.Millisecond)
	l.kill[0]()
	eventually(t, "an edge", func() bool { e := seen.edges("r"); return len(e) == 1 && e[0].Class == "observer" && !e[0].Good })
	ev, _ := p.Finish(t.Context(), drills.Timing{})
	if m := ev[0].Probe; !strings.Contains(m.Error, "prober died") || m.Count.Good == 0 || m.SHA256 == "" {
		t.Errorf("%+v", m)
	}
}

func TestProbesThatCannotStart(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]ProbesConfig{
		"unknown kind":  {Specs: map[string]drills.ProbeSpec{"good": {Kind: "tcp", Address: "127.0.0.1:1", From: drills.From{Network: "n"}}, "x": {Kind: "pigeon"}}},
		"secret":        {Specs: map[string]drills.ProbeSpec{"x": {Kind: "tcp"}}, Expand: func(string) (string, error) { return "", errors.New("no such secret") }},
		"foreign clock": {Specs: map[string]drills.ProbeSpec{"x": {Kind: "tcp"}}, Launcher: foreignClock{}},
		"cannot launch": {Specs: map[string]drills.ProbeSpec{"x": {Kind: "tcp"}}, Launcher: noLauncher{}},
	} {
		cfg.Samples = newMemSamples()
		if cfg.Launcher == nil {
			cfg.Launcher = &inProcess{t: t}
		}
		if err := NewProbes(cfg).Start(t.Context(), func(drills.Event) {}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

type noLauncher struct{}

func (noLauncher) Start(context.Context, drills.Place, []string) (drills.Stream, error) {
	return nil, errors.New("no such network")
}

// foreignClock starts agents whose monotonic clock is not ours.
type foreignClock struct{}

func (foreignClock) Start(context.Context, drills.Place, []string) (drills.Stream, error) {
	return &foreignStream{}, nil
}

type foreignStream struct{ sent bool }

func (s *foreignStream) Send(drills.Frame) error     { return nil }
func (s *foreignStream) Close(context.Context) error { return nil }
func (s *foreignStream) Recv() (drills.Frame, error) {
	if s.sent {
		return drills.Frame{}, io.EOF
	}
	s.sent = true
	return drills.Frame{Type: "ready", Mono: 5, Data: []byte("{}")}, nil
}

// What the agent gets holds the secrets' values and the files' texts; the system's own spec is left as it was.
func TestExpand(t *testing.T) {
	t.Parallel()
	values := map[string]string{"${env:P}": "secret", "${file:ca.pem}": "-----BEGIN x", "${env:H}": "header"}
	expand := Expand(func(s string) (string, error) {
		for k, v := range values {
			s = strings.ReplaceAll(s, k, v)
		}
		return s, nil
	})
	in := drills.ProbeSpec{
		Password: "${env:P}", Headers: map[string]string{"A": "${env:H}"}, TLS: &drills.TLS{CA: "ca.pem"},
		Login: &drills.Login{Password: "x${env:P}"}, Sentinels: []string{"s"}, DSN: "postgres://u:${env:P}@h/d", Command: []string{"c", "${env:P}"},
	}
	out, err := expand.probe(in)
	if err != nil || out.Password != "secret" || out.Headers["A"] != "header" || out.TLS.CA != "-----BEGIN x" || out.Login.Password != "xsecret" || out.DSN != "postgres://u:secret@h/d" || out.Command[1] != "secret" {
		t.Errorf("%+v, %v", out, err)
	}
	if in.Headers["A"] != "${env:H}" || in.TLS.CA != "ca.pem" || in.Login.Password != "x${env:P}" || in.Command[1] != "${env:P}" {
		t.Errorf("the spec was changed: %+v", in)
	}
	c, err := expand.canary(drills.CanarySpec{Password: "${env:P}", Members: []string{"${env:H}"}})
	if err != nil || c.Password != "secret" || c.Members[0] != "header" {
		t.Errorf("%+v, %v", c, err)
	}
}
