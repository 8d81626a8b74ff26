package experiments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

const (
	sandboxSource = "isolated instance"
	// sandboxReady bounds the start of an instance, our binary's way into it included.
	sandboxReady = time.Minute
	// discardLimit bounds its end.
	discardLimit = 20 * time.Second
)

// Restores is the actuator of restore.*, and the Observer that journals what came of each restore. A restore goes on while the
// run observes; its instance lives until the undo, or until its stream ends.
type Restores struct {
	launcher drills.Launcher
	dial     Dial
	expand   Expand
	log      *zap.Logger
	once     drills.Once

	mu   sync.Mutex
	emit func(drills.Event)
	runs map[string]*restoring // by change
}

// NewRestores starts instances through the launcher; the live system is reached through dial.
func NewRestores(l drills.Launcher, dial Dial, expand Expand, log *zap.Logger) *Restores {
	if log == nil {
		log = zap.NewNop()
	}
	return &Restores{launcher: l, dial: dial, expand: expand, log: log.Named("restore"), runs: map[string]*restoring{}}
}

// restoring is one instance and the work in it.
type restoring struct {
	box    *sandbox
	cancel context.CancelFunc
	done   chan struct{}
}

// Start implements drills.Observer.
func (r *Restores) Start(_ context.Context, emit func(drills.Event)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.emit = emit
	return nil
}

// Finish implements drills.Observer: what has not been discarded by now is.
func (r *Restores) Finish(ctx context.Context, _ drills.Timing) ([]drills.Event, error) {
	return nil, r.Close(ctx)
}

// Close discards every instance.
func (r *Restores) Close(ctx context.Context) error {
	r.mu.Lock()
	all := r.runs
	r.runs = map[string]*restoring{}
	r.mu.Unlock()
	var errs []error
	for _, x := range all {
		errs = append(errs, x.end(ctx))
	}
	return errors.Join(errs...)
}

// Apply implements drills.Actuator. restore.backup is proven when the empty instance answers; what the restore does from then
// on is journaled as a measured event.
func (r *Restores) Apply(ctx context.Context, op drills.Op) (drills.Effect, error) {
	if ctx.Err() != nil {
		return drills.Effect{}, fmt.Errorf("%s: %w", op.Verb, context.Cause(ctx))
	}
	switch op.Verb {
	case verbRestore:
		return r.once.Do(ctx, op.ID, func() (drills.Effect, error) { return r.begin(ctx, op) })
	case verbRestoreEnd:
		return r.discard(ctx, op)
	}
	return drills.Effect{}, fmt.Errorf("%q is not a verb of restores (%s, %s)", op.Verb, verbRestore, verbRestoreEnd)
}

// Present implements drills.Actuator: this process holds the instance.
func (r *Restores) Present(ctx context.Context, op drills.Op) (bool, error) {
	if ctx.Err() != nil {
		return false, fmt.Errorf("%s: %w", op.Verb, context.Cause(ctx))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, there := r.runs[changeID(op)]
	return there, nil
}

// changeID names the change that an op belongs to: its do and its undo differ in the end of their ids only.
func changeID(op drills.Op) string {
	return strings.TrimSuffix(strings.TrimSuffix(op.ID, ".do"), ".undo")
}

func (r *Restores) begin(ctx context.Context, op drills.Op) (drills.Effect, error) {
	var a restoreArgs
	if err := op.Decode(&a); err != nil {
		return drills.Effect{}, err
	}
	work := &restore{restoreArgs: a, live: r.liveQuery(a), m: drills.RestoreMeasured{Step: a.Step, Image: a.From, Asked: time.Now().UTC()}}
	if a.After != nil {
		at := work.m.Asked.Add(a.After.D())
		work.m.Until = &at
	}
	if err := work.askLive(ctx); err != nil {
		return drills.Effect{}, err
	}
	place := drills.Place{Kind: drills.PlaceSandbox, Target: op.Target, Name: "sandbox-" + a.Step, Sandbox: &drills.Sandbox{Image: a.Image, Volumes: a.Volumes}}
	box, err := openSandbox(ctx, r.launcher, place)
	if err != nil {
		return drills.Effect{}, fmt.Errorf("%s: %w", op.Verb, err)
	}
	up := time.Now().UTC()
	work.box = box
	wctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), a.Limit.D(), errLimit)
	x := &restoring{box: box, cancel: cancel, done: make(chan struct{})}
	r.mu.Lock()
	r.runs[changeID(op)] = x
	emit := r.emit
	r.mu.Unlock()
	go func() {
		defer close(x.done)
		defer cancel()
		m := work.run(wctx)
		if emit != nil {
			emit(drills.Event{Kind: drills.EvMeasured, Restore: &m})
		}
	}()
	evidence, err := json.Marshal(map[string]any{"image": a.From, "volumes": a.Volumes, "until": work.m.Until, "live": work.wants})
	return drills.Effect{From: work.m.Asked, To: up, Source: sandboxSource, Proven: true, Evidence: evidence}, err
}

var errLimit = errors.New("the step's limit was over")

// liveQuery asks the live system.
func (r *Restores) liveQuery(a restoreArgs) func(context.Context, string) (string, error) {
	return func(ctx context.Context, sql string) (string, error) {
		dsn, err := r.expand.value(a.Live)
		if err != nil {
			return "", err
		}
		return helper.Query(ctx, dsn, sql, helperDial(r.dial))
	}
}

func (r *Restores) discard(ctx context.Context, op drills.Op) (drills.Effect, error) {
	r.mu.Lock()
	x := r.runs[changeID(op)]
	delete(r.runs, changeID(op))
	r.mu.Unlock()
	from := time.Now().UTC()
	if x == nil {
		return drills.Effect{From: from, To: from, Source: sandboxSource, Proven: true, Skipped: "this process holds no such instance; one ends with the process that started it"}, nil
	}
	err := x.end(ctx)
	return drills.Effect{From: from, To: time.Now().UTC(), Source: sandboxSource, Proven: err == nil}, err
}

// end stops the work and removes the instance.
func (x *restoring) end(ctx context.Context) error {
	x.cancel()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardLimit)
	defer cancel()
	err := x.box.close(ctx)
	<-x.done
	return err
}
