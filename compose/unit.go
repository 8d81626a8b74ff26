package compose

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"

	"github.com/eevans-d/simulacro/drills"
)

// The verbs of the unit actuator.
const (
	VerbKill    = "unit.kill"
	VerbStop    = "unit.stop"
	VerbCrash   = "unit.crash"
	VerbRestart = "unit.restart"
	VerbPause   = "unit.pause"
	VerbUnpause = "unit.unpause"
	VerbStart   = "unit.start"
)

// UnitVerbs lists what the unit actuator can do.
func UnitVerbs() []string {
	all := append(moreVerbs(), VerbCrash, VerbDestroy, VerbKill, VerbPause, VerbRestart, VerbStart, VerbStop, VerbUnpause)
	slices.Sort(all)
	return all
}

// UnitArgs are the arguments of all unit verbs; each uses its own.
type UnitArgs struct {
	Signal string          `json:"signal,omitempty"` // kill, crash: default KILL
	Mode   string          `json:"mode,omitempty"`   // kill: "stop" (default: the engine's kill, which keeps the container down) or "crash"
	Grace  drills.Duration `json:"grace,omitzero"`   // stop, restart: between TERM and KILL; zero means at once
	// StartedAt makes start and unpause conditional: the member's StartedAt when the fault was planned.
	StartedAt time.Time `json:"started_at,omitzero"`

	Limit *Limits `json:"limit,omitempty"` // limit, unlimit: the fault's
	Was   *Limits `json:"was,omitempty"`   // limit, unlimit: when the fault was planned
	// nofile, nofile-back: the soft limit of open files, the fault's and the one before.
	Nofile    int64           `json:"nofile,omitempty"`
	NofileWas int64           `json:"nofile_was,omitempty"`
	Process   string          `json:"process,omitempty"` // signal: a glob
	Mark      string          `json:"mark,omitempty"`    // crash-loop: names the helper
	Every     drills.Duration `json:"every,omitzero"`    // crash-loop: at most one kill in this time
	Within    drills.Duration `json:"within,omitzero"`   // roll, recreate: to be healthy again
	// throttle, unthrottle: of the device that holds the path.
	Throttle *Throttle `json:"throttle,omitempty"`
	Path     string    `json:"path,omitempty"`
}

// The narrow views of the Docker client that the unit actuator needs.
type (
	inspector interface {
		ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error)
	}
	ender interface {
		ContainerKill(ctx context.Context, id, signal string) error
		ContainerStop(ctx context.Context, id string, o container.StopOptions) error
	}
	starter interface {
		ContainerStart(ctx context.Context, id string, o container.StartOptions) error
		ContainerRestart(ctx context.Context, id string, o container.StopOptions) error
	}
	freezer interface {
		ContainerPause(ctx context.Context, id string) error
		ContainerUnpause(ctx context.Context, id string) error
	}
	eventSource interface {
		Events(ctx context.Context, o events.ListOptions) (<-chan events.Message, <-chan error)
	}
	actor interface {
		ender
		starter
		freezer
	}
	unitAPI interface {
		inspector
		actor
		eventSource
	}
)

// crasher sends a signal to a container's main process from the host's PID namespace and returns in which interval.
type crasher func(ctx context.Context, containerID string, pid, signal int) (drills.Interval, error)

// units is the actuator of unit.*.
type units struct {
	api    unitAPI
	offset func(context.Context) (offset, error)
	crash  crasher
	once   drills.Once
	more   *more // nil: only what the narrow views allow
}

// Units is the actuator of the unit.* verbs. Helpers that a crash needs carry labels of no run: use RunUnits in a run.
func (e *Engine) Units() drills.Actuator { return e.RunUnits(RunLabels{}) }

// RunUnits is the actuator of the unit.* verbs on behalf of a run.
func (e *Engine) RunUnits(run RunLabels) drills.Actuator {
	return e.WatchedUnits(run, func(string, string) {})
}

func newUnits(api unitAPI, off func(context.Context) (offset, error), c crasher) *units {
	return &units{api: api, offset: off, crash: c}
}

// Apply performs one op. A do (kill, stop, crash, restart, pause) happens at most once per op id: a second call returns
// what the first one returned. start and unpause are idempotent and, with started_at, conditional.
func (u *units) Apply(ctx context.Context, op drills.Op) (drills.Effect, error) {
	if err := ctx.Err(); err != nil {
		return drills.Effect{}, fmt.Errorf("%s: %w", op.Verb, context.Cause(ctx))
	}
	var a UnitArgs
	if err := op.Decode(&a); err != nil {
		return drills.Effect{}, err
	}
	switch op.Verb {
	case VerbStart, VerbUnpause:
		return u.undo(ctx, op, a)
	case VerbUnlimit, VerbNofileBack, VerbUnthrottle, VerbCalm, VerbReinstate:
		return u.moreUndo(ctx, op, a)
	case VerbKill, VerbStop, VerbCrash, VerbRestart, VerbPause, VerbLimit, VerbNofile, VerbThrottle, VerbSignal, VerbCrashLoop, VerbRoll, VerbRecreate, VerbOOM:
		return u.once.Do(ctx, op.ID, func() (drills.Effect, error) { return u.do(ctx, op, a) })
	case VerbDestroy:
		return u.once.Do(ctx, op.ID, func() (drills.Effect, error) { return u.destroy(ctx, op) })
	}
	return drills.Effect{}, fmt.Errorf("%q is not a verb of the Docker runtime (%v)", op.Verb, UnitVerbs())
}

// Present is read-only: is the container in the state that the op brings about? A container that is gone is in none.
func (u *units) Present(ctx context.Context, op drills.Op) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("%s: %w", op.Verb, context.Cause(ctx))
	}
	var a UnitArgs
	if err := op.Decode(&a); err != nil {
		return false, err
	}
	c, err := u.api.ContainerInspect(ctx, op.Target)
	if errdefs.IsNotFound(err) {
		if op.Verb == VerbRecreate && u.more != nil {
			return u.more.halfReplaced(ctx, op.Target)
		}
		return op.Verb == VerbDestroy, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s: inspect %s: %w", op.Verb, op.Target, err)
	}
	s := stateOf(c)
	switch op.Verb {
	case VerbKill, VerbStop, VerbCrash, VerbRestart:
		return !s.up(), nil
	case VerbPause:
		return s.paused, nil
	case VerbDestroy:
		return false, nil // it is still there
	case VerbStart:
		return s.up(), nil
	case VerbUnpause:
		return !s.paused, nil
	}
	if slices.Contains(moreVerbs(), op.Verb) {
		return u.morePresent(ctx, op, a, s)
	}
	return false, fmt.Errorf("%q is not a verb of the Docker runtime (%v)", op.Verb, UnitVerbs())
}

// unitState is what an inspection says that matters here.
type unitState struct {
	running, paused, restarting bool
	pid                         int
	startedAt                   time.Time
	name                        string
}

// up is running and not waiting for its restart policy.
func (s unitState) up() bool { return s.running && !s.restarting }

func stateOf(c container.InspectResponse) unitState {
	if c.ContainerJSONBase == nil || c.State == nil {
		return unitState{}
	}
	s := c.State
	return unitState{
		running: s.Running, paused: s.Paused, restarting: s.Restarting, pid: s.Pid,
		startedAt: parseTime(s.StartedAt), name: trimSlash(c.Name),
	}
}

func trimSlash(name string) string {
	if len(name) > 0 && name[0] == '/' {
		return name[1:]
	}
	return name
}
