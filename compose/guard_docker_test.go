package compose

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/filters"

	"github.com/eevans-d/simulacro/drills"
)

// runGone tells whether nothing of a run is left but its guard.
func (l *lab) runGone(run string) bool {
	list, err := l.e.ours(context.WithoutCancel(l.t.Context()), filters.Arg("label", LabelSystem+"="+l.project))
	if err != nil {
		l.t.Fatal(err)
	}
	for _, c := range list {
		if c.Labels[LabelRun] == run && c.Labels[LabelRole] != RoleGuard {
			return false
		}
	}
	return true
}

// collect waits for the guard's end and takes its report.
func (l *lab) collect() *GuardReport {
	l.t.Helper()
	var r *GuardReport
	l.eventually("guard ended", 90*time.Second, func() bool {
		var err error
		r, err = l.e.Collect(l.ctx())
		if err != nil && drills.CodeOf(err) != drills.Locked {
			l.t.Fatal(err)
		}
		return err == nil
	})
	if r == nil {
		l.t.Fatal("no guard to collect")
	}
	b, _ := json.Marshal(r)
	l.t.Logf("report %s", b)
	return r
}

func TestGuardActsWhenTheOrchestratorIsKilled(t *testing.T) {
	l := newLab(t)
	frozen, dead := l.member("db", 1, []string{"sleep"}), l.member("api", 1, []string{"sleep"})
	first, second := l.change(VerbPause, VerbUnpause, frozen), l.change(VerbKill, VerbStart, dead)
	orchestrator, _ := l.orchestrator("r1", first, second)
	if !l.state(frozen).Paused || l.state(dead).Running || l.runGone("r1") {
		t.Fatal("the faults are not there")
	}
	if left, err := l.e.Leftovers(l.ctx()); err != nil || len(left) != 0 {
		t.Errorf("a live run's containers count as left over: %v %v", left, err)
	}
	if err := orchestrator.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = orchestrator.Wait()
	took := l.eventually("undone", 10*time.Second, func() bool { return !l.state(frozen).Paused && l.state(dead).Running })
	t.Logf("both faults undone %v after the kill", took)
	r := l.collect()
	if r.Why != "eof" || r.Run != "r1" || !r.Clean() || len(r.Undos) != 2 {
		t.Errorf("report %+v", r)
	}
	if r.Undos[0].Change != second.ID {
		t.Error("undone in the order of doing, want newest first")
	}
	if len(r.Removed) != 1 || !l.runGone("r1") {
		t.Errorf("removed %v, want the run's vantage", r.Removed)
	}
	if again, err := l.e.Collect(l.ctx()); again != nil || err != nil {
		t.Errorf("collected twice: %v %v", again, err)
	}
}

func TestGuardActsWhenTheLeaseEnds(t *testing.T) {
	l := newLab(t)
	id := l.member("db", 1, []string{"sleep"})
	orchestrator, out := l.orchestrator("r1", l.change(VerbPause, VerbUnpause, id))
	if err := orchestrator.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	took := l.eventually("unpaused", GuardLease+10*time.Second, func() bool { return !l.state(id).Paused })
	t.Logf("unpaused %v after SIGSTOP (lease %v)", took, GuardLease)
	if took < GuardLease-2*time.Second {
		t.Errorf("after %v: the lease had not run out", took)
	}
	// Awake again, the orchestrator must notice that it has lost its guard.
	if err := orchestrator.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if got := out.next(t, 10*time.Second); !strings.HasPrefix(got, "lost") {
		t.Errorf("orchestrator said %q", got)
	}
	if r := l.collect(); r.Why != "lease" || !r.Clean() {
		t.Errorf("report %+v", r)
	}
}

func TestGuardIsTheLock(t *testing.T) {
	l := newLab(t)
	g, err := l.e.Guard(l.ctx(), RunLabels{Run: "r1"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.e.Guard(l.ctx(), RunLabels{Run: "r2"})
	if drills.CodeOf(err) != drills.Locked || !strings.Contains(err.Error(), "run r1") || !strings.Contains(err.Error(), "abort r1") {
		t.Errorf("second guard: %v", err)
	}
	t.Log(err)
	if g.Report() != nil {
		t.Errorf("first guard found a report: %+v", g.Report())
	}
	if err := g.Release(l.ctx()); err != nil {
		t.Fatal(err)
	}
	g, err = l.e.Guard(l.ctx(), RunLabels{Run: "r3"})
	if err != nil {
		t.Fatalf("guard after a release: %v", err)
	}
	if g.Report() != nil {
		t.Errorf("a released guard left a report: %+v", g.Report())
	}
	if err := g.Release(l.ctx()); err != nil {
		t.Fatal(err)
	}
	if err := g.Intend(l.ctx(), drills.Change{ID: "c"}); err == nil {
		t.Error("intend after the release: no error")
	}
}

func TestGuardForgetsWhatIsDone(t *testing.T) {
	l := newLab(t)
	id := l.member("db", 1, []string{"sleep"})
	u := l.e.Units()
	g, err := l.e.Guard(l.ctx(), RunLabels{Run: "r1"})
	if err != nil {
		t.Fatal(err)
	}
	done, kept := l.change(VerbPause, VerbUnpause, id), drills.Change{ID: "n", Do: drills.Op{Verb: "net.partition"}, Undo: drills.Op{Verb: "net.heal"}}
	begin := time.Now()
	for _, c := range []drills.Change{done, kept} {
		if err := g.Intend(l.ctx(), c); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Done(l.ctx(), done.ID); err != nil {
		t.Fatal(err)
	}
	t.Logf("three acknowledgements in %v", time.Since(begin))
	apply(t, l, u, done.Do) // as somebody else's pause would be: not the guard's business
	if err := g.Abandon(l.ctx()); err != nil {
		t.Fatal(err)
	}
	if !l.state(id).Paused {
		t.Error("the guard undid what it had been told was done")
	}
	next, err := l.e.Guard(l.ctx(), RunLabels{Run: "r2"})
	if err != nil {
		t.Fatal(err)
	}
	r := next.Report()
	if r == nil || r.Run != "r1" || len(r.Undos) != 1 || r.Undos[0].Note == "" || r.Undos[0].Change != "n" {
		t.Errorf("the next guard collected %+v", r)
	}
	if err := next.Release(l.ctx()); err != nil {
		t.Fatal(err)
	}
}

func TestGuardRespectsAPersonsAct(t *testing.T) {
	l := newLab(t)
	id := l.member("db", 1, []string{"sleep"})
	c := l.change(VerbKill, VerbStart, id)
	orchestrator, _ := l.orchestrator("r1", c)
	for _, o := range []drills.Op{op(t, VerbStart, id, nil), op(t, VerbKill, id, nil)} {
		apply(t, l, l.e.Units(), o) // somebody starts it, and somebody takes it down for good
	}
	_ = orchestrator.Process.Kill()
	_ = orchestrator.Wait()
	r := l.collect()
	if len(r.Undos) != 1 || r.Undos[0].Effect == nil || r.Undos[0].Effect.Skipped == "" || l.state(id).Running {
		t.Errorf("the guard started what a person had stopped: %+v", r)
	}
}

func TestGuardAndOrchestratorKilledTogether(t *testing.T) {
	l := newLab(t)
	id := l.member("db", 1, []string{"sleep"})
	c := l.change(VerbPause, VerbUnpause, id)
	orchestrator, _ := l.orchestrator("r1", c)
	if err := l.e.api.ContainerKill(l.ctx(), GuardName(l.project), "KILL"); err != nil {
		t.Fatal(err)
	}
	_ = orchestrator.Process.Kill()
	_ = orchestrator.Wait()
	l.eventually("guard dead", 10*time.Second, func() bool { return !l.state(GuardName(l.project)).Running })
	if !l.state(id).Paused {
		t.Fatal("nobody is left to unpause it, and yet it is")
	}
	left, err := l.e.Leftovers(l.ctx())
	if err != nil || len(left) != 1 || left[0].Run != "r1" || left[0].Role != RoleVantage {
		t.Fatalf("leftovers %v %v, want the vantage", left, err)
	}
	g, err := l.e.Guard(l.ctx(), RunLabels{Run: "r2"})
	if err != nil {
		t.Fatal(err)
	}
	if r := g.Report(); r == nil || r.Why != "lost" || r.Clean() || len(r.Held) != 1 || r.Held[0] != c.ID {
		t.Errorf("report of the killed guard: %+v", r)
	}
	if gone, err := l.e.Sweep(l.ctx()); err != nil || len(gone) != 1 || !l.runGone("r1") {
		t.Errorf("swept %v %v", gone, err)
	}
	// What the journal has is enough to finish: the undo is data.
	if e := apply(t, l, l.e.Units(), c.Undo); e.Skipped != "" || l.state(id).Paused {
		t.Errorf("undo from the journal: %+v", e)
	}
	if err := g.Release(l.ctx()); err != nil {
		t.Fatal(err)
	}
}

func TestGuardLossIsNoticed(t *testing.T) {
	l := newLab(t)
	g, err := l.e.Guard(l.ctx(), RunLabels{Run: "r1"})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-g.Lost():
		t.Fatalf("lost at once: %v", g.Err())
	default:
	}
	if err := l.e.api.ContainerKill(l.ctx(), GuardName(l.project), "KILL"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-g.Lost():
	case <-time.After(10 * time.Second):
		t.Fatal("a killed guard was not noticed")
	}
	if err := g.Intend(l.ctx(), drills.Change{ID: "c"}); err == nil {
		t.Error("a dead guard acknowledged an intent")
	}
	var e *drills.Error
	if err := g.Release(l.ctx()); !errors.As(err, &e) {
		t.Errorf("release of a lost guard: %v", err)
	}
}
