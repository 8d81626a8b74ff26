package drills_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// TestErrorBudget: the figures of the blueprint (G-1).
func TestErrorBudget(t *testing.T) {
	for a, want := range map[string]float64{"99.99%": 259.2, "99.95%": 1296, "99.9%": 2592, "100%": 0} {
		got, ok := drills.ErrorBudget(a)
		if !ok || got.D().Seconds() != want {
			t.Errorf("%s: %s, want %g s", a, got, want)
		}
	}
	for _, a := range []string{"", "high", "0%", "101%"} {
		if _, ok := drills.ErrorBudget(a); ok {
			t.Errorf("%q is an availability", a)
		}
	}
}

func TestBudgetOfARun(t *testing.T) {
	r := newStory().probe([2]float64{-20, -10}, [2]float64{0.5, 6}, [2]float64{30, 32}).fold()
	if len(r.Budgets) != 1 || r.Budgets[0].Used == nil {
		t.Fatalf("%+v", r.Budgets)
	}
	b := r.Budgets[0]
	if got := b.Used.String(); got != "7.300–7.700 s" || b.Budget.D().Seconds() != 259.2 {
		t.Errorf("used %s of %s: what was before T0 is not this run's", got, b.Budget)
	}
	s := newStory()
	c := s.system.Components["redis"]
	c.RecoveredMeans = []string{"redis-write", "ws"}
	s.system.Components["redis"] = c
	if b := s.probe([2]float64{0.5, 6}).fold().Budgets[0]; b.Used != nil || b.Why == "" {
		t.Errorf("with a probe that was not measured it is %v, %q", b.Used, b.Why)
	}
}

func TestLedger(t *testing.T) {
	l := drills.Ledger{Month: "2026-11"}
	one := newStory().probe([2]float64{0.5, 100.5}).fold()
	other := one
	other.Started = one.Started.AddDate(0, -1, 0)
	crashed := newStory().fold() // no measured event
	for _, r := range []drills.Record{one, one, other, crashed, {Started: one.Started}} {
		l.Add(r)
	}
	if got := l.Spent["redis"].String(); l.Runs != 3 || l.Unmeasured != 1 || got != "199.800–200.200 s" {
		t.Errorf("%+v, spent %s", l, got)
	}
	sys := newStory().system
	check := func(limit string) []drills.Check {
		sys.Limits.ErrorBudget = limit
		return drills.BudgetChecks(sys, "", &l, []string{"redis"})
	}
	if c := check(drills.BudgetBlocks); len(c) != 1 || !c[0].OK {
		t.Errorf("59 s are left: %+v", c)
	}
	l.Add(one)
	if c := check(drills.BudgetBlocks); c[0].OK || c[0].Hint == "" {
		t.Errorf("used up, and not refused: %+v", c)
	}
	if c := check(""); !c[0].OK || c[0].Hint == "" {
		t.Errorf("used up is only told unless the file says block: %+v", c)
	}
	if c := drills.BudgetChecks(sys, "", &l, []string{"api"}); len(c) != 0 {
		t.Errorf("%+v is about a component that the drill does not touch", c)
	}
	s := newStory()
	s.ledger = &l
	if b := s.probe([2]float64{0.5, 6}).fold().Budgets[0]; b.Before == nil || b.Left() >= 0 || b.Spent().Lo <= b.Before.Lo {
		t.Errorf("%+v", b)
	}
}

// TestOutageTimeHoldsTheUnion: whatever the outages of two probes are, the true time in which one of them was bad lies in
// what the budget is said to have lost.
func TestOutageTimeHoldsTheUnion(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		s := newStory()
		c := s.system.Components["redis"]
		c.RecoveredMeans = []string{"a", "b"}
		s.system.Components["redis"] = c
		var bad [1000]bool // by tenth of a second
		for _, name := range c.RecoveredMeans {
			p := drills.ProbeMeasured{Name: name, From: t0p(-50), To: t0p(100)}
			for from := r.IntN(300); from < 900; {
				to := from + 1 + r.IntN(200)
				to = min(to, 1000)
				for i := from; i < to; i++ {
					bad[i] = true
				}
				wide := func(i int) drills.Interval {
					return span0(float64(i)/10-0.05*r.Float64(), float64(i)/10+0.05*r.Float64())
				}
				o := drills.Outage{Start: wide(from)}
				end := wide(to)
				o.End = &end
				p.Outages = append(p.Outages, o)
				from = to + 1 + r.IntN(300)
			}
			s.add(100, drills.Event{Kind: drills.EvMeasured, Probe: &p})
		}
		truth := drills.Duration(0)
		for _, b := range bad {
			if b {
				truth += drills.Duration(100 * time.Millisecond)
			}
		}
		used := s.fold().Budgets[0].Used
		if used == nil || truth < used.Lo-1000 || truth > used.Hi+1000 {
			t.Fatalf("%s does not hold %s", used, truth)
		}
	}
}
