package drills

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func goodFlow(name string) FlowMeasured {
	return FlowMeasured{Name: name, Rate: 100, Achieved: 99.9, Due: 2000, Count: Classes{Good: 1999, Failed: 1}, P95: Duration(80 * time.Millisecond), P99: Duration(200 * time.Millisecond)}
}

// TestLoadVerdicts: what is the target's fails, what is the generator's or the sender's makes the run invalid, what was not
// measured is never met.
func TestLoadVerdicts(t *testing.T) {
	t.Parallel()
	bound := LoadBound{Step: "load", Rate: 0.99, Success: 0.99, P95: Duration(100 * time.Millisecond), P99: Duration(time.Second)}
	for _, c := range []struct {
		name    string
		bound   func(*LoadBound)
		load    func(*LoadMeasured)
		verdict Verdict
		invalid string // cause
		why     string
	}{
		{name: "met", verdict: Met},
		{name: "met although saturated: lateness only makes it look worse", load: func(m *LoadMeasured) { m.Saturated = "late" }, verdict: Met},
		{name: "rate", load: func(m *LoadMeasured) { m.Flows[0].Achieved = 98.9 }, verdict: NotMet, why: "wanted were 100"},
		{name: "success", load: func(m *LoadMeasured) { m.Flows[0].Count = Classes{Good: 1979, Timeout: 21} }, verdict: NotMet, why: "98.950%"},
		{name: "unserved is no success", load: func(m *LoadMeasured) { m.Flows[0].Count.Good, m.Flows[0].Unserved = 1900, 99 }, verdict: NotMet, why: "95.000%"},
		{name: "p95", load: func(m *LoadMeasured) { m.Flows[0].P95 = Duration(100 * time.Millisecond) }, verdict: NotMet, why: "p95 was 100ms"},
		{name: "saturated and missed", load: func(m *LoadMeasured) { m.Flows[0].Achieved, m.Saturated = 50, "late by 1s" }, verdict: Unclear, invalid: "generator-saturated", why: "late by 1s"},
		{name: "a few refused for our sake", load: func(m *LoadMeasured) { m.Flows[0].Count = Classes{Good: 1985, Throttled: 15} }, verdict: Met},
		{name: "many refused for our sake", load: func(m *LoadMeasured) { m.Flows[0].Count = Classes{Good: 1899, Throttled: 101} }, verdict: Met, invalid: "load-refused", why: ""},
		{name: "a flow's own bound", bound: func(x *LoadBound) { x.Flows = []FlowBound{{Flow: "a", P99: Duration(150 * time.Millisecond)}} }, verdict: NotMet, why: "a: p99 was 200ms"},
		{name: "a bound on nothing", bound: func(x *LoadBound) { x.Flows = []FlowBound{{Flow: "b", P99: Duration(time.Second)}} }, verdict: NotMeasured, why: "no flow b"},
		{name: "a bound on sockets without any", bound: func(x *LoadBound) { x.Connected = 0.99 }, verdict: NotMeasured, why: "the load has none"},
		{name: "a bound on operations without any", load: func(m *LoadMeasured) { m.Flows, m.Connected, m.Wanted, m.Received, m.Expected = nil, 9, 9, 9, 9 }, verdict: NotMeasured, why: "the load has none"},
		{name: "nothing done well", bound: func(x *LoadBound) { *x = LoadBound{Step: "load", P95: Duration(time.Second)} }, load: func(m *LoadMeasured) { m.Flows[0].Count = Classes{}; m.Flows[0].P95 = 0 }, verdict: NotMet, why: "no operation"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x, m := bound, LoadMeasured{Step: "load", Flows: []FlowMeasured{goodFlow("a")}}
			if c.bound != nil {
				c.bound(&x)
			}
			if c.load != nil {
				c.load(&m)
			}
			f := &folder{drill: &Drill{Expect: Expect{Load: LoadBounds{x}}}}
			f.rec.Load = []LoadMeasured{m}
			j := f.judgeLoad(time.Time{})[0]
			cause, text := f.loadFault()
			if j.Verdict != c.verdict || cause != c.invalid || !strings.Contains(j.Why+text, c.why) {
				t.Errorf("%s %q, invalid %q %q; want %s, %q, %q", j.Verdict, j.Why, cause, text, c.verdict, c.invalid, c.why)
			}
		})
	}
}

// A mix has a generator for requests and one for listeners: one that did not report is not overlooked.
func TestLoadOfSeveralGenerators(t *testing.T) {
	t.Parallel()
	f := &folder{drill: &Drill{Expect: Expect{Load: LoadBounds{{Step: "mix", Rate: 0.9, Delivered: 0.99}}}}}
	change := Change{Step: "mix", Do: Op{Verb: "load.open"}}
	f.rec.Faults = []FaultRecord{{Change: change}, {Change: change}}
	f.rec.Load = []LoadMeasured{{Step: "mix", Flows: []FlowMeasured{goodFlow("a")}}}
	if j := f.judgeLoad(time.Time{})[0]; j.Verdict != NotMeasured {
		t.Errorf("one generator is silent: %s %q", j.Verdict, j.Why)
	}
	f.rec.Load = append(f.rec.Load, LoadMeasured{Step: "mix", Wanted: 10, Connected: 10, Expected: 100, Received: 98})
	if j := f.judgeLoad(time.Time{})[0]; j.Verdict != NotMet || !strings.Contains(j.Why, "2 of 100 frames") || !strings.Contains(j.Actual, "a 99.9 of 100/s") {
		t.Errorf("%s %q %q", j.Verdict, j.Why, j.Actual)
	}
	f.rec.Load[1].Received = 100
	if j := f.judgeLoad(time.Time{})[0]; j.Verdict != Met {
		t.Errorf("%s %q", j.Verdict, j.Why)
	}
}

// Refusals of a limiter say nothing of the system, unless the drill says that they are what it is about.
func TestThrottledLoad(t *testing.T) {
	t.Parallel()
	none, some := 0, 800
	flow := goodFlow("a")
	flow.Count.Good, flow.Count.Throttled = flow.Due*6/10, flow.Due*4/10
	for name, c := range map[string]struct {
		bound   *int
		verdict Verdict
		cause   string
	}{
		"not the subject":  {nil, NotMet, "load-refused"},
		"the subject":      {&none, NotMet, ""},
		"so many are fine": {&some, Met, ""},
	} {
		f := &folder{drill: &Drill{Expect: Expect{Load: LoadBounds{{Step: "s", Success: 0.99, Throttled: c.bound}}}}}
		f.rec.Load = []LoadMeasured{{Step: "s", Flows: []FlowMeasured{flow}}}
		cause, _ := f.loadFault()
		j := f.judgeLoad(time.Time{})[0]
		if cause != c.cause || c.bound != nil && j.Verdict != c.verdict {
			t.Errorf("%s: cause %q, %s %q", name, cause, j.Verdict, j.Why)
		}
		if c.bound == &none && !strings.Contains(j.Why, "were throttled") {
			t.Errorf("%s: %q", name, j.Why)
		}
	}
}

// Each bounded step is judged by itself.
func TestTwoLoadsAreJudgedApart(t *testing.T) {
	t.Parallel()
	f := &folder{drill: &Drill{Expect: Expect{Load: LoadBounds{{Step: "users", Success: 0.99}, {Step: "listeners", Connected: 1}}}}}
	f.rec.Load = []LoadMeasured{
		{Step: "users", Flows: []FlowMeasured{{Name: "http", Due: 100, Rate: 1, Count: Classes{Good: 100}}}},
		{Step: "listeners", Wanted: 10, Connected: 9},
	}
	got := f.judgeLoad(time.Time{})
	if len(got) != 2 || got[0].Verdict != Met || got[1].Verdict != NotMet || got[1].ID != "load:listeners" || !strings.Contains(got[1].Why, "9 of 10") {
		t.Errorf("%+v", got)
	}
}

// Load in the background of a fault is neither T0 nor what rejoin waits for; alone it is both.
func TestLoadIsTheBackgroundOfAFault(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return time.Unix(int64(1000+s), 0) }
	load := FaultRecord{Change: Change{Class: ClassUndo, Do: Op{Verb: "load.open"}}, Effect: &Effect{From: at(0), To: at(1), Proven: true}, UndoneAt: at(60)}
	kill := FaultRecord{Change: Change{Class: ClassUndo, Do: Op{Verb: "unit.kill"}}, Effect: &Effect{From: at(10), To: at(11), Proven: true}, UndoneAt: at(30)}
	f := &folder{}
	f.rec.Faults = []FaultRecord{load}
	if got := f.t0(); !got.From.Equal(at(0)) || !f.lifted().Equal(at(60)) {
		t.Errorf("load alone: T0 %v, lifted %v", got.From, f.lifted())
	}
	f.rec.Faults = []FaultRecord{load, kill}
	if got := f.t0(); !got.From.Equal(at(10)) || !f.lifted().Equal(at(30)) {
		t.Errorf("with a fault: T0 %v, lifted %v", got.From, f.lifted())
	}
	// An undo is reported when its inspection is through; what counts is when it was done, once that is proven.
	for proven, want := range map[bool]time.Time{true: at(28), false: at(30)} {
		f.rec.Faults[1].Undone = &Effect{From: at(27), To: at(28), Proven: proven}
		if got := f.lifted(); !got.Equal(want) {
			t.Errorf("undo proven %v: lifted %v, want %v", proven, got, want)
		}
	}
	f.rec.Faults[1].Effect = nil // not yet injected, or without effect
	if got := f.t0(); !got.From.Equal(at(0)) {
		t.Errorf("before the fault: T0 %v", got.From)
	}
}

// What a step of load measured stays readable where older records have none.
func TestLoadMeasuredRoundTrip(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(LoadMeasured{Step: "s"})
	if err != nil || strings.Contains(string(b), "flows") {
		t.Errorf("%s, %v", b, err)
	}
}
