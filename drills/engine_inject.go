package drills

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// act is something to do at a time: inject a step, or lift a change whose duration is over.
type act struct {
	at   time.Time
	step *Step
	lift *Change
}

// inject runs the drill's time axis: every step at its offset, every lift when its duration is over, until everything is
// decided, or a stop condition holds, or somebody interrupts.
func (r *run) inject(ctx context.Context) {
	if !r.enter(Injecting) {
		return
	}
	r.begin = time.Now()
	var todo []act
	for i, s := range r.drill.Method {
		todo = append(todo, act{at: r.begin.Add(s.At.D()), step: &r.drill.Method[i]})
	}
	for {
		slices.SortStableFunc(todo, func(a, b act) int { return a.at.Compare(b.at) })
		for len(todo) > 0 && !todo[0].at.After(time.Now()) {
			next := todo[0]
			lifts, ok := r.act(ctx, next)
			if !ok {
				return
			}
			todo = append(todo[1:], lifts...)
			slices.SortStableFunc(todo, func(a, b act) int { return a.at.Compare(b.at) })
		}
		if r.phase == Injecting && !slices.ContainsFunc(todo, func(a act) bool { return a.step != nil }) && !r.enter(Observing) {
			return
		}
		if r.done(ctx) {
			return
		}
		r.rejoin(ctx)
		r.sleepUntil(ctx, todo)
	}
}

// sleepUntil waits for the next act or the next tick.
func (r *run) sleepUntil(ctx context.Context, todo []act) {
	d := r.Limits.Tick
	if len(todo) > 0 {
		d = min(d, max(0, time.Until(todo[0].at)))
	}
	Wait(ctx, d)
}

// done tells whether the observing phase is over: interrupted, stopped, or everything decided.
func (r *run) done(ctx context.Context) bool {
	if r.interrupted(ctx) {
		return true
	}
	now := time.Now()
	f := newFolder(r.all())
	if s := f.liveStop(now, r.begin, r.system.Limits); s != nil {
		r.stop(s.Cause, s.Reason, s.Truncated)
		return true
	}
	return r.phase == Observing && len(f.waiting(now)) == 0
}

func (r *run) act(ctx context.Context, a act) ([]act, bool) {
	if r.interrupted(ctx) {
		return nil, false
	}
	if a.lift != nil {
		r.emit(Event{Kind: EvLift, Change: a.lift})
		return nil, r.undo(ctx, *a.lift, "its duration was over")
	}
	return r.step(ctx, a.step)
}

// step resolves the roles again, journals a difference from the plan, and does every change of the step.
func (r *run) step(ctx context.Context, s *Step) ([]act, bool) {
	t, err := r.Runtime.Topology(ctx)
	if err != nil {
		r.stop(StopInternal, "the topology could not be read: "+err.Error(), false)
		return nil, false
	}
	ps, err := PlanStep(*s, r.system, t, r.opened.Run, r.plan.targets(s.ID))
	if err != nil {
		r.stop(StopInternal, fmt.Sprintf("Step %s could not be planned when its time came: %s", s.ID, err), false)
		return nil, false
	}
	r.noteMoved(ps)
	var lifts []act
	for _, c := range ps.Changes {
		if c, err = r.prepare(ctx, c); err != nil {
			r.stop(StopInternal, fmt.Sprintf("Step %s could not be prepared when its time came: %s", s.ID, err), false)
			return nil, false
		}
		effect, ok := r.apply(ctx, c)
		if !ok {
			return nil, false
		}
		if c.Duration > 0 && c.Class == ClassUndo {
			lifts = append(lifts, act{at: effect.To.Add(c.Duration.D()), lift: &c})
		}
	}
	return lifts, true
}

// noteMoved journals that a step hits another member than the plan said, because roles moved in between.
func (r *run) noteMoved(ps PlannedStep) {
	planned := r.plan.targets(ps.Step.ID)
	for i, m := range ps.Targets {
		if i < len(planned) && planned[i].ID != m.ID {
			r.emit(Event{Kind: EvNote, Text: fmt.Sprintf("step %s now hits %s, planned was %s: roles moved", ps.Step.ID, m.Name, planned[i].Name)})
		}
	}
}

// prepare completes a change with what has to be read before it is intended.
func (r *run) prepare(ctx context.Context, c Change) (Change, error) {
	if p, ok := r.Runtime.(Preparer); ok {
		return p.Prepare(ctx, c)
	}
	return c, nil
}

// apply: intent on disk and in the guard's hands, then the deed, then its proof.
func (r *run) apply(ctx context.Context, c Change) (Effect, bool) {
	if !r.emit(Event{Kind: EvIntended, Change: &c}) {
		return Effect{}, false
	}
	if err := r.guard.Intend(ctx, c); err != nil {
		r.emit(Event{Kind: EvFailed, Change: &c, Text: "the guard did not take the undo: " + err.Error()})
		return Effect{}, false
	}
	effect, err := r.Runtime.Apply(ctx, c.Do)
	if err != nil {
		r.emit(Event{Kind: EvFailed, Change: &c, Text: err.Error()})
		if ctx.Err() != nil {
			r.interrupted(ctx)
		}
		return Effect{}, false
	}
	return effect, r.emit(Event{Kind: EvApplied, Change: &c, Effect: &effect}) && effect.Proven
}

// undo lifts one change under a context that an interrupt does not end. A fault that cannot be lifted stops the run:
// restoring tries again, and what it cannot undo either is residue.
func (r *run) undo(ctx context.Context, c Change, why string) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.Limits.Restore)
	defer cancel()
	if err := UndoOne(ctx, r.Runtime, r, c, why); err != nil {
		r.stop(StopInternal, "The fault could not be lifted: "+err.Error(), true)
		return false
	}
	r.forget(ctx, c)
	return true
}

// forget tells the guard that a change is gone.
func (r *run) forget(ctx context.Context, c Change) {
	if r.guard == nil {
		return
	}
	if err := r.guard.Done(ctx, c.ID); err != nil {
		r.emit(Event{Kind: EvNote, Text: "the guard was not told that " + c.ID + " is undone: " + err.Error()})
	}
}
