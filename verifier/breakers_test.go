package verifier

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
)

// A run against a real server whose gauge opens and closes: the intervals hold the instants, failed readings are counted, and
// the raw file gives the same again.
func TestBreakersReadARun(t *testing.T) {
	t.Parallel()
	var state, rejected atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if state.Load() == 99 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, "cb_state{of=\"db\"} %d\ncb_rejected_total{of=\"db\"} %d\n", state.Load(), rejected.Load())
	}))
	defer srv.Close()
	files := newMemSamples()
	b := NewBreakers(BreakersConfig{Launcher: &inProcess{t: t}, Samples: files, Components: map[string]drills.Component{"api": {Name: "api", Breakers: map[string]drills.BreakerSpec{
		"db": {Metrics: &drills.BreakerMetrics{
			From: drills.From{Host: true}, URLs: []string{srv.URL}, Every: ms(10), Timeout: ms(500),
			Labels: map[string]string{"of": "db"}, State: "cb_state", Rejected: "cb_rejected_total",
		}},
		"by-traffic": {Traffic: &drills.BreakerTraffic{Probe: "page"}},
	}}}})
	if err := b.Start(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	wait(t, 200*time.Millisecond)
	opened := time.Now()
	state.Store(2)
	wait(t, 200*time.Millisecond)
	rejected.Store(42)
	wait(t, 100*time.Millisecond)
	state.Store(99)
	wait(t, 100*time.Millisecond)
	closed := time.Now()
	state.Store(0)
	wait(t, 200*time.Millisecond)
	got, err := b.Finish(t.Context(), drills.Timing{})
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, %d events", err, len(got))
	}
	m := *got[0].Breaker
	u, _ := url.Parse(srv.URL)
	if m.Name != "api/db" || m.Instance != u.Host || m.Error != "" || m.Missed == 0 || len(m.Spans) != 3 {
		t.Fatalf("%+v", m)
	}
	if m.Spans[1].State != drills.BreakerOpen || m.Spans[1].Rejected != 42 || !inside(m.Spans[1].Enter, opened.Round(0)) {
		t.Errorf("opened at %s: %+v", opened, m.Spans[1])
	}
	if m.Spans[2].State != drills.BreakerClosed || !inside(m.Spans[2].Enter, closed.Round(0)) {
		t.Errorf("closed at %s: %+v", closed, m.Spans[2])
	}
	again, err := MeasureBreakers(bytes.NewReader(files.bytes(m.Raw)))
	if err != nil || len(again) != 1 {
		t.Fatal(err)
	}
	again[0].Raw = m.Raw
	if d := cmp.Diff(m, again[0]); d != "" {
		t.Error(d)
	}
}

// TestBreakersThatCannotBeRead: an address where nobody is, or metrics without the series, give no measurement at all.
func TestBreakersThatCannotBeRead(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "other_state 1") }))
	defer srv.Close()
	b := NewBreakers(BreakersConfig{Launcher: &inProcess{t: t}, Samples: newMemSamples(), Components: map[string]drills.Component{"api": {Name: "api", Breakers: map[string]drills.BreakerSpec{
		"db": {Metrics: &drills.BreakerMetrics{From: drills.From{Host: true}, URLs: []string{srv.URL, "http://127.0.0.1:1/metrics"}, Every: ms(10), Timeout: ms(100), State: "cb_state"}},
	}}}})
	if err := b.Start(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	wait(t, 100*time.Millisecond)
	if got, err := b.Finish(t.Context(), drills.Timing{}); err != nil || len(got) != 0 {
		t.Errorf("%v, measured %+v of nothing", err, got)
	}
}
