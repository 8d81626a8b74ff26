package compose

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/events"

	"github.com/eevans-d/simulacro/drills"
)

// The verbs that need more of the engine than starting and stopping, and their undos.
const (
	VerbLimit      = "unit.limit"
	VerbUnlimit    = "unit.unlimit"
	VerbNofile     = "unit.nofile"
	VerbNofileBack = "unit.nofile-back"
	VerbThrottle   = "unit.throttle"
	VerbUnthrottle = "unit.unthrottle"
	VerbSignal     = "unit.signal"
	VerbCrashLoop  = "unit.crash-loop"
	VerbCalm       = "unit.calm"
	VerbRoll       = "unit.roll"
	VerbRecreate   = "unit.recreate"
	VerbReinstate  = "unit.reinstate"
	VerbOOM        = "unit.oom"
)

// helperLimit bounds a helper that does one thing.
const helperLimit = 30 * time.Second

// moreVerbs are those of this file.
func moreVerbs() []string {
	return []string{
		VerbCalm, VerbCrashLoop, VerbLimit, VerbNofile, VerbNofileBack, VerbOOM, VerbRecreate, VerbReinstate, VerbRoll, VerbSignal, VerbThrottle, VerbUnlimit, VerbUnthrottle,
	}
}

// more is what those verbs need of an engine; nil where there is none.
type more struct {
	e     *Engine
	run   RunLabels
	onEnd func(opID, why string)
	loops loops
	block throttles
}

// WatchedUnits is the actuator of the unit.* verbs on behalf of a run. onEnd is told when a fault that is held in force ended
// without our undo.
func (e *Engine) WatchedUnits(run RunLabels, onEnd func(opID, why string)) drills.Actuator {
	u := newUnits(e.api, func(ctx context.Context) (offset, error) { return e.clock.measure(ctx, e.api) }, e.crasher(run))
	u.more = e.more(run, onEnd)
	return u
}

func (e *Engine) more(run RunLabels, onEnd func(opID, why string)) *more {
	return &more{e: e, run: run, onEnd: onEnd}
}

// moreDeed is the deed of a verb of this file.
func (u *units) moreDeed(op drills.Op, a UnitArgs, s unitState) (deed, error) {
	if u.more == nil {
		return deed{}, fmt.Errorf("%s: there is no engine to do it with", op.Verb)
	}
	switch op.Verb {
	case VerbLimit:
		return u.more.limitDeed(op, a.Limit, a.Was)
	case VerbNofile:
		return u.more.nofileDeed(op, a)
	case VerbThrottle:
		return u.more.throttleDeed(op, a)
	case VerbSignal:
		return u.more.signalDeed(op, a)
	case VerbCrashLoop:
		return deed{event: events.ActionDie, act: func(ctx context.Context) error { return u.more.startLoop(ctx, op, a) }}, nil
	case VerbRoll:
		return deed{event: events.ActionDie, act: func(ctx context.Context) error { return u.more.roll(ctx, op.Target, a) }}, nil
	case VerbRecreate:
		return u.more.recreateDeed(op, a, s), nil
	case VerbOOM:
		return u.more.oomDeed(op), nil
	}
	return deed{}, fmt.Errorf("%q is not a verb of the Docker runtime (%v)", op.Verb, UnitVerbs())
}

// moreUndo is an undo of this file.
func (u *units) moreUndo(ctx context.Context, op drills.Op, a UnitArgs) (drills.Effect, error) {
	if u.more == nil {
		return drills.Effect{}, fmt.Errorf("%s: there is no engine to do it with", op.Verb)
	}
	switch op.Verb {
	case VerbUnlimit:
		return u.unlimit(ctx, op, a)
	case VerbNofileBack:
		return u.nofileBack(ctx, op, a)
	case VerbUnthrottle:
		return u.unthrottle(ctx, op, a)
	case VerbCalm:
		return u.calm(ctx, op, a)
	}
	return u.reinstate(ctx, op, a)
}

// morePresent is Present for a verb of this file, of a container that is there.
func (u *units) morePresent(ctx context.Context, op drills.Op, a UnitArgs, s unitState) (bool, error) {
	if u.more == nil {
		return false, fmt.Errorf("%s: there is no engine to ask", op.Verb)
	}
	switch op.Verb {
	case VerbLimit:
		return u.more.limited(ctx, op.Target, a)
	case VerbNofile:
		there, err := u.more.lookNofile(ctx, op.Target, a.Nofile)
		return len(there) > 0, err
	case VerbThrottle:
		return u.more.throttled(ctx, op, a, s)
	case VerbSignal, VerbRoll, VerbOOM:
		return !s.up(), nil
	case VerbCrashLoop:
		left, err := u.more.loopHelpers(ctx, op.Target)
		return len(left) > 0 || !s.running && !s.restarting, err
	case VerbRecreate:
		temp, err := u.more.replacement(ctx, op.Target)
		return temp != nil || !s.up(), err
	}
	return false, fmt.Errorf("%q has no effect to look for", op.Verb)
}

// errSilent is a helper that ended without an answer.
var errSilent = errors.New("the helper ended without an answer")
