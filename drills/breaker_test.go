package drills_test

import (
	"strings"
	"testing"

	"github.com/eevans-d/simulacro/drills"
)

// spans are "state@from-to" with their counts, as a reader would have measured them.
func spanAt(state drills.BreakerState, from, to float64, calls, failures, rejected int) drills.BreakerSpan {
	return drills.BreakerSpan{State: state, Enter: between(from, to), Calls: calls, Failures: failures, Rejected: rejected}
}

func breaker(instance string, unseen int, gap drills.Duration, spans ...drills.BreakerSpan) drills.Event {
	b := drills.BreakerMeasured{Name: "redis/db", Instance: instance, Source: drills.BreakerByMetrics, Spans: spans, Unseen: unseen, Largest: gap, From: at(0), To: at(60)}
	return drills.Event{At: at(50), Kind: drills.EvMeasured, Breaker: &b}
}

const (
	closed = drills.BreakerClosed
	open   = drills.BreakerOpen
	half   = drills.BreakerHalfOpen
)

// sound opens 2.3 s after T0 (20 s), tries once and closes 1.5 s after the lift (40 s).
func sound(instance string) drills.Event {
	return breaker(instance, 0, 110*ms,
		spanAt(closed, 0, 0, 900, 5, 0), spanAt(open, 22.3, 22.4, 0, 0, 100), spanAt(half, 32.3, 32.4, 1, 1, 20),
		spanAt(open, 34.3, 34.4, 0, 0, 60), spanAt(half, 41.4, 41.5, 1, 0, 2), spanAt(closed, 41.4, 41.5, 200, 0, 0))
}

// undoBegan is the beginning of the undo whose end is known at 40 s: the dependency may be back in between.
func undoBegan(s float64) drills.Event {
	return drills.Event{At: at(s), Kind: drills.EvLift, Change: &drills.Change{ID: "kill/1"}}
}

func TestBreakersAreJudged(t *testing.T) {
	t.Parallel()
	x := drills.BreakerExpect{Component: "redis", Breaker: "db", OpensWithin: 3 * second, ClosesWithin: 5 * second, HalfOpen: true, MaxTrials: new(3), MinSpared: new(100)}
	never := breaker("a", 0, 110*ms, spanAt(closed, 0, 0, 900, 300, 0))
	broken := sound("a")
	broken.Breaker.Error = "the reader died"
	for name, tt := range map[string]struct {
		expect drills.BreakerExpect
		saw    []drills.Event
		want   map[string]drills.Verdict // by the last part of the id
		says   string
	}{
		"as it should": {
			x,
			[]drills.Event{sound("a"), sound("b")},
			map[string]drills.Verdict{"opens": drills.Met, "half-open": drills.Met, "spared": drills.Met, "closes": drills.Met},
			"2.300–2.400 s",
		},
		"one instance never opens": {
			x,
			[]drills.Event{sound("a"), never},
			map[string]drills.Verdict{"opens": drills.NotMet, "half-open": drills.NotMeasured, "closes": drills.NotMeasured},
			"never opened, with 300 failed calls",
		},
		"opens late": {
			x,
			[]drills.Event{breaker("a", 0, 110*ms, spanAt(closed, 0, 0, 9, 5, 0), spanAt(open, 23.5, 23.6, 0, 0, 200), spanAt(closed, 41, 41.1, 0, 0, 0))},
			map[string]drills.Verdict{"opens": drills.NotMet},
			"later than 3s",
		},
		"read too seldom to tell": {
			x,
			[]drills.Event{breaker("a", 0, 5*second, spanAt(closed, 0, 0, 9, 5, 0), spanAt(open, 20, 25, 0, 0, 200), spanAt(closed, 41, 41.1, 0, 0, 0))},
			map[string]drills.Verdict{"opens": drills.Unclear, "half-open": drills.Unclear},
			"straddles",
		},
		"open before the fault": {
			x,
			[]drills.Event{breaker("a", 0, 110*ms, spanAt(closed, 0, 0, 9, 5, 0), spanAt(open, 10, 10.1, 0, 0, 200), spanAt(closed, 41, 41.1, 0, 0, 0))},
			map[string]drills.Verdict{"opens": drills.Unclear},
			"before the fault",
		},
		"opened between two readings": {
			x,
			[]drills.Event{breaker("a", 1, 110*ms, spanAt(closed, 0, 0, 900, 5, 0))},
			map[string]drills.Verdict{"opens": drills.Unclear},
			"between two readings",
		},
		"closes without a trial": {
			x,
			[]drills.Event{breaker("a", 0, 110*ms, spanAt(closed, 0, 0, 9, 5, 0), spanAt(open, 22.3, 22.4, 0, 0, 100), spanAt(closed, 24.3, 24.4, 30, 30, 0), spanAt(open, 27, 27.1, 0, 0, 50), spanAt(closed, 41, 41.1, 0, 0, 0))},
			map[string]drills.Verdict{"half-open": drills.NotMet, "closes": drills.Met},
			"no trial call can have succeeded",
		},
		"lets too many through": {
			x,
			[]drills.Event{breaker("a", 0, 110*ms, spanAt(closed, 0, 0, 9, 5, 0), spanAt(open, 22.3, 22.4, 40, 40, 100), spanAt(closed, 41, 41.1, 0, 0, 0))},
			map[string]drills.Verdict{"half-open": drills.NotMet},
			"40 calls got through",
		},
		"never closes": {
			x,
			[]drills.Event{breaker("a", 0, 110*ms, spanAt(closed, 0, 0, 9, 5, 0), spanAt(open, 22.3, 22.4, 0, 0, 400))},
			map[string]drills.Verdict{"opens": drills.Met, "closes": drills.NotMet},
			"still open",
		},
		"closes late": {
			x,
			[]drills.Event{breaker("a", 0, 110*ms, spanAt(closed, 0, 0, 9, 5, 0), spanAt(open, 22.3, 22.4, 1, 1, 400), spanAt(closed, 46, 46.1, 0, 0, 0))},
			map[string]drills.Verdict{"closes": drills.NotMet},
			"closed 6.000",
		},
		"closes while the undo goes on": {
			x,
			[]drills.Event{undoBegan(38), breaker("a", 0, 110*ms, spanAt(closed, 0, 0, 9, 5, 0), spanAt(open, 22.3, 22.4, 0, 0, 200), spanAt(half, 38.9, 39, 1, 0, 0), spanAt(closed, 38.9, 39, 0, 0, 0))},
			map[string]drills.Verdict{"half-open": drills.Met},
			"1 trial calls",
		},
		"closes before the undo begins": {
			x,
			[]drills.Event{undoBegan(38), breaker("a", 0, 110*ms, spanAt(closed, 0, 0, 9, 5, 0), spanAt(open, 22.3, 22.4, 0, 0, 200), spanAt(half, 36.9, 37, 1, 0, 0), spanAt(closed, 36.9, 37, 0, 0, 0))},
			map[string]drills.Verdict{"half-open": drills.NotMet},
			"no trial call can have succeeded",
		},
		"spares too little": {
			x,
			[]drills.Event{breaker("a", 0, 110*ms, spanAt(closed, 0, 0, 9, 5, 0), spanAt(open, 22.3, 22.4, 1, 1, 99), spanAt(closed, 41, 41.1, 0, 0, 0))},
			map[string]drills.Verdict{"spared": drills.NotMet},
			"only 99",
		},
		"the reader died":   {x, []drills.Event{sound("b"), broken}, map[string]drills.Verdict{"opens": drills.Unclear, "spared": drills.Unclear, "closes": drills.Unclear}, "the reader died"},
		"nothing was read":  {x, nil, map[string]drills.Verdict{"opens": drills.NotMeasured, "half-open": drills.NotMeasured, "spared": drills.NotMeasured, "closes": drills.NotMeasured}, "nothing was read"},
		"nothing opens it":  {stays(), []drills.Event{breaker("a", 0, 110*ms, spanAt(closed, 0, 0, 900, 0, 0))}, map[string]drills.Verdict{"stays": drills.Met}, "900 calls"},
		"something opens":   {stays(), []drills.Event{sound("a")}, map[string]drills.Verdict{"stays": drills.NotMet}, "opened at 00:00:22.400"},
		"and between reads": {stays(), []drills.Event{breaker("a", 1, 110*ms, spanAt(closed, 0, 0, 900, 0, 0))}, map[string]drills.Verdict{"stays": drills.NotMet}, "opened"},
		"blind for seconds": {stays(), []drills.Event{breaker("a", 0, 3*second, spanAt(closed, 0, 0, 900, 0, 0))}, map[string]drills.Verdict{"stays": drills.Unclear}, "not read for 3s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := drills.Fold(history(drills.Expect{Breakers: []drills.BreakerExpect{tt.expect}}, tt.saw...))
			var said strings.Builder
			for what, want := range tt.want {
				j := judged(t, r, "breaker:redis/db:"+what)
				if j.Verdict != want {
					t.Errorf("%s: %s (%s; %s), want %s", what, j.Verdict, j.Actual, j.Why, want)
				}
				said.WriteString(j.Actual + " " + j.Why + "\n")
			}
			if !strings.Contains(said.String(), tt.says) {
				t.Errorf("said %q, want %q in it", said.String(), tt.says)
			}
		})
	}
}

func stays() drills.BreakerExpect {
	return drills.BreakerExpect{Component: "redis", Breaker: "db", Stays: closed}
}

// TestSourcesThatDisagree: a breaker whose metrics say nothing of what the traffic shows is a finding.
func TestSourcesThatDisagree(t *testing.T) {
	t.Parallel()
	traffic := sound("probe page")
	traffic.Breaker.Source = drills.BreakerByTraffic
	finding := func(more ...drills.Event) bool {
		for _, f := range drills.Fold(history(drills.Expect{}, more...)).Findings {
			if f.ID == "breaker-views:redis/db" {
				return true
			}
		}
		return false
	}
	if !finding(traffic, breaker("a", 0, 110*ms, spanAt(closed, 0, 0, 900, 300, 0))) {
		t.Error("metrics of a closed breaker and the traffic of an open one agree")
	}
	if finding(traffic, sound("a")) || finding(traffic) {
		t.Error("a disagreement where there is none")
	}
}
