package drills_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/drilltest"
)

// restarting is an Observer in whose world somebody starts the killed member again, which ends the fault, and says so.
type restarting struct {
	world *drilltest.World
	after time.Duration
	gap   drills.Gap
	done  chan struct{}
}

func (o *restarting) Start(ctx context.Context, emit func(drills.Event)) error {
	o.done = make(chan struct{})
	go func() {
		defer close(o.done)
		if drills.Wait(ctx, o.after) {
			o.world.Restarted("id-redis-1")
			emit(drills.Event{Kind: drills.EvGap, Gap: &o.gap})
		}
	}()
	return nil
}

func (o *restarting) Finish(context.Context, drills.Timing) ([]drills.Event, error) {
	<-o.done
	return nil, nil
}

// loose is unit with an undo that holds for whichever attempt is in force, as a mark does.
type loose struct{ unit }

func (u loose) Plan(s drills.Scene) ([]drills.Change, error) {
	all, err := u.unit.Plan(s)
	for i := range all {
		all[i].Undo.Args = nil
	}
	return all, err
}

// TestAFaultThatEndsWithItsTargetIsMadeAgain: nobody takes over until the fault is in force for the second time; a recovery in
// the gap, or after a fault that ended for good, is not the system's own.
func TestAFaultThatEndsWithItsTargetIsMadeAgain(t *testing.T) {
	kinds := func(b *bench) (out []drills.EventKind) {
		for _, e := range b.journal.Events() {
			if slices.Contains([]drills.EventKind{drills.EvIntended, drills.EvApplied, drills.EvGap, drills.EvLift, drills.EvUndone}, e.Kind) {
				out = append(out, e.Kind)
			}
		}
		return out
	}
	once := []drills.EventKind{drills.EvIntended, drills.EvApplied, drills.EvGap, drills.EvLift, drills.EvUndone}
	twice := []drills.EventKind{drills.EvIntended, drills.EvApplied, drills.EvGap, drills.EvIntended, drills.EvApplied, drills.EvLift, drills.EvUndone}
	for name, c := range map[string]struct {
		failover, after time.Duration
		again           bool
		op              string
		events          []drills.EventKind
		outcome         drills.Outcome
		cause, finding  string
		closed          bool
	}{
		"made again, and then taken over": {6 * time.Second, 14 * time.Second, true, "kill.1.do", twice, drills.Pass, "", "made again", true},
		"it ended for good":               {30 * time.Second, 14 * time.Second, false, "kill.1.do", once, drills.Fail, "recovered-by-undo", "ended before we undid it", false},
		"of another fault":                {6 * time.Second, 11 * time.Second, true, "other.1.do", nil, drills.Pass, "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(c.failover)
				b.drill.Expect = drills.Expect{}
				b.drill.Method[0].Plan = loose{unit{"unit.kill", "unit.start"}}
				b.engine.Observers = append(b.engine.Observers, &restarting{world: b.world, after: c.after, gap: drills.Gap{Op: c.op, Why: "its target was restarted", Again: c.again}})
				rec, err := b.run(t.Context())
				if err != nil || rec.Outcome != c.outcome || rec.Cause != c.cause || rec.Dirty {
					t.Errorf("%s %s %q, %v", rec.Outcome, rec.Cause, rec.Sentence, err)
				}
				if got := kinds(b); c.events != nil && !slices.Equal(got, c.events) {
					t.Errorf("events %v, want %v", got, c.events)
				}
				f := rec.Faults[0]
				if c.finding == "" {
					if len(f.Gaps) != 0 {
						t.Errorf("gaps %+v", f.Gaps)
					}
					return
				}
				if !slices.ContainsFunc(rec.Findings, func(x drills.Finding) bool { return strings.Contains(x.Title, c.finding) }) {
					t.Errorf("findings %+v", rec.Findings)
				}
				if len(f.Gaps) != 1 || f.Gaps[0].To.IsZero() == c.closed || (f.Gaps[0].Effect != nil) != c.closed || !f.Effect.To.Before(f.Gaps[0].From) {
					t.Errorf("effect %+v, gaps %+v", f.Effect, f.Gaps)
				}
				if !b.world.Running() || len(b.guard.Held) != 0 {
					t.Error("something is left")
				}
			})
		})
	}
}

// TestRecoveryInAGap folds journals in which the service came back before, in, across and after the gap.
func TestRecoveryInAGap(t *testing.T) {
	t0 := time.Date(2026, 11, 29, 20, 0, 0, 0, time.UTC)
	at := func(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }
	c := drills.Change{ID: "cut.1", Fault: "partition", Member: "redis-1", Class: drills.ClassUndo, Do: drills.Op{ID: "cut.1.do", Verb: "net.partition"}, Undo: drills.Op{ID: "cut.1.undo", Verb: "net.heal"}}
	second := c
	second.Do.ID += "+2"
	fold := func(back float64, proven bool) drills.Judged {
		sys, d := system(), killDrill()
		d.Expect = drills.Expect{}
		out := drills.Outage{Kind: drills.Down, Start: drills.Interval{From: at(1), To: at(1.1)}, End: &drills.Interval{From: at(back), To: at(back + 0.1)}}
		rec := drills.Fold([]drills.Event{
			{Kind: drills.EvOpened, At: at(-20), Opened: &drills.Opened{Drill: d, System: sys, Objectives: sys.ObjectivesOf("redis", "")}},
			{Kind: drills.EvIntended, At: at(0), Change: &c},
			{Kind: drills.EvApplied, At: at(0.2), Change: &c, Effect: &drills.Effect{From: at(0), To: at(0.1), Proven: true}},
			{Kind: drills.EvGap, At: at(11), Gap: &drills.Gap{Op: "cut.1.do", Why: "restarted", Again: true}},
			{Kind: drills.EvIntended, At: at(11.1), Change: &c},
			{Kind: drills.EvApplied, At: at(14), Change: &second, Effect: &drills.Effect{From: at(12.5), To: at(13), Proven: proven}},
			{Kind: drills.EvLift, At: at(40), Change: &c},
			{Kind: drills.EvUndone, At: at(41), Change: &c, Effect: &drills.Effect{From: at(40), To: at(41), Proven: true}},
			{Kind: drills.EvMeasured, At: at(60), Probe: &drills.ProbeMeasured{Name: "redis-write", From: at(-20), To: at(60), Every: drills.Duration(50 * time.Millisecond), Count: drills.Classes{Good: 1000}, Outages: []drills.Outage{out}}},
		})
		i := slices.IndexFunc(rec.Expectations, func(j drills.Judged) bool { return j.ID == "recovered-by" })
		return rec.Expectations[i]
	}
	for name, x := range map[string]struct {
		back   float64
		proven bool
		want   drills.Verdict
		why    string
	}{
		"before":                         {5, true, drills.Met, ""},
		"in it":                          {11, true, drills.NotMet, "not in force"},
		"before anybody knew that it is": {10.3, true, drills.NotMet, "not in force"},
		"across its end":                 {12.95, true, drills.Unclear, "cannot be told apart"},
		"after it":                       {20, true, drills.Met, ""},
		"after one that nothing proves":  {20, false, drills.NotMet, "only after our own undo"},
		"after the lift":                 {45, true, drills.NotMet, "only after our own undo"},
	} {
		if j := fold(x.back, x.proven); j.Verdict != x.want || !strings.Contains(j.Why, x.why) {
			t.Errorf("%s: %s %q, want %s %q", name, j.Verdict, j.Why, x.want, x.why)
		}
	}
}

// TestAChangeThatIsMeantAgainIsOutstandingOnce: one undo undoes whichever attempt is in force.
func TestAChangeThatIsMeantAgainIsOutstandingOnce(t *testing.T) {
	c := drills.Change{ID: "cut.1", Do: drills.Op{ID: "cut.1.do"}}
	other := drills.Change{ID: "cut.2"}
	events := []drills.Event{
		{Kind: drills.EvIntended, Change: &c},
		{Kind: drills.EvIntended, Change: &other},
		{Kind: drills.EvGap, Gap: &drills.Gap{Op: "cut.1.do"}},
		{Kind: drills.EvIntended, Change: &c},
	}
	if got := drills.Outstanding(events); len(got) != 2 || got[0].ID != "cut.1" || got[1].ID != "cut.2" {
		t.Errorf("outstanding %+v", got)
	}
	if got := drills.Outstanding(append(events, drills.Event{Kind: drills.EvUndone, Change: &c, Effect: &drills.Effect{}})); len(got) != 1 || got[0].ID != "cut.2" {
		t.Errorf("after its undo: %+v", got)
	}
}
