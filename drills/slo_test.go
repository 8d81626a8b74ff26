package drills_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

func (s *story) window(phase, probe string, good, bad int, p95, p99 time.Duration) *story {
	w := drills.WindowStat{
		Title: "phase:" + phase, Probe: probe, Count: drills.Classes{Good: good, Failed: bad}, Share: float64(good) / float64(max(1, good+bad)),
		P95: drills.Duration(p95), P99: drills.Duration(p99),
	}
	return s.add(105, drills.Event{Kind: drills.EvWindow, Window: &w})
}

func TestSLOs(t *testing.T) {
	const milli = time.Millisecond
	limit := drills.Duration(200 * milli)
	one, ten := 1.0, 10.0
	query := func(q drills.QueryResult) func(*story) {
		q.Title = "slo:redis/x@fault"
		return func(s *story) { s.add(105, drills.Event{Kind: drills.EvQuery, Query: &q}) }
	}
	for _, c := range []struct {
		name string
		slo  drills.SLO
		set  func(*story)
		want drills.Verdict
		why  string
	}{
		{"p95 below", drills.SLO{Probe: "a", P95: limit}, func(s *story) { s.window("fault", "a", 100, 5, 199*milli, 0) }, drills.Met, ""},
		{"p95 at the limit", drills.SLO{Probe: "a", P95: limit}, func(s *story) { s.window("fault", "a", 100, 0, 200*milli, 0) }, drills.NotMet, "p95 was 200ms"},
		{"fast, but one in ten failed", drills.SLO{Probe: "a", P95: limit}, func(s *story) { s.window("fault", "a", 90, 10, milli, 0) }, drills.NotMet, "10.0% of all requests"},
		{"p99 below", drills.SLO{Probe: "a", P99: limit}, func(s *story) { s.window("fault", "a", 100, 0, 0, milli) }, drills.Met, ""},
		{"p99 of too few", drills.SLO{Probe: "a", P99: limit}, func(s *story) { s.window("fault", "a", 99, 0, 0, milli) }, drills.NotMeasured, "p99 needs 100"},
		{"p99 with 2 % failed", drills.SLO{Probe: "a", P99: limit}, func(s *story) { s.window("fault", "a", 98, 2, 0, milli) }, drills.NotMet, "p99 has no value"},
		{"share reached", drills.SLO{Probe: "a", Success: 0.99}, func(s *story) { s.window("fault", "a", 99, 1, 0, 0) }, drills.Met, ""},
		{"share missed", drills.SLO{Probe: "a", Success: 0.9999}, func(s *story) { s.window("fault", "a", 999, 1, 0, 0) }, drills.NotMet, "1 of 1000"},
		{"too few samples", drills.SLO{Probe: "a", Success: 0.5}, func(s *story) { s.window("fault", "a", 19, 0, 0, 0) }, drills.NotMeasured, "fewer than 20"},
		{"no window", drills.SLO{Probe: "a", Success: 0.5}, func(s *story) { s.window("steady", "a", 100, 0, 0, 0) }, drills.NotMeasured, "fewer than 20"},
		{"another probe's window", drills.SLO{Probe: "a", Success: 0.5}, func(s *story) { s.window("fault", "b", 100, 0, 0, 0) }, drills.NotMeasured, ""},
		{
			"what lies between two probes",
			drills.SLO{Probe: "a", Over: "b", P95: limit},
			func(s *story) {
				s.window("fault", "a", 100, 0, 300*milli, 0).window("fault", "b", 100, 0, 150*milli, 0)
			}, drills.Met, "",
		},
		{
			"too much between two probes",
			drills.SLO{Probe: "a", Over: "b", P95: limit},
			func(s *story) { s.window("fault", "a", 100, 0, 300*milli, 0).window("fault", "b", 100, 0, 50*milli, 0) }, drills.NotMet, "p95 was 250ms",
		},
		{"the probe to compare with is dead", drills.SLO{Probe: "a", Over: "b", P95: limit}, func(s *story) { s.window("fault", "a", 100, 0, milli, 0).window("fault", "b", 0, 100, 0, 0) }, drills.NotMeasured, "of b"},
		{"query below", drills.SLO{PromQL: "q", Max: &one}, query(drills.QueryResult{Max: 1, Samples: 3}), drills.Met, ""},
		{"query above", drills.SLO{PromQL: "q", Max: &one}, query(drills.QueryResult{Max: 1.5, Samples: 3}), drills.NotMet, "rose to 1.5"},
		{"query under", drills.SLO{PromQL: "q", Min: &ten}, query(drills.QueryResult{Min: 9, Max: 20, Samples: 3}), drills.NotMet, "fell to 9"},
		{"query without data", drills.SLO{PromQL: "q", Max: &one}, query(drills.QueryResult{NoData: true}), drills.NotMeasured, "no data"},
		{"query that failed", drills.SLO{PromQL: "q", Max: &one}, query(drills.QueryResult{NoData: true, Error: "parse error"}), drills.NotMeasured, "parse error"},
		{"query never asked", drills.SLO{PromQL: "q", Max: &one}, nil, drills.NotMeasured, "no data"},
		{"declared as not measurable", drills.SLO{NotMeasured: "there is no bot"}, nil, drills.NotMeasured, "there is no bot"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory().probe()
			x := s.system.Components["redis"]
			c.slo.ID, c.slo.Title = "x", "X"
			x.SLOs = []drills.SLO{c.slo}
			s.system.Components["redis"] = x
			s.drill.Expect.SLOs = &drills.SLOExpect{Phases: []string{drills.PhaseFault}}
			if c.set != nil {
				c.set(s)
			}
			r := s.fold()
			if len(r.SLOs) != 3 || r.SLOs[1].Phase != drills.PhaseFault {
				t.Fatalf("%+v", r.SLOs)
			}
			if got := r.SLOs[1]; got.Verdict != c.want || !strings.Contains(got.Why, c.why) {
				t.Errorf("%s because %q, want %s because %q", got.Verdict, got.Why, c.want, c.why)
			}
			i := slices.IndexFunc(r.Expectations, func(j drills.Judged) bool { return j.ID == "slo:redis/x@fault" })
			if c.slo.NotMeasured != "" {
				if i >= 0 {
					t.Error("what cannot be measured is not expected")
				}
				return
			}
			if i < 0 || r.Expectations[i].Verdict != c.want {
				t.Errorf("the expectation is not %s: %+v", c.want, r.Expectations)
			}
			missed := slices.ContainsFunc(r.Findings, func(f drills.Finding) bool { return f.ID == "slo-missed:redis@fault" })
			if missed != (c.want == drills.NotMet) {
				t.Errorf("findings: %+v", r.Findings)
			}
		})
	}
}

// TestSteadySLOs: a system that misses its SLO before the fault is told of; it is only not drilled where the drill says so.
func TestSteadySLOs(t *testing.T) {
	for _, c := range []struct {
		name, slos string
		outcome    drills.Outcome
		note       bool
	}{{"told", "", drills.Pass, true}, {"refused", "met", drills.BlockedRun, false}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(3 * time.Second)
				b.drill.SteadyState.SLOs = c.slos
				sys := system()
				x := sys.Components["redis"]
				x.SLOs = []drills.SLO{{ID: "p95", Title: "write share", Probe: "redis-write", Success: 1.01}} // nothing is as good
				sys.Components["redis"] = x
				r, err := b.engine.Run(context.Background(), drills.Opened{Run: "r", Drill: b.drill, System: sys, Objectives: sys.ObjectivesOf("redis", "")})
				if err != nil || r.Outcome != c.outcome {
					t.Fatalf("%s: %s, %v", r.Outcome, r.Sentence, err)
				}
				note := slices.ContainsFunc(r.Notes, func(n drills.Note) bool { return strings.Contains(n.Text, "write share") })
				if note != c.note {
					t.Errorf("notes %+v", r.Notes)
				}
			})
		})
	}
}
