package compose

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"golang.org/x/sys/unix"

	"github.com/eevans-d/simulacro/drills"
)

// deed is one act on a container and the engine event that proves it.
type deed struct {
	act   func(context.Context) error
	event events.Action
	// known narrows the effect's interval after act, where the act itself knows it better (a crash).
	known func() drills.Interval
	// check looks after the act whether the effect is there, and returns what it saw. Without an event it is the proof.
	check func(context.Context) (any, bool)
	// source is who did it, where the engine knows nothing of it; default: a helper in the host's PID namespace.
	source string
}

// do performs a fault on a running container and proves it.
func (u *units) do(ctx context.Context, op drills.Op, a UnitArgs) (drills.Effect, error) {
	c, err := u.api.ContainerInspect(ctx, op.Target)
	if err != nil {
		return drills.Effect{}, fmt.Errorf("%s: inspect: %w", op.Verb, err)
	}
	s := stateOf(c)
	if !s.up() {
		return drills.Effect{}, drills.Errorf(drills.Blocked, "start it first", "%s: container %s is not running", op.Verb, s.name)
	}
	if s.paused && op.Verb == VerbPause {
		return drills.Effect{}, drills.Errorf(drills.Blocked, "unpause it first", "%s: container %s was paused by somebody else", op.Verb, s.name)
	}
	d, err := u.deed(op, a, s)
	if err != nil {
		return drills.Effect{}, err
	}
	return u.prove(ctx, op, d)
}

func (u *units) deed(op drills.Op, a UnitArgs, s unitState) (deed, error) {
	id := op.Target
	switch {
	case slices.Contains(moreVerbs(), op.Verb):
		return u.moreDeed(op, a, s)
	case op.Verb == VerbCrash || op.Verb == VerbKill && a.Mode == "crash":
		return u.crashDeed(op, a, s)
	case op.Verb == VerbKill:
		sig, err := signalNumber(a.Signal)
		if err != nil {
			return deed{}, fmt.Errorf("%s: %w", op.Verb, err)
		}
		d := deed{event: events.ActionDie, act: func(ctx context.Context) error { return u.api.ContainerKill(ctx, id, unix.SignalName(sig)) }}
		if !ends(sig) {
			d.event = events.ActionKill // delivery is all that can be proven
		}
		return d, nil
	case op.Verb == VerbStop:
		return deed{event: events.ActionDie, act: func(ctx context.Context) error { return u.api.ContainerStop(ctx, id, graceOf(a)) }}, nil
	case op.Verb == VerbRestart:
		return deed{event: events.ActionDie, act: func(ctx context.Context) error { return u.api.ContainerRestart(ctx, id, graceOf(a)) }}, nil
	}
	return deed{event: events.ActionPause, act: func(ctx context.Context) error { return u.api.ContainerPause(ctx, id) }}, nil
}

// crashDeed kills the container's main process from outside, as a crash would: the engine does not know that anybody
// wanted it, so the restart policy acts.
func (u *units) crashDeed(op drills.Op, a UnitArgs, s unitState) (deed, error) {
	sig, err := signalNumber(a.Signal)
	if err != nil {
		return deed{}, fmt.Errorf("%s: %w", op.Verb, err)
	}
	if s.pid <= 0 {
		return deed{}, fmt.Errorf("%s: the engine does not know the main process of %s", op.Verb, s.name)
	}
	var killed drills.Interval
	d := deed{event: events.ActionDie, known: func() drills.Interval { return killed }}
	d.act = func(ctx context.Context) (err error) {
		killed, err = u.crash(ctx, op.Target, s.pid, int(sig))
		return err
	}
	return d, nil
}

// graceOf is the engine's timeout; it counts whole seconds, and a part of one is rounded up.
func graceOf(a UnitArgs) container.StopOptions {
	secs := int((a.Grace.D() + time.Second - 1) / time.Second)
	return container.StopOptions{Timeout: &secs}
}

// signalNumber reads "KILL", "SIGKILL" or "9"; empty is KILL.
func signalNumber(name string) (syscall.Signal, error) {
	if name == "" {
		return unix.SIGKILL, nil
	}
	var n int
	if _, err := fmt.Sscanf(name, "%d", &n); err == nil && unix.SignalName(syscall.Signal(n)) != "" {
		return syscall.Signal(n), nil
	}
	if s := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG")); s != 0 {
		return s, nil
	}
	return 0, fmt.Errorf("%q is not a signal such as KILL or TERM", name)
}

// ends tells whether a signal is meant to end a process.
func ends(s syscall.Signal) bool {
	return slices.Contains([]syscall.Signal{
		unix.SIGKILL, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGABRT, unix.SIGSEGV, unix.SIGBUS, unix.SIGILL, unix.SIGFPE,
	}, s)
}
