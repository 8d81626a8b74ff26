package drills_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/drilltest"
)

// unit is the smallest fault: one unit verb on every target, undone by its inverse while it is still ours to undo.
type unit struct{ do, undo string }

func (u unit) Plan(s drills.Scene) ([]drills.Change, error) {
	var out []drills.Change
	for _, m := range s.Targets {
		do, _ := drills.NewOp(u.do, m.ID, nil)
		undo, _ := drills.NewOp(u.undo, m.ID, map[string]any{"started_at": m.StartedAt})
		out = append(out, drills.Change{Class: drills.ClassUndo, Do: do, Undo: undo})
	}
	return out, nil
}

const second = drills.Duration(time.Second)

func system() *drills.System {
	return &drills.System{Name: "fake", Environment: "reference", Components: map[string]drills.Component{
		"redis": {
			Name: "redis", Kind: "redis", Members: drills.MemberSelect{Select: drills.Selector{Service: "redis-*"}},
			Roles: &drills.RoleSource{From: "fake"}, RecoveredMeans: []string{"redis-write"},
			Objectives: drills.Objectives{RTO: 60 * second, Source: drills.Source{Document: "test"}},
		},
	}}
}

func killDrill() *drills.Drill {
	return &drills.Drill{
		Name: "redis-primary-kill", Component: "redis",
		Require:     []drills.Requirement{{Component: "redis", Conditions: map[string]string{"replicas": ">= 2"}}},
		SteadyState: drills.SteadyState{For: 10 * second, Probes: map[string]drills.Share{"redis-write": 0.99}},
		Method: []drills.Step{{
			ID: "kill", Fault: "kill", Target: drills.Target{Component: "redis", Role: "primary"}, Duration: 20 * second,
			Plan: unit{"unit.kill", "unit.start"},
		}},
		Recovery: drills.Recovery{For: 5 * second},
		Expect: drills.Expect{
			RoleMoved: &drills.RoleMoved{Component: "redis", Role: "primary", Within: 15 * second, While: drills.FaultActive},
			RTA:       &drills.MaxTime{Max: 30 * second}, Rejoin: &drills.Within{Within: 30 * second},
		},
		StopConditions: []drills.StopCondition{{Time: 300 * second}},
	}
}

// bench is everything one run needs.
type bench struct {
	world   *drilltest.World
	probe   *drilltest.Probe
	journal *drilltest.Journal
	guard   *drilltest.Guard
	engine  *drills.Engine
	drill   *drills.Drill
	abort   chan string
}

func newBench(failover time.Duration) *bench {
	b := &bench{world: drilltest.NewWorld(failover), journal: drilltest.NewJournal(), guard: drilltest.NewGuard(), drill: killDrill(), abort: make(chan string, 1)}
	b.probe = &drilltest.Probe{World: b.world, Name: "redis-write"}
	rt := &drills.Mux{
		System: system(), Inventory: b.world, Resolvers: map[string]drills.RoleResolver{"fake": b.world},
		Actuators: map[string]drills.Actuator{"unit": b.world},
	}
	b.engine = &drills.Engine{
		Runtime: rt, Journal: b.journal, Abort: b.abort,
		Lock: func(context.Context) (drills.Guard, func(context.Context) error, error) {
			return b.guard, func(context.Context) error { return nil }, nil
		},
		Observers: []drills.Observer{&drills.RoleWatch{Runtime: rt, Components: []string{"redis"}, Every: 93 * time.Millisecond}, b.probe},
	}
	return b
}

func (b *bench) run(ctx context.Context) (drills.Record, error) {
	sys := system()
	return b.engine.Run(ctx, drills.Opened{Run: "r1", Drill: b.drill, System: sys, Objectives: sys.ObjectivesOf("redis", "")})
}

func TestRunOutcomes(t *testing.T) {
	tests := []struct {
		name     string
		failover time.Duration
		set      func(*bench)
		outcome  drills.Outcome
		cause    string
		sentence string // part of it
		dirty    bool
	}{
		{"a sound system passes", 3 * time.Second, nil, drills.Pass, "", "Every objective", false},
		{"nobody takes over: our undo brought it back", 0, nil, drills.Fail, "recovered-by-undo", "only after our own undo", false},
		{"a slow failover misses the bound", 25 * time.Second, func(b *bench) {
			b.drill.Method[0].Duration = 45 * second
			b.drill.Expect.RTA.Max = 20 * second
		}, drills.Fail, "rta", "longer than 20s", false},
		{"a probe that stays bad is named", 3 * time.Second, func(b *bench) { b.probe.Stuck = true }, drills.Fail, "redis-write", "redis-write never recovered", false},
		{"a fault without effect proves nothing", 3 * time.Second, func(b *bench) { b.world.Inert = map[string]bool{"id-redis-1": true} }, drills.Invalid, "not-effective", "no proven effect", false},
		{"a do that fails is undone and proves nothing", 3 * time.Second, func(b *bench) { b.world.FailDo = map[string]bool{"id-redis-1": true} }, drills.Invalid, "not-effective", "the engine timed out", false},
		{"an undo that lies leaves residue", 3 * time.Second, func(b *bench) { b.world.LieUndo = map[string]bool{"id-redis-1": true} }, drills.Aborted, "internal", "could not be lifted", true},
		{"an undo that is refused leaves residue", 3 * time.Second, func(b *bench) { b.world.FailUndo = map[string]bool{"id-redis-1": true} }, drills.Aborted, "internal", "could not be lifted", true},
		{"too few replicas blocks", 3 * time.Second, func(b *bench) { b.drill.Require[0].Conditions["replicas"] = ">= 3" }, drills.BlockedRun, "blocked", "redis replicas: 2", false},
		{"a throttled probe is not an outage", 3 * time.Second, func(b *bench) { b.probe.Count.Throttled = 400 }, drills.Invalid, "probe-throttled", "429", false},
		{"a dead prober is invalid", 3 * time.Second, func(b *bench) { b.probe.Err = "exit status 2" }, drills.Invalid, "probe-died", "exit status 2", false},
		{"an outage beyond the stop condition aborts", 0, func(b *bench) {
			b.drill.StopConditions = append(b.drill.StopConditions, drills.StopCondition{Outage: 5 * second, ObjectiveTruncated: true})
		}, drills.Aborted, "stop-condition", "bad for more than 5s", false},
		{"a lost guard aborts", 3 * time.Second, func(b *bench) { b.guard.Lose() }, drills.Aborted, "internal", "guard is gone", false},
		{"a second run is blocked by the lock", 3 * time.Second, func(b *bench) {
			b.engine.Lock = func(context.Context) (drills.Guard, func(context.Context) error, error) {
				return nil, nil, drills.Errorf(drills.Locked, "", "run r0 holds the guard")
			}
		}, drills.BlockedRun, "blocked", "run r0 holds the guard", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(tt.failover)
				if tt.set != nil {
					tt.set(b)
				}
				rec, err := b.run(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if rec.Outcome != tt.outcome || rec.Cause != tt.cause || !strings.Contains(rec.Sentence, tt.sentence) || rec.Dirty != tt.dirty {
					t.Errorf("got %s (%s) dirty=%v: %q", rec.Outcome, rec.Cause, rec.Dirty, rec.Sentence)
					for _, j := range rec.Expectations {
						t.Logf("%-14s %-12s %s %s", j.ID, j.Verdict, j.Actual, j.Why)
					}
				}
				if !tt.dirty && (!b.world.Running() || len(b.guard.Held) != 0) {
					t.Errorf("left behind: running=%v guard holds %v", b.world.Running(), b.guard.Held)
				}
			})
		})
	}
}

func TestRTAIsTheMeasuredInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec, _ := newBench(3 * time.Second).run(t.Context())
		if rec.RTA == nil || rec.RTA.Span == nil {
			t.Fatal("no RTA")
		}
		lo, hi := rec.RTA.Span.Lo.D(), rec.RTA.Span.Hi.D()
		if lo > 3*time.Second || hi < 3*time.Second || hi-lo > 200*time.Millisecond {
			t.Errorf("RTA [%s, %s] does not hold the true 3s closely", lo, hi)
		}
	})
}

func TestInterruptRestoresAndAborts(t *testing.T) {
	for _, at := range []time.Duration{time.Second, 11 * time.Second, 15 * time.Second, 31 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(3 * time.Second)
			ctx, cancel := context.WithTimeoutCause(t.Context(), at, errors.New("signal: interrupt"))
			defer cancel()
			rec, err := b.run(ctx)
			if err != nil || rec.Outcome != drills.Aborted || rec.Stop.Cause != drills.StopOperator {
				t.Errorf("after %s: %s %q %v", at, rec.Outcome, rec.Sentence, err)
			}
			if !b.world.Running() {
				t.Errorf("after %s: something is still broken", at)
			}
		})
	}
}

func TestOperatorAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(3 * time.Second)
		go func() {
			time.Sleep(14 * time.Second)
			b.abort <- "too risky"
		}()
		rec, _ := b.run(t.Context())
		if rec.Outcome != drills.Aborted || !strings.Contains(rec.Sentence, "too risky") || drills.Exit(rec.Outcome, rec.Dirty) != drills.ExitAborted {
			t.Errorf("%s %q", rec.Outcome, rec.Sentence)
		}
	})
}

// TestFullDisk lets the journal fail after every number of events: nothing may stay broken, and the error must be told.
func TestFullDisk(t *testing.T) {
	total := 0
	synctest.Test(t, func(t *testing.T) {
		b := newBench(3 * time.Second)
		_, _ = b.run(t.Context())
		total = len(b.journal.Events())
	})
	for limit := 1; limit < total; limit++ {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(3 * time.Second)
			b.journal.Limit = limit
			_, err := b.run(t.Context())
			if err == nil {
				t.Errorf("limit %d: no error", limit)
			}
			if !b.world.Running() {
				t.Errorf("limit %d: something is still broken", limit)
			}
			for _, e := range b.journal.Events() {
				if e.Kind == drills.EvApplied && !slices.ContainsFunc(b.journal.Events(), func(x drills.Event) bool { return x.Kind == drills.EvIntended && x.Change.ID == e.Change.ID }) {
					t.Errorf("limit %d: a deed without its intent", limit)
				}
			}
		})
	}
}

// TestRequirementThatOnlyNeedsTime: a drill right after another waits until roles have been stable for long enough; when that
// is far away, or somebody interrupts, it does not.
func TestRequirementThatOnlyNeedsTime(t *testing.T) {
	for _, tt := range []struct {
		name    string
		age     time.Duration
		abort   bool
		outcome drills.Outcome
		waits   time.Duration
	}{
		{"long enough", time.Minute, false, drills.Pass, 0},
		{"soon", 8 * time.Second, false, drills.Pass, 12 * time.Second},
		{"not soon", -50 * time.Second, false, drills.BlockedRun, 0},
		{"interrupted", 8 * time.Second, true, drills.Aborted, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(3 * time.Second)
				b.world.MovedAt(time.Now().Add(-tt.age))
				b.drill.Require[0].Conditions["last-role-change"] = "> 20s"
				if tt.abort {
					b.abort <- "changed my mind"
				}
				began := time.Now()
				rec, err := b.run(t.Context())
				if err != nil || rec.Outcome != tt.outcome || (tt.abort && len(rec.Faults) > 0) {
					t.Errorf("%s (%s) %s, %v", rec.Outcome, rec.Cause, rec.Sentence, err)
				}
				for _, x := range rec.Faults {
					if waited := x.Intended.Sub(began) - b.drill.SteadyState.For.D(); waited < tt.waits || waited > tt.waits+2*time.Second {
						t.Errorf("waited %s, want %s", waited, tt.waits)
					}
				}
			})
		})
	}
}

// TestMembersThatWereJustStartedAreWaitedFor: right after a start of the system nothing is wrong, it is just early.
func TestMembersThatWereJustStartedAreWaitedFor(t *testing.T) {
	for _, tt := range []struct {
		name    string
		well    time.Duration
		old     bool // it was started long ago and is ill
		outcome drills.Outcome
		waits   time.Duration
	}{
		{"soon healthy", 12 * time.Second, false, drills.Pass, 12 * time.Second},
		{"not for long", time.Hour, false, drills.BlockedRun, 30 * time.Second},
		{"ill", time.Hour, true, drills.BlockedRun, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(3 * time.Second)
				b.world.Starting("id-redis-3", time.Now().Add(tt.well))
				if tt.old {
					b.world.SetStarted("id-redis-3", time.Now().Add(-time.Hour))
				}
				b.drill.Require[0].Conditions["running"] = ">= 3"
				rec, err := b.run(t.Context())
				if err != nil || rec.Outcome != tt.outcome {
					t.Errorf("%s (%s) %s, %v", rec.Outcome, rec.Cause, rec.Sentence, err)
				}
				waited := rec.Ended.Sub(rec.Started)
				if len(rec.Faults) > 0 {
					waited = rec.Faults[0].Intended.Sub(rec.Started) - b.drill.SteadyState.For.D()
				}
				if waited < tt.waits || waited > tt.waits+3*time.Second {
					t.Errorf("waited %s, want %s", waited, tt.waits)
				}
			})
		})
	}
}

// TestEvidenceThatCannotBeKept: the run stops at once, restores, and ends as our own failure.
func TestEvidenceThatCannotBeKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(3 * time.Second)
		full := errors.New("no space left on device")
		b.engine.Trouble = func() error {
			if !b.world.Running() {
				return full
			}
			return nil
		}
		rec, err := b.run(t.Context())
		if !errors.Is(err, full) || rec.Outcome != drills.Aborted || !strings.Contains(rec.Sentence, full.Error()) {
			t.Errorf("%s, %q, error %v", rec.Outcome, rec.Sentence, err)
		}
		if !b.world.Running() || !rec.Faults[0].Lift.IsZero() {
			t.Errorf("still broken, or the fault went on to its own end: %+v", rec.Faults[0])
		}
	})
}

// TestCrashAnywhere cuts the journal after every event; an intended do may or may not have landed. Recover must leave the
// world whole, twice.
func TestCrashAnywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(3 * time.Second)
		if _, err := b.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		events := b.journal.Events()
		for n := 1; n < len(events); n++ {
			for _, landed := range []bool{true, false} {
				w := replay(t, events[:n], landed)
				rt := &drills.Mux{System: system(), Inventory: w, Actuators: map[string]drills.Actuator{"unit": w}}
				cut := drilltest.NewJournal(slices.Clone(events[:n])...)
				rec, err := drills.Recover(t.Context(), rt, cut, []string{"did nothing"})
				if err != nil || !w.Running() || len(drills.Outstanding(cut.Events())) != 0 {
					t.Fatalf("cut at %d (%s): %v running=%v", n, events[n-1].Kind, err, w.Running())
				}
				if rec.Outcome != drills.Aborted && rec.Outcome != drills.Fail && rec.Outcome != drills.BlockedRun {
					t.Fatalf("cut at %d: outcome %s", n, rec.Outcome)
				}
				if err := drills.Restore(t.Context(), rt, cut, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func replay(t *testing.T, events []drills.Event, landed bool) *drilltest.World {
	w := drilltest.NewWorld(3 * time.Second)
	started := map[string]time.Time{}
	for _, e := range events {
		switch e.Kind {
		case drills.EvIntended:
			var a struct {
				StartedAt time.Time `json:"started_at"`
			}
			_ = e.Change.Undo.Decode(&a)
			started[e.Change.Do.Target] = a.StartedAt
			w.SetStarted(e.Change.Do.Target, a.StartedAt)
			if landed {
				_, _ = w.Apply(t.Context(), e.Change.Do)
			}
		case drills.EvApplied:
			_, _ = w.Apply(t.Context(), e.Change.Do)
		case drills.EvUndone:
			_, _ = w.Apply(t.Context(), e.Change.Undo)
		}
	}
	return w
}

func TestIntentComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(3 * time.Second)
		_, _ = b.run(t.Context())
		var kinds []drills.EventKind
		for _, e := range b.journal.Events() {
			switch e.Kind {
			case drills.EvIntended, drills.EvApplied, drills.EvLift, drills.EvUndone:
				kinds = append(kinds, e.Kind)
			}
		}
		if !slices.Equal(kinds, []drills.EventKind{drills.EvIntended, drills.EvApplied, drills.EvLift, drills.EvUndone}) || !slices.Equal(b.guard.Seen, []string{"kill.1"}) {
			t.Errorf("order %v, guard saw %v", kinds, b.guard.Seen)
		}
	})
}

func TestUndoNewestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(3 * time.Second)
		b.drill.Method[0].Target = drills.Target{Component: "redis", Pick: "all"}
		b.drill.Method[0].Duration = 0
		ctx, cancel := context.WithTimeoutCause(t.Context(), 12*time.Second, errors.New("interrupt"))
		defer cancel()
		rec, _ := b.run(ctx)
		want := []string{}
		for _, x := range slices.Backward(rec.Faults) {
			want = append(want, x.Change.Do.Target)
		}
		if len(want) != 3 || !slices.Equal(b.world.Order, want) {
			t.Errorf("undone %v, want %v", b.world.Order, want)
		}
	})
}

func TestUndoIsSkippedWhenSomebodyRestartedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(3 * time.Second)
		go func() {
			time.Sleep(15 * time.Second)
			b.world.Restarted("id-redis-1")
		}()
		rec, _ := b.run(t.Context())
		if x := rec.Faults[0].Undone; x == nil || x.Skipped == "" || rec.Dirty {
			t.Errorf("undone %+v dirty=%v", x, rec.Dirty)
		}
	})
}

func TestConformanceOfTheFake(t *testing.T) {
	w := drilltest.NewWorld(time.Second)
	do, _ := drills.NewOp("unit.pause", "id-redis-2", nil)
	undo, _ := drills.NewOp("unit.unpause", "id-redis-2", nil)
	do.ID, undo.ID = "a.do", "a.undo"
	drilltest.Actuator(t, drilltest.ActuatorCase{Name: "fake pause", Actuator: w, Change: drills.Change{ID: "a", Do: do, Undo: undo}})
}

// TestFoldOfADamagedJournal drops the payload of each event in turn: the fold must not fall over.
func TestFoldOfADamagedJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(3 * time.Second)
		_, _ = b.run(t.Context())
		events := b.journal.Events()
		for i, e := range events {
			damaged := slices.Clone(events)
			damaged[i] = drills.Event{Seq: e.Seq, At: e.At, Kind: e.Kind}
			_ = drills.Fold(damaged)
			_ = drills.Outstanding(damaged)
			_ = drills.Waiting(damaged, e.At)
		}
	})
}

// saver is an actuator that reads before it intends what its undo will put back.
type saver struct {
	*drilltest.World
	refuse error
	asked  int
}

func (s *saver) Prepare(_ context.Context, c drills.Change) (drills.Change, error) {
	s.asked++
	if s.refuse != nil {
		return c, s.refuse
	}
	c.Note = "read before"
	return c, nil
}

// TestPrepared: what an actuator reads before the deed is in the intent and in the guard's hands; where the deed may not be done,
// the run is blocked and nothing is injected.
func TestPrepared(t *testing.T) {
	for _, refuse := range []error{nil, errors.New("GRANT this")} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(3 * time.Second)
			s := &saver{World: b.world, refuse: refuse}
			b.engine.Runtime.(*drills.Mux).Actuators["unit"] = s
			rec, err := b.run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if refuse != nil {
				intended := slices.ContainsFunc(b.journal.Events(), func(e drills.Event) bool { return e.Kind == drills.EvIntended })
				if rec.Outcome != drills.BlockedRun || intended || !strings.Contains(rec.Sentence, "GRANT this") {
					t.Errorf("%s %q, intended %v", rec.Outcome, rec.Sentence, intended)
				}
				return
			}
			for _, e := range b.journal.Events() {
				if e.Kind == drills.EvIntended && e.Change.Note != "read before" {
					t.Errorf("the intent lacks it: %+v", e.Change)
				}
			}
			if rec.Outcome != drills.Pass || s.asked != 2 {
				t.Errorf("%s, asked %d times: once to be ready, once before the deed", rec.Outcome, s.asked)
			}
		})
	}
}
