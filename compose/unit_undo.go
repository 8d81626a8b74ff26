package compose

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"

	"github.com/eevans-d/simulacro/drills"
)

// restartWait is how long an undo waits for a restart policy that is at work, and restartPoll how often it looks.
const (
	restartWait = 5 * time.Second
	restartPoll = 100 * time.Millisecond
)

// undo starts or unpauses a container if it is still as we left it; otherwise it says in Effect.Skipped why not.
func (u *units) undo(ctx context.Context, op drills.Op, a UnitArgs) (drills.Effect, error) {
	s, gone, err := u.settled(ctx, op)
	if err != nil {
		return drills.Effect{}, err
	}
	if gone {
		return skipped("the container is gone: removed or replaced by somebody"), nil
	}
	var d deed
	var why string
	if op.Verb == VerbStart {
		why = skipStart(s, a.StartedAt)
		d = deed{event: events.ActionStart, act: func(ctx context.Context) error {
			return ignoreNotModified(u.api.ContainerStart(ctx, op.Target, container.StartOptions{}))
		}}
	} else {
		why = skipUnpause(s, a.StartedAt)
		d = deed{event: events.ActionUnPause, act: func(ctx context.Context) error { return u.api.ContainerUnpause(ctx, op.Target) }}
	}
	if why != "" {
		return skipped(why), nil
	}
	return u.prove(ctx, op, d)
}

// settled inspects the container; while its restart policy is between two starts, the policy gets a moment.
func (u *units) settled(ctx context.Context, op drills.Op) (s unitState, gone bool, err error) {
	deadline := time.Now().Add(restartWait)
	tick := time.NewTicker(restartPoll)
	defer tick.Stop()
	for {
		c, err := u.api.ContainerInspect(ctx, op.Target)
		if errdefs.IsNotFound(err) {
			return s, true, nil
		}
		if err != nil {
			return s, false, fmt.Errorf("%s: inspect: %w", op.Verb, err)
		}
		if s = stateOf(c); !s.restarting || time.Now().After(deadline) {
			return s, false, nil
		}
		select {
		case <-ctx.Done():
			return s, false, fmt.Errorf("%s: %w", op.Verb, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// skipStart says why a container is not ours to start; "" when it is.
func skipStart(s unitState, planned time.Time) string {
	switch {
	case s.restarting:
		return "its restart policy is restarting it"
	case s.running && (planned.IsZero() || s.startedAt.Equal(planned)):
		return "it is running and was not down since: nothing to undo"
	case s.running:
		return "it was started again at " + stamp(s.startedAt)
	case !planned.IsZero() && !s.startedAt.Equal(planned):
		return "somebody started it at " + stamp(s.startedAt) + " and it ended again: not the state that we left"
	}
	return ""
}

// skipUnpause says why a container is not ours to unpause; "" when it is.
func skipUnpause(s unitState, planned time.Time) string {
	switch {
	case !s.paused:
		return "it is not paused: nothing to undo"
	case !planned.IsZero() && !s.startedAt.Equal(planned):
		return "it was started again at " + stamp(s.startedAt) + " and paused by somebody else"
	}
	return ""
}

func skipped(why string) drills.Effect {
	now := time.Now().UTC()
	return drills.Effect{From: now, To: now, Source: "docker inspect", Proven: true, Skipped: why}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func ignoreNotModified(err error) error {
	if errdefs.IsNotModified(err) {
		return nil
	}
	return err
}
