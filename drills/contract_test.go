package drills_test

import (
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

const ms = drills.Duration(time.Millisecond)

func at(s float64) time.Time {
	return time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC).Add(time.Duration(s * float64(time.Second)))
}

func between(from, to float64) drills.Interval { return drills.Interval{From: at(from), To: at(to)} }

// history is the journal of a run with T0 at 20 s and the lift at 40 s, in which more happened.
func history(e drills.Expect, more ...drills.Event) []drills.Event {
	d := killDrill()
	d.Expect, d.Recovery = e, drills.Recovery{For: 5 * second, While: drills.AnyTime}
	s := system()
	s.Probes = map[string]drills.ProbeSpec{"page": {}, "cart": {}, "redis-write": {}}
	op := drills.Change{ID: "kill/1", Step: "kill", Class: drills.ClassUndo, Do: drills.Op{Verb: "unit.kill"}, Undo: drills.Op{Verb: "unit.start"}}
	end := drills.Effect{From: at(40), To: at(40), Proven: true}
	out := []drills.Event{
		{At: at(0), Kind: drills.EvOpened, Opened: &drills.Opened{Drill: d, System: s}},
		{At: at(20), Kind: drills.EvIntended, Change: &op},
		{At: at(20), Kind: drills.EvApplied, Change: &op, Effect: &drills.Effect{From: at(20), To: at(20), Proven: true, Source: "test"}},
		{At: at(40), Kind: drills.EvUndone, Change: &op, Effect: &end},
	}
	out = append(out, more...)
	return append(out, drills.Event{At: at(60), Kind: drills.EvClosed})
}

func judged(t *testing.T, r drills.Record, id string) drills.Judged {
	t.Helper()
	for _, j := range r.Expectations {
		if j.ID == id {
			return j
		}
	}
	t.Fatalf("nothing was judged as %s", id)
	return drills.Judged{}
}

// kept is a window of a contract: n probes of which so many were good and so many refused as allowed, in time.
func kept(probe string, n, good, honest int, p95 drills.Quantile) drills.Event {
	return drills.Event{At: at(50), Kind: drills.EvWindow, Window: &drills.WindowStat{
		Probe: probe, Title: drills.ContractTitle, Window: between(20, 40), Count: drills.Classes{Good: good, Failed: n - good},
		Degraded: &drills.ContractStat{InTime: good, Honest: honest, P95: p95},
	}}
}

func TestAnswersAreJudgedByTheirBounds(t *testing.T) {
	t.Parallel()
	bounded := drills.Quantile{At: 40 * ms, Lo: 30 * ms, Hi: 60 * ms}
	asked := drills.Answers{Probe: "page", Within: 2 * second, Allowed: []string{"HTTP 503"}, Honest: 0.95}
	quick := drills.Answers{Probe: "page", P95: 50 * ms}
	for name, tt := range map[string]struct {
		asked drills.Answers
		saw   *drills.Event
		want  drills.Verdict
		says  string
	}{
		"good and honest ones are enough": {asked, new(kept("page", 200, 20, 178, bounded)), drills.Met, "99.00% honest answers of 200"},
		"hangs break it":                  {asked, new(kept("page", 200, 20, 150, bounded)), drills.NotMet, "85.00% honest answers"},
		"so near that 200 cannot tell":    {asked, new(kept("page", 200, 20, 172, bounded)), drills.Unclear, "96.00% honest"},
		"all honest but few":              {asked, new(kept("page", 20, 0, 20, bounded)), drills.Unclear, "100.00% honest"},
		"as many as are asked for":        {drills.Answers{Probe: "page", Success: 0.5, MinSamples: 100}, new(kept("page", 90, 90, 0, bounded)), drills.Unclear, ""},
		"too few cannot excuse a break":   {drills.Answers{Probe: "page", Success: 0.5, MinSamples: 100}, new(kept("page", 90, 0, 0, bounded)), drills.NotMet, ""},
		"no sample at all":                {asked, new(kept("page", 0, 0, 0, bounded)), drills.NotMeasured, "not measured"},
		"no window":                       {asked, nil, drills.NotMeasured, "not measured"},
		"a quantile that straddles":       {quick, new(kept("page", 200, 200, 0, bounded)), drills.Unclear, "p95 40ms"},
		"a quantile below":                {drills.Answers{Probe: "page", P95: 70 * ms}, new(kept("page", 200, 200, 0, bounded)), drills.Met, ""},
		"a quantile above":                {drills.Answers{Probe: "page", P95: 30 * ms}, new(kept("page", 200, 200, 0, bounded)), drills.NotMet, ""},
		"a quantile without upper bound":  {drills.Answers{Probe: "page", P95: second}, new(kept("page", 200, 200, 0, drills.Quantile{At: 40 * ms, Lo: 30 * ms})), drills.Unclear, ""},
		"one broken part breaks the whole": {
			drills.Answers{Probe: "page", Success: 0.5, P95: 30 * ms},
			new(kept("page", 200, 200, 0, bounded)), drills.NotMet, "p95 40ms",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var more []drills.Event
			if tt.saw != nil {
				more = append(more, *tt.saw)
			}
			x := drills.Expect{Contract: &drills.Contract{Window: [2]string{"T0", "lift"}, Answers: []drills.Answers{tt.asked}}}
			r := drills.Fold(history(x, more...))
			j := judged(t, r, "contract:page")
			if j.Verdict != tt.want || !strings.Contains(j.Actual+j.Why, tt.says) {
				t.Errorf("%s: %s (%s), want %s with %q", j.Verdict, j.Actual, j.Why, tt.want, tt.says)
			}
			if j.Verdict == drills.NotMeasured && r.Outcome == drills.Pass {
				t.Error("no data passed")
			}
			if j.Verdict == drills.NotMet && (r.Outcome != drills.Fail || j.Cause != "degradation") {
				t.Errorf("%s (%s) of a broken contract", r.Outcome, j.Cause)
			}
		})
	}
}

func steadyAt(probe string, good, bad int) drills.Event {
	return drills.Event{At: at(15), Kind: drills.EvBaseline, Baseline: &drills.Baseline{Probe: probe, Window: between(5, 15), Count: drills.Classes{Good: good, Failed: bad}}}
}

func outage(probe string, from, to float64, bad int) drills.Event {
	p := drills.ProbeMeasured{Name: probe, From: at(0), To: at(60), Outages: []drills.Outage{{Kind: drills.Down, Bad: bad, Start: between(from-0.1, from), End: new(between(to-0.1, to))}}}
	return drills.Event{At: at(50), Kind: drills.EvMeasured, Probe: &p}
}

func TestWhatMustWork(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		more []drills.Event
		want drills.Verdict
	}{
		"as before":                      {[]drills.Event{steadyAt("page", 200, 0), kept("page", 400, 400, 0, drills.Quantile{})}, drills.Met},
		"the baseline's own noise":       {[]drills.Event{steadyAt("page", 198, 2), kept("page", 400, 396, 0, drills.Quantile{})}, drills.Met},
		"many more failures":             {[]drills.Event{steadyAt("page", 200, 0), kept("page", 400, 370, 0, drills.Quantile{})}, drills.NotMet},
		"an outage in the window":        {[]drills.Event{steadyAt("page", 200, 0), kept("page", 400, 397, 0, drills.Quantile{}), outage("page", 22, 23, 3)}, drills.NotMet},
		"an outage before the fault":     {[]drills.Event{steadyAt("page", 200, 0), kept("page", 400, 400, 0, drills.Quantile{}), outage("page", 16, 17, 3)}, drills.Met},
		"an outage of another":           {[]drills.Event{steadyAt("page", 200, 0), kept("page", 400, 400, 0, drills.Quantile{}), outage("cart", 22, 23, 3)}, drills.Met},
		"nothing to compare with":        {[]drills.Event{kept("page", 400, 400, 0, drills.Quantile{})}, drills.Unclear},
		"a baseline without any samples": {[]drills.Event{steadyAt("page", 0, 0), kept("page", 400, 400, 0, drills.Quantile{})}, drills.Unclear},
		"no window":                      {[]drills.Event{steadyAt("page", 200, 0)}, drills.NotMeasured},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := drills.Expect{Contract: &drills.Contract{Window: [2]string{"T0", "lift"}, MustWork: []string{"page"}}}
			if j := judged(t, drills.Fold(history(x, tt.more...)), "works:page"); j.Verdict != tt.want {
				t.Errorf("%s (%s %s), want %s", j.Verdict, j.Actual, j.Why, tt.want)
			}
		})
	}
}

// TestBlips: an outage below the declared length is no loss, one that straddles it proves nothing, and failures beside the
// blips still count.
func TestBlips(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		to   float64 // the outage begins between 21.9 and 22 s
		good int     // of 400
		bad  int     // in the outage
		want drills.Verdict
	}{
		"shorter":                {22.6, 388, 12, drills.Met},
		"straddles":              {23, 380, 20, drills.Unclear},
		"longer":                 {24, 360, 40, drills.NotMet},
		"shorter, and much more": {22.6, 348, 12, drills.NotMet},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := drills.Expect{Contract: &drills.Contract{Window: [2]string{"T0", "lift"}, MustWork: []string{"page"}, Blip: second}}
			r := drills.Fold(history(x, steadyAt("page", 200, 0), kept("page", 400, tt.good, 0, drills.Quantile{}), outage("page", 22, tt.to, tt.bad)))
			if j := judged(t, r, "works:page"); j.Verdict != tt.want {
				t.Errorf("%s (%s %s), want %s", j.Verdict, j.Actual, j.Why, tt.want)
			}
		})
	}
}

// TestLossesAreBounded: what is lost and not declared is a finding, or where the drill says so a fail.
func TestLossesAreBounded(t *testing.T) {
	t.Parallel()
	more := []drills.Event{
		steadyAt("page", 200, 0), kept("page", 400, 400, 0, drills.Quantile{}),
		steadyAt("cart", 200, 0), kept("cart", 400, 100, 0, drills.Quantile{}),
		steadyAt("redis-write", 200, 0), kept("redis-write", 400, 0, 0, drills.Quantile{}),
	}
	c := drills.Contract{Window: [2]string{"T0", "lift"}, MustWork: []string{"page"}, MayLose: []string{"redis-write"}, Others: "finding"}
	r := drills.Fold(history(drills.Expect{Contract: &c}, more...))
	var lost []string
	for _, f := range r.Findings {
		if strings.HasPrefix(f.ID, "undeclared-loss:") {
			lost = append(lost, f.ID)
		}
	}
	if len(lost) != 1 || lost[0] != "undeclared-loss:cart" {
		t.Errorf("findings %v, want the cart alone", lost)
	}
	strict := c
	strict.Others = "fail"
	r = drills.Fold(history(drills.Expect{Contract: &strict}, more...))
	if j := judged(t, r, "contract:others"); j.Verdict != drills.NotMet || j.Actual != "cart" || r.Outcome != drills.Fail {
		t.Errorf("%s %s, outcome %s; want a fail over the cart", j.Verdict, j.Actual, r.Outcome)
	}
	strict.MayLose = append(strict.MayLose, "cart")
	if j := judged(t, drills.Fold(history(drills.Expect{Contract: &strict}, more...)), "contract:others"); j.Verdict != drills.Met {
		t.Errorf("%s although everything is declared", j.Verdict)
	}
	if j := judged(t, drills.Fold(history(drills.Expect{Contract: &strict})), "contract:others"); j.Verdict != drills.NotMeasured {
		t.Errorf("%s without any window", j.Verdict)
	}
}
