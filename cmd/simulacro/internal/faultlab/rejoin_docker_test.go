package faultlab

import (
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/drilltest"
	"github.com/eevans-d/simulacro/experiments"
)

// ends is the Observer that tells the run of faults that ended without it, as cmd/simulacro has one.
type ends struct {
	gaps chan drills.Gap
	quit chan struct{}
	done chan struct{}
}

func (o *ends) Start(_ context.Context, emit func(drills.Event)) error {
	go func() {
		defer close(o.done)
		for {
			select {
			case <-o.quit:
				return
			case g := <-o.gaps:
				emit(drills.Event{Kind: drills.EvGap, Gap: &g})
			}
		}
	}()
	return nil
}

func (o *ends) Finish(context.Context, drills.Timing) ([]drills.Event, error) {
	close(o.quit)
	<-o.done
	return nil, nil
}

// cutRun is a run of the real engine: a partition of one member from another, for a while.
type cutRun struct {
	lab     *lab
	journal *drilltest.Journal
	target  drills.Member
	peer    string
	result  chan drills.Record
}

func (l *lab) cutRun(duration time.Duration) *cutRun {
	l.t.Helper()
	peer := l.memberOf("gad/base:dev", "peer", []string{"600"}, "--entrypoint", "sleep")
	x := &cutRun{lab: l, journal: drilltest.NewJournal(), result: make(chan drills.Record, 1), peer: peer.Networks["bridge"]}
	x.target = l.memberOf("gad/base:dev", "api", []string{"-c", "while true; do (timeout 1 bash -c 'echo >/dev/tcp/" + x.peer + "/9') 2>/dev/null; sleep 0.1; done"}, "--entrypoint", "bash")
	gaps := &ends{gaps: make(chan drills.Gap, 10), quit: make(chan struct{}), done: make(chan struct{})}
	network := experiments.NewNet(l.e.Launcher(l.run), nil, func(op, why string) {
		gaps.gaps <- drills.Gap{Op: op, Why: why, Again: why == experiments.TargetRestarted}
	})
	l.t.Cleanup(func() { _ = network.Close(context.Background()) })
	sys := &drills.System{Name: l.project, Environment: "reference", Components: map[string]drills.Component{}}
	for _, name := range []string{"api", "peer"} {
		sys.Components[name] = drills.Component{Name: name, Members: drills.MemberSelect{Select: drills.Selector{Service: name}}}
	}
	raw, _ := json.Marshal(with{"from": []with{{"component": "peer"}}})
	fault, err := experiments.All()["partition"].New(func(into any) error { return json.Unmarshal(raw, into) })
	if err != nil {
		l.t.Fatal(err)
	}
	d := &drills.Drill{
		Name: "cut", Component: "api", SteadyState: drills.SteadyState{For: drills.Duration(time.Second)},
		Method:   []drills.Step{{ID: "cut", Fault: "partition", Target: drills.Target{Component: "api"}, Duration: drills.Duration(duration), Plan: fault}},
		Recovery: drills.Recovery{For: drills.Duration(time.Second)},
	}
	e := &drills.Engine{
		Runtime: &drills.Mux{System: sys, Inventory: l.e, Actuators: map[string]drills.Actuator{"net": network}}, Journal: x.journal,
		Lock: func(context.Context) (drills.Guard, func(context.Context) error, error) {
			return drilltest.NewGuard(), func(context.Context) error { return nil }, nil
		},
		Observers: []drills.Observer{gaps}, Limits: drills.EngineLimits{Verify: 5 * time.Second},
	}
	ctx, cancel := context.WithTimeout(l.t.Context(), 3*time.Minute)
	l.t.Cleanup(cancel)
	go func() {
		rec, err := e.Run(ctx, drills.Opened{Run: l.project, Drill: d, System: sys})
		if err != nil {
			l.t.Error(err)
		}
		x.result <- rec
	}()
	return x
}

// count is how many events of a kind there are by now.
func (x *cutRun) count(kind drills.EventKind) (n int) {
	for _, e := range x.journal.Events() {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// cut tells whether the target is cut off: packets vanish, where a free peer refuses at once.
func (x *cutRun) cut() bool {
	x.lab.t.Helper()
	out, _ := exec.Command("docker", "exec", x.target.ID, "bash", "-c", "timeout 2 bash -c 'echo >/dev/tcp/"+x.peer+"/9' 2>&1; echo $?").CombinedOutput()
	if text := string(out); !strings.Contains(text, "refused") && !strings.Contains(text, "124") {
		x.lab.t.Logf("the target says %q", text)
	}
	return strings.Contains(string(out), "124")
}

func (x *cutRun) record() drills.Record {
	x.lab.t.Helper()
	select {
	case rec := <-x.result:
		for _, e := range x.journal.Events() {
			raw, _ := json.Marshal(e)
			if e.Kind != drills.EvOpened && e.Kind != drills.EvPhase {
				x.lab.t.Logf("%.600s", raw)
			}
		}
		return rec
	case <-time.After(3 * time.Minute):
		x.lab.t.Fatal("the run did not end")
		return drills.Record{}
	}
}

// TestARestartUnderAPartitionIsJoinedAgain: the new namespace is cut off as the old one was, the time between is a gap on
// record, and one undo lifts what is in force then.
func TestARestartUnderAPartitionIsJoinedAgain(t *testing.T) {
	l := newLab(t, false)
	x := l.cutRun(45 * time.Second)
	l.eventually("the fault is in force", time.Minute, func() bool { return x.count(drills.EvApplied) == 1 })
	if !x.cut() {
		t.Fatal("the target is not cut off")
	}
	for i := range 2 {
		l.docker("restart", "-t", "0", x.target.ID)
		l.eventually("the fault is in force again", 30*time.Second, func() bool { return x.count(drills.EvApplied) == 2+i })
		if !x.cut() {
			t.Error("the target is not cut off in its new namespace")
		}
	}
	rec := x.record()
	f := rec.Faults[0]
	if len(f.Gaps) != 2 || f.Undone == nil || f.Undone.Skipped != "" || rec.Dirty {
		t.Fatalf("gaps %+v, undone %+v, residue %v", f.Gaps, f.Undone, rec.Residue)
	}
	for _, g := range f.Gaps {
		if g.To.IsZero() || g.Effect == nil || !g.Effect.Proven || g.To.Sub(g.From) > 20*time.Second || g.From.Before(f.Effect.To) {
			t.Errorf("gap %+v", g)
		}
	}
	if x.cut() {
		t.Error("the target is still cut off after the run")
	}
	l.clean(x.target.ID)
}

// TestATargetThatDoesNotComeBackEndsItsFault: the run says when, and that it was for good.
func TestATargetThatDoesNotComeBackEndsItsFault(t *testing.T) {
	l := newLab(t, false)
	x := l.cutRun(20 * time.Second)
	l.eventually("the fault is in force", time.Minute, func() bool { return x.count(drills.EvApplied) == 1 })
	down := time.Now()
	l.docker("kill", x.target.ID)
	rec := x.record()
	f := rec.Faults[0]
	if len(f.Gaps) != 1 || !f.Gaps[0].To.IsZero() || f.Undone == nil || f.Undone.Skipped == "" || rec.Dirty {
		t.Fatalf("gaps %+v, undone %+v, residue %v", f.Gaps, f.Undone, rec.Residue)
	}
	if d := f.Gaps[0].From.Sub(down); d < -2*time.Second || d > 3*time.Second {
		t.Errorf("the gap begins %v after the kill", d)
	}
	found := false
	for _, x := range rec.Findings {
		found = found || strings.HasPrefix(x.ID, drills.FaultEnded) && x.Severity == drills.SeveritySerious
	}
	if !found {
		t.Errorf("findings %+v", rec.Findings)
	}
	l.docker("start", x.target.ID)
	if x.cut() {
		t.Error("it is cut off after the run")
	}
	l.clean(x.target.ID)
}
