package verifier

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/eevans-d/simulacro/drills"
)

func TestReadingsOfMetrics(t *testing.T) {
	t.Parallel()
	body := []byte(`# HELP cb_state 0 closed, 1 half-open, 2 open.
# TYPE cb_state gauge
cb_state{dependency="db",env="test"} 2
cb_state{dependency="cache",env="test"} 0
# TYPE cb_calls_total counter
cb_calls_total{dependency="db",outcome="good"} 7
cb_calls_total{dependency="db",outcome="bad"} 5
cb_calls_total{dependency="cache",outcome="good"} 100
plain_state 1
`)
	db := drills.BreakerMetrics{State: "cb_state", Calls: "cb_calls_total", Labels: map[string]string{"dependency": "db"}}
	plain := drills.BreakerMetrics{State: "plain_state", Open: new(1.0), HalfOpen: new(0.5)}
	text, err := readings(body, map[string]drills.BreakerMetrics{"api/db": db, "api/plain": plain})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]reading
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]reading{"api/db": {State: drills.BreakerOpen, Calls: 12}, "api/plain": {State: drills.BreakerOpen}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for name, b := range map[string]drills.BreakerMetrics{
		"no such gauge":   {State: "nothing"},
		"no such label":   {State: "cb_state", Labels: map[string]string{"dependency": "bot"}},
		"no such counter": {State: "cb_state", Labels: db.Labels, Rejected: "nothing_total"},
	} {
		if text, err := readings(body, map[string]drills.BreakerMetrics{"api/db": b}); err == nil {
			t.Errorf("%s: read %s", name, text)
		}
	}
	if _, err := readings([]byte("<html>"), nil); err == nil {
		t.Error("a page was read as metrics")
	}
}

// at100 is a reading sent n tenths of a second after the start, answered 5 ms later.
func at100(n int, r reading) timedReading {
	from := time.Unix(0, 0).UTC().Add(time.Duration(n) * 100 * time.Millisecond)
	return timedReading{r, drills.Interval{From: from, To: from.Add(5 * time.Millisecond)}}
}

func TestSpansOfReadings(t *testing.T) {
	t.Parallel()
	const c, o, h = drills.BreakerClosed, drills.BreakerOpen, drills.BreakerHalfOpen
	m := spansOf([]timedReading{
		at100(0, reading{State: c, Calls: 100}),
		at100(1, reading{State: c, Calls: 110, Failures: 2}),
		at100(2, reading{State: o, Calls: 113, Failures: 5, Rejected: 3, Opened: 1, Waited: 6}),
		at100(3, reading{State: o, Calls: 113, Failures: 5, Rejected: 9, Opened: 1, Waited: 6}),
		at100(4, reading{State: h, Calls: 113, Failures: 5, Rejected: 12, Opened: 1, Waited: 6}),
		at100(7, reading{State: o, Calls: 114, Failures: 6, Rejected: 13, Opened: 2, Waited: 8}), // two readings are missing
		at100(8, reading{State: o, Calls: 115, Failures: 7, Rejected: 14, Opened: 3, Waited: 10}),
		at100(9, reading{State: c, Calls: 117, Failures: 7, Rejected: 15, Opened: 3, Waited: 11}),
	})
	type row struct {
		state                     drills.BreakerState
		from, to                  float64
		calls, failures, rejected int
		waited                    float64
	}
	var got []row
	for _, s := range m.Spans {
		got = append(got, row{s.State, float64(s.Enter.From.UnixMilli()) / 1000, float64(s.Enter.To.UnixMilli()) / 1000, s.Calls, s.Failures, s.Rejected, s.Waited})
	}
	want := []row{
		{c, 0, 0.005, 13, 5, 0, 6},
		{o, 0.1, 0.205, 0, 0, 9, 0},
		{h, 0.3, 0.405, 0, 0, 3, 0},
		{o, 0.4, 0.705, 2, 2, 3, 4},
		{c, 0.8, 0.905, 2, 0, 0, 1},
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(row{})); d != "" {
		t.Error(d)
	}
	if m.Unseen != 0 || m.Largest.D() != 300*time.Millisecond || m.Readings != 8 {
		t.Errorf("unseen %d, largest gap %s, %d readings", m.Unseen, m.Largest, m.Readings)
	}
	blink := spansOf([]timedReading{at100(0, reading{State: c}), at100(1, reading{State: c, Opened: 1})})
	if blink.Unseen != 1 {
		t.Errorf("an opening between two readings: %d unseen, want 1", blink.Unseen)
	}
	restarted := spansOf([]timedReading{at100(0, reading{State: c, Calls: 900}), at100(1, reading{State: c, Calls: 4})})
	if restarted.Spans[0].Calls != 4 {
		t.Errorf("after a restart %d calls, want the 4 of the new process", restarted.Spans[0].Calls)
	}
}

// circuit is a breaker before a dependency, under calls at a fixed rate, simulated event by event.
type circuit struct {
	period, hang, openFor time.Duration
	threshold             int
	down, up              time.Duration // the outage
	refuses               bool          // the dependency refuses at once instead of keeping silent
	disabled              bool
	length                time.Duration
}

type change struct {
	at    time.Duration
	state drills.BreakerState
}

// run gives the calls as a caller sees them, and the breaker's true changes.
func (w circuit) run() (samples []Sample, truth []change) {
	type landing struct {
		at   time.Duration
		good bool
	}
	var flying []landing
	state, failures, openSince, trial := drills.BreakerClosed, 0, time.Duration(0), false
	turn := func(at time.Duration, s drills.BreakerState) { state, truth = s, append(truth, change{at, s}) }
	land := func(until time.Duration) {
		for {
			first := -1
			for i, l := range flying {
				if l.at <= until && (first < 0 || l.at < flying[first].at) {
					first = i
				}
			}
			if first < 0 {
				return
			}
			l := flying[first]
			flying = append(flying[:first], flying[first+1:]...)
			switch {
			case state == drills.BreakerHalfOpen && trial && l.good:
				failures, trial = 0, false
				turn(l.at, drills.BreakerClosed)
			case state == drills.BreakerHalfOpen && trial:
				trial, openSince = false, l.at
				turn(l.at, drills.BreakerOpen)
			case state == drills.BreakerClosed && l.good:
				failures = 0
			case state == drills.BreakerClosed && !w.disabled:
				if failures++; failures >= w.threshold {
					openSince = l.at
					turn(l.at, drills.BreakerOpen)
				}
			}
		}
	}
	for n := int64(0); time.Duration(n)*w.period < w.length; n++ {
		at := time.Duration(n) * w.period
		land(at)
		if state == drills.BreakerOpen && at >= openSince+w.openFor {
			turn(at, drills.BreakerHalfOpen)
		}
		s := Sample{Seq: n, Due: int64(at), Send: int64(at), Class: Failed, Text: "HTTP 503"}
		took := 2 * time.Millisecond
		if state == drills.BreakerClosed || state == drills.BreakerHalfOpen && !trial {
			trial = trial || state == drills.BreakerHalfOpen
			if at < w.down || at >= w.up {
				s.Class, s.Text = Good, ""
			} else if !w.refuses {
				took = w.hang
			}
			flying = append(flying, landing{at + took, s.Class == Good})
		}
		s.Done = int64(at + took)
		samples = append(samples, s)
	}
	return samples, truth
}

func (w circuit) infer() (drills.BreakerMeasured, []change, drills.Clock) {
	samples, truth := w.run()
	meta := ProbeMeta{Schema: ProbeSchema, Name: "page", Wall: time.Unix(1000, 0).UTC()}
	return inferBreaker(meta, samples, "api/db", drills.BreakerTraffic{Probe: "page"}), truth, meta.clock()
}

func drawCircuit(rt *rapid.T) circuit {
	ms := func(name string, lo, hi int) time.Duration {
		return time.Duration(rapid.IntRange(lo, hi).Draw(rt, name)) * time.Millisecond
	}
	w := circuit{
		period: ms("period", 20, 200), hang: ms("hang", 300, 3000), openFor: ms("open for", 1500, 6000),
		threshold: rapid.IntRange(2, 8).Draw(rt, "threshold"), down: ms("down", 3000, 6000),
	}
	w.up = w.down + w.hang + time.Duration(w.threshold+5)*w.period + ms("outage", 1000, 15000)
	w.length = w.up + w.hang + 2*w.openFor + 5*time.Second
	return w
}

func inside(i drills.Interval, t time.Time) bool { return !t.Before(i.From) && !t.After(i.To) }

// TestInferredBreakerHoldsTheTruth: the interval of the first opening and that of the last closing hold the instants at which
// the simulated breaker really did it.
func TestInferredBreakerHoldsTheTruth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := drawCircuit(rt)
		m, truth, clock := w.infer()
		if m.Error != "" || len(m.Spans) < 3 {
			rt.Fatalf("%+v: %q, %d spans", w, m.Error, len(m.Spans))
		}
		opened, last := m.Spans[1], m.Spans[len(m.Spans)-1]
		if at := clock.Time(int64(truth[0].at)); opened.State != drills.BreakerOpen || !inside(opened.Enter, at) {
			rt.Fatalf("%+v\nopened at %s, inferred %s in %v", w, at, opened.State, opened.Enter)
		}
		end := truth[len(truth)-1]
		if at := clock.Time(int64(end.at)); end.state != drills.BreakerClosed || last.State != drills.BreakerClosed || !inside(last.Enter, at) {
			rt.Fatalf("%+v\n%s at %s, inferred %s in %v", w, end.state, at, last.State, last.Enter)
		}
		if width := last.Enter.To.Sub(last.Enter.From); width > 3*w.period+50*time.Millisecond {
			rt.Fatalf("closing known to %s at a period of %s", width, w.period)
		}
	})
}

// TestNoBreakerIsNotInvented: calls that all hang open nothing, and a dependency that refuses at once cannot be told from an
// open breaker, which is said.
func TestNoBreakerIsNotInvented(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := drawCircuit(rt)
		w.disabled = true
		if m, _, _ := w.infer(); m.Error != "" || len(m.Spans) != 1 || m.Spans[0].Failures == 0 || m.Spans[0].Rejected != 0 {
			rt.Fatalf("%+v without a breaker: %q, %+v", w, m.Error, m.Spans)
		}
		w.refuses = true
		if m, _, _ := w.infer(); m.Error == "" {
			rt.Fatalf("%+v: a dependency that refuses was taken for a breaker: %+v", w, m.Spans)
		}
		w.refuses, w.up = false, w.down
		if m, _, _ := w.infer(); len(m.Spans) != 1 || m.Spans[0].State != drills.BreakerClosed {
			rt.Fatalf("no outage, yet %+v", m.Spans)
		}
	})
}

// TestWhatAnOpenBreakerSays: with an answer of its own it is told even from a dependency that refuses at once.
func TestWhatAnOpenBreakerSays(t *testing.T) {
	t.Parallel()
	var samples []Sample
	for i := range int64(60) {
		s := Sample{Seq: i, Send: i * 1e8, Done: i*1e8 + 2e6, Class: Good}
		switch {
		case i >= 20 && i < 25:
			s.Class, s.Text = Failed, "HTTP 503"
		case i >= 25 && i < 40:
			s.Class, s.Text = Failed, "HTTP 503, Retry-After"
		}
		samples = append(samples, s)
	}
	meta := ProbeMeta{Name: "page", Wall: time.Unix(0, 0).UTC()}
	m := inferBreaker(meta, samples, "api/db", drills.BreakerTraffic{Says: "HTTP 503, Retry-After"})
	if len(m.Spans) != 3 || m.Spans[1].Rejected != 15 || m.Spans[0].Failures != 5 {
		t.Errorf("%q %+v", m.Error, m.Spans)
	}
	if m := inferBreaker(meta, nil, "api/db", drills.BreakerTraffic{}); m.Error == "" {
		t.Error("no sample says nothing, and that was not said")
	}
}

// TestBreakersAreMeasuredAgain: what verify reads from the raw files is what the run measured.
func TestBreakersAreMeasuredAgain(t *testing.T) {
	t.Parallel()
	w := circuit{period: 100 * time.Millisecond, hang: time.Second, openFor: 2 * time.Second, threshold: 5, down: 3 * time.Second, up: 9 * time.Second, length: 15 * time.Second}
	samples, _ := w.run()
	meta := ProbeMeta{Schema: ProbeSchema, Name: "page", Mono: 77, Wall: time.Unix(1000, 0).UTC()}
	raw := rawFile(t, meta, samples)
	was := inferBreaker(meta, samples, "api/db", drills.BreakerTraffic{Probe: "page"})
	again, err := InferBreaker(bytes.NewReader(raw), "api/db", drills.BreakerTraffic{Probe: "page"})
	if again.SHA256 == "" {
		t.Error("no digest")
	}
	again.SHA256 = ""
	if d := cmp.Diff(was, again); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}

	var read []Sample
	for i := range int64(20) {
		state := map[bool]string{true: "open", false: "closed"}[i >= 5 && i < 15]
		read = append(read, Sample{Seq: i, Send: i * 1e8, Done: i*1e8 + 3e6, Class: Good, Text: fmt.Sprintf(`{"api/db":{"state":%q,"calls":%d},"api/redis":{"state":"closed"}}`, state, min(i, 5))})
	}
	read[7].Class, read[7].Text = Timeout, "no answer in time"
	raw = rawFile(t, meta, read)
	all, err := MeasureBreakers(bytes.NewReader(raw))
	if err != nil || len(all) != 2 || len(all[0].Spans) != 3 || all[0].Missed != 1 || len(all[1].Spans) != 1 || all[0].SHA256 == "" {
		t.Fatalf("%v %+v", err, all)
	}
	forged := strings.ReplaceAll(string(raw), `""open""`, `""closed""`)
	if other, err := MeasureBreakers(strings.NewReader(forged)); err != nil || len(other[0].Spans) != 1 {
		t.Errorf("a forged file gives the same breaker (%v)", err)
	}
}

func rawFile(t *testing.T, meta ProbeMeta, samples []Sample) []byte {
	t.Helper()
	var raw bytes.Buffer
	w, err := newRawWriter(nopCloser{&raw}, meta)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range samples {
		if err := w.add(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	return raw.Bytes()
}
