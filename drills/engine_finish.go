package drills

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// finish restores, verifies and closes. It always runs, under contexts that an interrupt does not end.
func (r *run) finish(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	r.phaseOrNote(Restoring)
	r.restore(ctx)
	restored := time.Now()
	r.phaseOrNote(Verifying)
	r.verify(ctx, restored)
	r.sweep(ctx)
	if r.release != nil {
		rctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		if e := r.release(rctx); e != nil {
			r.emit(Event{Kind: EvNote, Text: "the guard was not released: " + e.Error()})
		}
	}
	r.phaseOrNote(Closed)
	r.emit(Event{Kind: EvClosed})
}

// phaseOrNote enters a phase even when the journal is broken: restoring must not depend on it.
func (r *run) phaseOrNote(p Phase) {
	if r.phase.To(p) == nil {
		r.phase = p
	}
	r.emit(Event{Kind: EvPhase, Phase: p})
}

func (r *run) restore(ctx context.Context) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.Limits.Restore, fmt.Errorf("restoring took longer than %s", r.Limits.Restore))
	defer cancel()
	// Errors are residue events already; a broken journal is reported by Run.
	_ = Restore(ctx, r.Runtime, r, func(c Change) { r.forget(ctx, c) })
}

func (r *run) timing(restored time.Time) Timing {
	f := newFolder(r.all())
	t := Timing{Opened: f.rec.Started, Steady: r.settled, Lifted: f.lifted(), Restored: restored}
	if f.rec.Times.T0 != nil {
		t.T0 = f.rec.Times.T0.Interval
	}
	return t
}

// verify watches until the system is steady and redundant again, reads the canaries back, and collects what was measured.
// An observer that cannot finish in time says so in its own measurement, or in a note; what it leaves is swept.
func (r *run) verify(ctx context.Context, restored time.Time) {
	limit := r.Limits.Verify
	if newFolder(r.all()).rec.Stop != nil {
		limit = min(limit, stoppedVerify)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if len(r.started) == 0 {
		return
	}
	if !r.begin.IsZero() {
		r.steadyAgain(ctx)
	}
	t := r.timing(restored)
	r.each("read-back", func(o Observer) ([]Event, error) {
		if b, ok := o.(Reader); ok && !r.begin.IsZero() {
			return nil, b.ReadBack(ctx, t)
		}
		return nil, nil
	})
	r.each("finish", func(o Observer) ([]Event, error) { return o.Finish(ctx, t) })
	r.windows(context.WithoutCancel(ctx))
}

// each asks all observers side by side and records what they say, in their order.
func (r *run) each(what string, ask func(Observer) ([]Event, error)) {
	events := make([][]Event, len(r.started))
	errs := make([]error, len(r.started))
	var wg sync.WaitGroup
	for i, o := range r.started {
		wg.Go(func() { events[i], errs[i] = ask(o) })
	}
	wg.Wait()
	for i := range r.started {
		for _, e := range events[i] {
			r.emit(e)
		}
		if errs[i] != nil {
			r.emit(Event{Kind: EvNote, Text: what + ": " + errs[i].Error()})
		}
	}
}

// stoppedWait is how long a stopped run watches the system come back; stoppedVerify bounds all that it does after restoring.
const (
	stoppedWait   = 10 * time.Second
	stoppedVerify = time.Minute
)

// windowsLimit bounds the questions for windows.
const windowsLimit = 30 * time.Second

// steadyAgain waits until the recovered-means probes have been good for the cool-down (or recovery.for) and the component is
// as redundant as before, for at most what the drill gives to rejoin, and a minute; a run that was stopped is decided
// already and waits for little more than its own undo.
func (r *run) steadyAgain(ctx context.Context) {
	limit := time.Minute
	if x := r.drill.Expect.Rejoin; x != nil {
		limit = max(limit, x.Within.D())
	}
	if newFolder(r.all()).rec.Stop != nil {
		limit = stoppedWait
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	least := time.Now().Add(r.system.Limits.CoolDown.D())
	for ctx.Err() == nil {
		now := time.Now()
		f := newFolder(r.all())
		_, back := f.rejoined()
		t0 := f.t0()
		late := t0 != nil && now.After(t0.To.Add(f.recoveryLimit())) // what has not recovered by now is decided
		if t0 == nil || !now.Before(least) && back && (late || f.notStable(now) == "") {
			return
		}
		Wait(ctx, r.Limits.Tick)
	}
}

// windows asks for the windows that hang on T6 and T8, and for one window per phase.
func (r *run) windows(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, windowsLimit)
	defer cancel()
	f := newFolder(r.all())
	known := f.rec.Times.instants(f.lifted())
	var ws []NamedWindow
	for _, d := range r.drill.Expect.During {
		if w, ok := resolveWindow(d.Window, known); ok {
			ws = append(ws, NamedWindow{During: d, Window: w})
		}
	}
	phases := phaseWindows(f)
	ws = append(append(ws, phases...), sloWindows(r.system, phases)...)
	ws = append(ws, f.contractWindows(known)...)
	for _, o := range r.started {
		b, ok := o.(Windower)
		if !ok {
			continue
		}
		events, err := b.Windows(ctx, ws)
		if err != nil {
			r.emit(Event{Kind: EvNote, Text: "windows: " + err.Error()})
		}
		for _, e := range events {
			r.emit(e)
		}
	}
}

// phaseWindows are the steady, fault and recovery windows in which every SLI is stated. During.Probe is empty: every probe.
func phaseWindows(f *folder) []NamedWindow {
	var out []NamedWindow
	add := func(name string, from, to time.Time) {
		if !from.IsZero() && to.After(from) {
			out = append(out, NamedWindow{During: During{Title: "phase:" + name}, Window: Interval{From: from, To: to}})
		}
	}
	t := f.rec.Times
	for _, p := range f.rec.Phases {
		if p.Phase == Steady {
			add("steady", p.From, p.To)
		}
	}
	if t.T0 == nil {
		return out
	}
	lift := f.lifted()
	if lift.IsZero() {
		lift = f.last
	}
	add("fault", t.T0.From, lift)
	add("recovery", lift, f.last)
	return out
}

func (r *run) sweep(ctx context.Context) {
	if r.Sweep == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	left, err := r.Sweep(ctx)
	if err != nil {
		r.emit(Event{Kind: EvNote, Text: "sweep: " + err.Error()})
	}
	for _, what := range left {
		r.emit(Event{Kind: EvResidue, Change: &Change{ID: "sweep", Member: what}, Text: what + " is still there"})
	}
}
