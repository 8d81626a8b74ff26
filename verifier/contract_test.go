package verifier

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
)

func TestContractCountsHonestAnswers(t *testing.T) {
	t.Parallel()
	took := func(c Class, text string, ms int) Sample {
		return Sample{Class: c, Text: text, Done: int64(ms) * int64(time.Millisecond)}
	}
	samples := []Sample{
		took(Good, "", 10), took(Good, "", 2500), // the second is late
		took(Failed, "HTTP 503, Retry-After", 3), took(Failed, "HTTP 503, Retry-After", 5), took(Failed, "HTTP 503", 2100),
		took(Failed, "HTTP 500", 4), took(Timeout, "no answer in time", 3000), took(Refused, "connect: connection refused", 1),
		took(Throttled, "HTTP 429, Retry-After", 1),
	}
	got := contractStat(samples, drills.Answers{Probe: "page", Within: drills.Duration(2 * time.Second), Allowed: []string{"HTTP 503"}})
	if got.InTime != 1 || got.Honest != 2 {
		t.Errorf("in time %d, honest %d; want 1 and 2", got.InTime, got.Honest)
	}
	if got.Said[0] != (drills.Said{Class: "failed", Text: "HTTP 503, Retry-After", Count: 2, Slowest: drills.Duration(5 * time.Millisecond)}) || len(got.Said) != 7 {
		t.Errorf("said %+v", got.Said)
	}
	if got.P50.At.D() != 10*time.Millisecond { // of 3, 5, 10, 2100, 2500, 3000: neither the 500 nor the refused one was an answer
		t.Errorf("p50 %s, want 10ms", got.P50.At)
	}
	strict := contractStat(samples, drills.Answers{Within: drills.Duration(2 * time.Second), Allowed: []string{"HTTP 503, Retry-After"}})
	if strict.Honest != 2 {
		t.Errorf("honest %d with manners, want 2", strict.Honest)
	}
	if none := contractStat(nil, drills.Answers{Probe: "page"}); none.InTime+none.Honest != 0 || none.P95 != (drills.Quantile{}) {
		t.Errorf("of nothing: %+v", none)
	}
}

// TestQuantileBoundsHold: each bound holds for the true quantile in at least 95 % of experiments, less what chance does.
func TestQuantileBoundsHold(t *testing.T) {
	t.Parallel()
	const runs = 4000
	r := rand.New(rand.NewPCG(1, 2))
	for _, q := range []float64{0.5, 0.95} {
		truth := time.Duration(q * float64(time.Second)) // of a uniform latency
		below, above := 0, 0
		for range runs {
			v := make([]time.Duration, 120)
			for i := range v {
				v[i] = time.Duration(r.Int64N(int64(time.Second)))
			}
			slices.Sort(v)
			b := quantileBounds(v, q)
			if b.Lo.D() > truth {
				below++
			}
			if b.Hi != 0 && b.Hi.D() < truth {
				above++
			}
		}
		if most := runs * 6 / 100; below > most || above > most { // 5 %, and three standard deviations
			t.Errorf("q %g: the bounds missed %d and %d of %d times, at most %d", q, below, above, runs, most)
		}
	}
	if b := quantileBounds(make([]time.Duration, 298), 0.99); b.Hi != 0 {
		t.Error("298 values bound a p99 from above")
	}
	if b := quantileBounds([]time.Duration{1: 5}, 0.5); b.Hi != 0 {
		t.Error("two values bound a median from above")
	}
	v := make([]time.Duration, 299)
	for i := range v {
		v[i] = time.Duration(i + 1)
	}
	if b := quantileBounds(v, 0.99); b.Hi != 299 {
		t.Errorf("299 values bound a p99 by the largest, got %d", b.Hi)
	}
}

// TestWindowsAreCountedAgain: what verify counts from the raw file is what the run counted, and not if a sample is changed.
func TestWindowsAreCountedAgain(t *testing.T) {
	t.Parallel()
	meta := ProbeMeta{Schema: ProbeSchema, Name: "page", Mono: 1000, Wall: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)}
	var raw bytes.Buffer
	w, err := newRawWriter(nopCloser{&raw}, meta)
	if err != nil {
		t.Fatal(err)
	}
	var samples []Sample
	for i := range int64(200) {
		s := Sample{Seq: i, Due: i * 1e7, Send: i*1e7 + 5, Done: i*1e7 + 3e6, Class: Good}
		if i%3 == 0 {
			s.Class, s.Text = Failed, "HTTP 503"
		}
		samples = append(samples, s)
		if err := w.add(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	c := meta.clock()
	window := drills.Interval{From: c.Time(50 * 1e7), To: c.Time(150 * 1e7)}
	asked := drills.Answers{Probe: "page", Within: drills.Duration(time.Second), Allowed: []string{"HTTP 503"}}
	was := []drills.WindowStat{
		windowStat(sentIn(samples, 50*1e7, 150*1e7), drills.WindowStat{Probe: "page", Title: drills.ContractTitle, Window: window}, &asked),
		windowStat(sentIn(samples, 50*1e7, 150*1e7), drills.WindowStat{Probe: "page", Title: "phase:fault", Window: window}, nil),
	}
	again, err := MeasureWindows(bytes.NewReader(raw.Bytes()), was)
	if d := cmp.Diff(was, again); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	if was[0].Count.Good+was[0].Count.Failed != 100 || was[0].Degraded.Honest == 0 || was[1].Degraded != nil {
		t.Errorf("counted %+v", was)
	}
	forged := bytes.Replace(raw.Bytes(), []byte("good"), []byte("failed"), -1)
	if other, err := MeasureWindows(bytes.NewReader(forged), was); err != nil || cmp.Equal(was, other) {
		t.Errorf("a forged file gives the same windows (%v)", err)
	}
}

type nopCloser struct{ *bytes.Buffer }

func (nopCloser) Close() error { return nil }
