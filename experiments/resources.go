package experiments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// The verbs of the resource actuator.
const (
	verbCPU     = "resource.cpu"
	verbMemory  = "resource.memory"
	verbDisk    = "resource.disk"
	verbRelease = "resource.release"
)

// strainArgs are the arguments of the resource verbs that do something; each uses its own.
type strainArgs struct {
	Mark   string          `json:"mark"` // names the process, so that any other finds it again
	CPU    *helper.CPU     `json:"cpu,omitempty"`
	Memory *helper.Memory  `json:"memory,omitempty"`
	Disk   *helper.Disk    `json:"disk,omitempty"`
	Prove  drills.Duration `json:"prove,omitempty"` // how long to wait until the pressure is there
}

// Resources is the actuator of resource.*: pressure by a process of ours in the target's control group.
type Resources struct {
	launcher drills.Launcher
	log      *zap.Logger
	onEnd    func(opID, why string)

	once drills.Once
	mu   sync.Mutex
	held map[string]*pressure // by target and mark
}

// NewResources starts helpers through the launcher. onEnd (may be nil) is told when a pressure ended without our undo: the
// helper died, or its target was stopped or restarted.
func NewResources(l drills.Launcher, log *zap.Logger, onEnd func(opID, why string)) *Resources {
	if log == nil {
		log = zap.NewNop()
	}
	if onEnd == nil {
		onEnd = func(string, string) {}
	}
	return &Resources{launcher: l, log: log.Named("resource"), onEnd: onEnd, held: map[string]*pressure{}}
}

// Apply does a fault (at most once per op, a second call returns the first one's result) or resource.release (idempotent).
func (r *Resources) Apply(ctx context.Context, op drills.Op) (drills.Effect, error) {
	if ctx.Err() != nil {
		return drills.Effect{}, fmt.Errorf("%s: %w", op.Verb, context.Cause(ctx))
	}
	switch op.Verb {
	case verbCPU, verbMemory, verbDisk:
		var a strainArgs
		if err := op.Decode(&a); err != nil {
			return drills.Effect{}, err
		}
		return r.once.Do(ctx, op.ID+" "+a.Mark, func() (drills.Effect, error) { return r.press(ctx, op, a) })
	case verbRelease:
		var a healArgs
		if err := op.Decode(&a); err != nil {
			return drills.Effect{}, err
		}
		return r.release(ctx, op.Target, a.Mark)
	}
	return drills.Effect{}, fmt.Errorf("%q is not a verb of the resource actuator", op.Verb)
}

// Present looks from the host's PID namespace for the helper among the target's processes.
func (r *Resources) Present(ctx context.Context, op drills.Op) (bool, error) {
	if ctx.Err() != nil {
		return false, fmt.Errorf("%s: %w", op.Verb, context.Cause(ctx))
	}
	var a healArgs
	if err := json.Unmarshal(op.Args, &a); err != nil || a.Mark == "" {
		return false, fmt.Errorf("%s: the op has no mark to look for", op.Verb)
	}
	return r.inside(ctx, op.Target, a.Mark)
}

func (r *Resources) inside(ctx context.Context, target, mark string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, helperAnswer)
	defer cancel()
	s, err := r.launcher.Start(ctx, drills.Place{Kind: drills.PlaceHostPID, Name: "processes"}, []string{"_agent", "helper"})
	if err != nil {
		return false, fmt.Errorf("inspect the target's processes: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close(context.WithoutCancel(ctx)) }) // ends a Recv that would wait for ever
	defer func() {
		if stop() {
			_ = s.Close(ctx)
		}
	}()
	var seen helper.Processes
	if err := ask(s, helper.ProcessesSpec{Kind: helper.KindProcesses, Container: target, Name: helper.Comm(mark)}, &seen); err != nil {
		return false, fmt.Errorf("inspect the target's processes: %w", err)
	}
	return len(seen.Found) > 0, nil
}

// press starts a helper in the target's control group and waits until the pressure is there.
func (r *Resources) press(ctx context.Context, op drills.Op, a strainArgs) (drills.Effect, error) {
	clock, began := drills.NewClock(), drills.Monotonic()
	s, err := r.launcher.Start(ctx, drills.Place{Kind: drills.PlaceCgroup, Target: op.Target, Name: op.Verb[len("resource."):]}, []string{"_agent", "helper"})
	if err != nil {
		return drills.Effect{}, fmt.Errorf("%s: start the helper in the target's control group: %w", op.Verb, err)
	}
	p := newPressure(op.ID, s)
	r.mu.Lock()
	r.held[op.Target+" "+a.Mark] = p
	r.mu.Unlock()
	go r.read(p)
	spec := helper.StrainSpec{Kind: helper.KindStrain, Op: a.Mark, Lease: drills.Duration(helperLease), CPU: a.CPU, Memory: a.Memory, Disk: a.Disk}
	if err := sendSpec(s, spec); err != nil {
		return drills.Effect{}, fmt.Errorf("%s: %w", op.Verb, err)
	}
	if err := p.await(ctx, p.ready, helperAnswer); err != nil {
		return drills.Effect{}, fmt.Errorf("%s: %w", op.Verb, err)
	}
	err = p.await(ctx, p.proof, a.Prove.D())
	if errors.Is(err, errLate) {
		err = nil // in force but not proven: the effect says so
	}
	return p.effect(clock, began), err
}

// read handles the helper's frames until its stream ends.
func (r *Resources) read(p *pressure) {
	defer close(p.ended)
	for {
		f, err := p.stream.Recv()
		if err == nil {
			err = p.take(f)
		}
		if err == nil {
			continue
		}
		p.mu.Lock()
		if p.failed == nil {
			p.failed = err
		}
		ours, inForce, why := p.stopping, p.began.Way != "", p.reason()
		p.mu.Unlock()
		if !ours && inForce {
			r.log.Warn("fault ended without our undo", zap.String("op", p.opID), zap.String("why", why))
			r.onEnd(p.opID, why)
		}
		return
	}
}

// release ends a pressure: by telling its helper, when we hold it, else by waiting for that helper's end.
func (r *Resources) release(ctx context.Context, target, mark string) (drills.Effect, error) {
	r.mu.Lock()
	p := r.held[target+" "+mark]
	r.mu.Unlock()
	if p != nil {
		return p.release(ctx)
	}
	return r.orphan(ctx, target, mark)
}

// orphan is an undo in a process that does not hold the fault: its helper ends with the stream or the lease of its owner.
func (r *Resources) orphan(ctx context.Context, target, mark string) (drills.Effect, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, orphanLimit, errLate)
	defer cancel()
	why := "there is no such fault, or its target is not running"
	for {
		read := drills.Interval{From: time.Now().UTC()}
		there, err := r.inside(ctx, target, mark)
		if err != nil {
			return drills.Effect{}, fmt.Errorf("%s: %w", verbRelease, err)
		}
		if !there {
			return drills.Effect{From: read.From, To: time.Now().UTC(), Source: "processes of the target", Proven: true, Skipped: why}, nil
		}
		why = "its helper ended"
		if !drills.Wait(ctx, orphanPoll) {
			return drills.Effect{}, drills.Errorf(drills.Residual, "end the simulacro process that holds it, or remove its helper container",
				"the fault is still in force: the helper of another process keeps it up")
		}
	}
}

// Close ends whatever is still in force and waits for every goroutine of ours.
func (r *Resources) Close(ctx context.Context) error {
	r.mu.Lock()
	var all []*pressure
	for _, p := range r.held {
		all = append(all, p)
	}
	r.mu.Unlock()
	var errs []error
	for _, p := range all {
		_, err := p.release(ctx)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
