package drills

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Engine runs one drill. Every field but Trouble, OnEvent and the limits is required; cmd/simulacro fills them in.
type Engine struct {
	Runtime    Runtime
	Journal    Journal
	Lock       func(context.Context) (Guard, func(context.Context) error, error) // takes the guard, which is the lock; gives its release
	Observers  []Observer
	Preflights []Preflight
	Sweep      func(context.Context) ([]string, error) // what carries this run's label and is still there, after removing it
	Abort      <-chan string                           // an operator's reason
	Trouble    func() error                            // nil, or why evidence can no longer be kept: the run stops at once
	OnEvent    func(Event)                             // progress; called in order, must not block long
	Limits     EngineLimits
}

// EngineLimits bound the parts of a run that have no bound in the drill.
type EngineLimits struct {
	Ready   time.Duration // all preflights and the guard
	Restore time.Duration // undoing everything
	Verify  time.Duration // steady again, read-back, purge
	Tick    time.Duration // how often conditions are looked at
	Warm    time.Duration // from the start of the observers to the settle window: what their start costs is nobody's baseline; 0: none
}

func (l EngineLimits) withDefaults() EngineLimits {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&l.Ready, time.Minute)
	def(&l.Restore, time.Minute)
	def(&l.Verify, 3*time.Minute)
	def(&l.Tick, 200*time.Millisecond)
	return l
}

// run is one execution. Events are kept in memory as well, so that restoring works when the journal cannot be written.
type run struct {
	*Engine
	opened  Opened
	drill   *Drill
	system  *System
	mu      sync.Mutex
	events  []Event
	broken  error // the journal could not be written
	phase   Phase
	guard   Guard
	release func(context.Context) error
	started []Observer
	begin   time.Time // first injection
	settled Interval
	plan    Plan
	retries map[string]*retry // by change, of those that ended with a restart of their target
}

// Run executes one drill and always restores before it returns. The record is valid even when an error is returned: the
// error is our own failure (exit 10), never the drill's outcome.
func (e *Engine) Run(ctx context.Context, o Opened) (Record, error) {
	r := &run{Engine: e, opened: o, drill: o.Drill, system: o.System, phase: Planned, retries: map[string]*retry{}}
	r.Limits = e.Limits.withDefaults()
	r.emit(Event{Kind: EvOpened, Opened: &o})
	r.emit(Event{Kind: EvPhase, Phase: Planned})
	if r.ready(ctx) && r.steady(ctx) {
		r.inject(ctx)
	}
	r.finish(ctx)
	return Fold(r.all()), r.brokenErr()
}

// Append makes run a Journal for Restore: memory first, then disk.
func (r *run) Append(e Event) (Event, error) { r.emit(e); return e, r.brokenErr() }

// Events is everything recorded so far.
func (r *run) Events() []Event { return r.all() }

func (r *run) all() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Event(nil), r.events...)
}

// emit stamps an event, journals it and keeps it. After a failed write nothing more is injected; restoring works from
// memory and goes on trying to write, so that as much as possible of it is on record; the run ends with an error.
func (r *run) emit(e Event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.At.IsZero() {
		e.At = time.Now()
	}
	saved, err := r.Journal.Append(e)
	if err == nil {
		e = saved
	} else if r.broken == nil {
		r.broken = fmt.Errorf("the journal cannot be written: %w", err)
	}
	r.events = append(r.events, e)
	if r.OnEvent != nil {
		r.OnEvent(e)
	}
	return r.broken == nil
}

func (r *run) brokenErr() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.broken
}

func (r *run) enter(p Phase) bool {
	if err := r.phase.To(p); err != nil {
		r.stop(StopInternal, err.Error(), false)
		return false
	}
	r.phase = p
	return r.emit(Event{Kind: EvPhase, Phase: p})
}

func (r *run) stop(cause StopCause, reason string, truncated bool) {
	r.emit(Event{Kind: EvStop, Stop: &Stop{Cause: cause, Reason: reason, Truncated: truncated}})
}

func (r *run) check(c Check) bool { r.emit(Event{Kind: EvCheck, Check: &c}); return c.OK }

// interrupted tells whether the run must stop now, and journals why, once.
func (r *run) interrupted(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		r.stop(StopOperator, "Interrupted: "+context.Cause(ctx).Error(), false)
		return true
	case why := <-r.Abort:
		r.stop(StopOperator, "Aborted by an operator: "+why, false)
		return true
	default:
	}
	if r.brokenErr() != nil || r.troubled() {
		return true
	}
	if r.guard != nil {
		select {
		case <-r.guard.Lost():
			r.stop(StopInternal, "The guard is gone or our lease ran out: it may have undone faults without us", false)
			return true
		default:
		}
	}
	return false
}

// troubled stops a run whose evidence can no longer be kept, as our own failure.
func (r *run) troubled() bool {
	if r.Trouble == nil {
		return false
	}
	err := r.Trouble()
	if err == nil {
		return false
	}
	r.stop(StopInternal, "Evidence can no longer be kept: "+err.Error(), true)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken == nil {
		r.broken = err
	}
	return true
}
