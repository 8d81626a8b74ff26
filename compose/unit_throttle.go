package compose

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"github.com/eevans-d/simulacro/drills"
)

// Throttle is what a block device may do for a container, reads and writes each; zero: not limited.
type Throttle struct {
	Ops  int64 `json:"ops,omitempty"`  // operations a second
	Rate int64 `json:"rate,omitempty"` // bytes a second
}

// What the helper is told and says; package experiments/helper has the other side.
type (
	throttleSpec struct {
		Kind   string   `json:"kind"`
		Act    string   `json:"act"`
		Group  string   `json:"group"`
		Volume string   `json:"volume"`
		Limit  Throttle `json:"limit"`
	}
	speed struct {
		Writes int     `json:"writes"`
		Block  int64   `json:"block"`
		Took   float64 `json:"took_s"`
		Mean   int64   `json:"mean_us"`
		Max    int64   `json:"max_us"`
	}
	throttledIO struct {
		From   int64  `json:"from"`
		To     int64  `json:"to"`
		Device string `json:"device"`
		There  bool   `json:"there"`
		Others bool   `json:"others,omitempty"`
		Before *speed `json:"before,omitempty"`
		After  *speed `json:"after,omitempty"`
		Slowed bool   `json:"slowed,omitempty"`
	}
)

func (m *more) moveThrottle(ctx context.Context, op drills.Op, a UnitArgs, act string) (throttledIO, error) {
	var got throttledIO
	if a.Throttle == nil || a.Path == "" {
		return got, fmt.Errorf("%s: the op needs a throttle and a path", op.Verb)
	}
	p := drills.Place{Kind: drills.PlaceBlockIO, Target: op.Target, Path: a.Path, Name: "throttle"}
	err := m.ask(ctx, p, throttleSpec{Kind: "throttle", Act: act, Group: groupAt, Volume: volumeAt, Limit: *a.Throttle}, &got)
	return got, err
}

// throttleDeed throttles the device below one of the container's volumes, in the container's own control group. The engine
// moves no such limit, so a helper does. A restart makes a new group: the run is told that the fault ended then.
func (m *more) throttleDeed(op drills.Op, a UnitArgs) (deed, error) {
	var got throttledIO
	var at drills.Interval
	return deed{
		act: func(ctx context.Context) (err error) {
			clock, asked := drills.NewClock(), time.Now().UTC()
			m.block.watch(ctx, m.e.api, op, m.onEnd) // before the deed: no end of the group goes unseen
			if got, err = m.moveThrottle(ctx, op, a, "on"); err != nil {
				m.block.release(op.Target)
			}
			at = stamped(asked, clock, got.From, got.To)
			return err
		},
		known:  func() drills.Interval { return at },
		check:  func(context.Context) (any, bool) { return got, got.There && got.Slowed },
		source: throttleSource,
	}, nil
}

// throttled tells whether the container has the fault's limits. A group ends with its container, and its limits with it.
func (m *more) throttled(ctx context.Context, op drills.Op, a UnitArgs, s unitState) (bool, error) {
	if !s.up() {
		return false, nil
	}
	got, err := m.moveThrottle(ctx, op, a, "look")
	return got.There, err
}

// unthrottle takes the limits away if they are still those of the fault.
func (u *units) unthrottle(ctx context.Context, op drills.Op, a UnitArgs) (drills.Effect, error) {
	u.more.block.release(op.Target)
	s, gone, err := u.settled(ctx, op)
	switch {
	case err != nil:
		return drills.Effect{}, err
	case gone || !s.up():
		return skipped("the container is not running: its control group ended with it, and the throttle too"), nil
	}
	clock, asked := drills.NewClock(), time.Now().UTC()
	got, err := u.more.moveThrottle(ctx, op, a, "off")
	switch {
	case err != nil:
		return drills.Effect{}, fmt.Errorf("%s: %w", op.Verb, err)
	case !got.There && got.Others:
		return skipped("somebody has set other limits since: not the state that we left"), nil
	case !got.There:
		return skipped("its control group has no such throttle: it was never set, or the container was started again"), nil
	}
	at := stamped(asked, clock, got.From, got.To)
	ev := unitEvidence{Asked: asked, Answered: time.Now().UTC()}
	d := deed{check: func(context.Context) (any, bool) { return got, true }} // read back by the helper
	return finish(ctx, op, d, ev, drills.Effect{From: at.From, To: at.To, Source: throttleSource, Proven: true})
}

// throttleSource is the source of both effects.
const throttleSource = "helper in the target's block I/O group"

// endOf returns once the container's main process has ended, or the engine's events have; ok tells which.
func endOf(ctx context.Context, api eventSource, id string) (ok bool, err error) {
	msgs, errs := api.Events(ctx, events.ListOptions{
		Filters: filters.NewArgs(filters.Arg("container", id), filters.Arg("event", string(events.ActionDie))),
	})
	select {
	case <-msgs:
		return true, nil
	case err := <-errs:
		if err == nil || errdefs.IsCanceled(err) {
			err = errors.New("the engine's events ended")
		}
		return false, err
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}
