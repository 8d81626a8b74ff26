package experiments

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

const (
	// stopAnswer is how long a helper may take to undo and leave after "stop", before its stream is closed.
	stopAnswer = 5 * time.Second
	// orphanPoll is how often a fault that another process holds is looked for.
	orphanPoll = 500 * time.Millisecond
	// orphanLimit is the time in which an orphaned helper has lifted its fault by itself.
	orphanLimit = helperLease + 3*time.Second
)

// heal lifts a fault: by telling its helper, when we hold it, else by waiting for that helper's lease.
func (n *Net) heal(ctx context.Context, target, mark string) (drills.Effect, error) {
	n.mu.Lock()
	c := n.cuts[target+" "+mark]
	n.mu.Unlock()
	if c == nil {
		return n.orphan(ctx, target, mark)
	}
	return n.lift(ctx, target, mark, c)
}

// lift is heal of a fault that we hold.
func (n *Net) lift(ctx context.Context, target, mark string, c *cut) (drills.Effect, error) {
	c.healing.Lock()
	defer c.healing.Unlock()
	e, err := c.heal(ctx)
	if err == nil && c.mayLeaveNetem() {
		err = n.sweep(ctx, target, mark)
	}
	return e, err
}

// mayLeaveNetem tells whether the helper ended without a word: it may have been killed, and then its netem is still there.
func (c *cut) mayLeaveNetem() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done == nil && c.applied.Way == helper.WayNetem
}

// sweep removes the netem of a killed helper. Nothing is led to it any more, but it stands where others may want to build.
func (n *Net) sweep(ctx context.Context, target, mark string) error {
	if _, err := n.look(ctx, target, mark, helper.SweepSpec{Kind: helper.KindSweep, Op: mark}); err != nil {
		return fmt.Errorf("%s: %w", verbHeal, err)
	}
	return nil // the inspection that follows every undo says whether it is gone
}

// Close lifts whatever is still in force and waits for every goroutine of ours.
func (n *Net) Close(ctx context.Context) error {
	n.mu.Lock()
	all := maps.Clone(n.cuts)
	n.mu.Unlock()
	var errs []error
	for key, c := range all {
		target, mark, _ := strings.Cut(key, " ")
		_, err := n.lift(ctx, target, mark, c)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// heal stops the helper and returns once it is gone, with all that it dropped. c.healing is held.
func (c *cut) heal(ctx context.Context) (drills.Effect, error) {
	clock, began := drills.NewClock(), drills.Monotonic()
	c.mu.Lock()
	if c.undone != nil {
		again := *c.undone
		again.Skipped = "it was lifted before"
		c.mu.Unlock()
		return again, nil
	}
	gone := c.failed != nil
	c.stopping = true
	c.mu.Unlock()
	if !gone {
		// A helper that cannot be told, or does not listen, is ended by the end of its stream.
		_ = c.stream.Send(drills.Frame{Type: "stop"})
		_ = c.await(ctx, nil, stopAnswer)
	}
	ctx, cancel := context.WithTimeout(ctx, helperAnswer)
	defer cancel()
	if err := c.stream.Close(ctx); err != nil {
		return drills.Effect{}, fmt.Errorf("%s: close the helper's stream: %w", verbHeal, err)
	}
	select {
	case <-c.ended:
		return c.lifted(clock, began, gone), nil
	case <-ctx.Done():
		return drills.Effect{}, fmt.Errorf("%s: the helper did not end: %w", verbHeal, context.Cause(ctx))
	}
}

// lifted is the effect of the undo. Without the helper's own word our bracket counts and nothing is proven: the
// inspection that follows every undo then decides.
func (c *cut) lifted(clock drills.Clock, began int64, gone bool) drills.Effect {
	c.mu.Lock()
	defer c.mu.Unlock()
	from, to := began, drills.Monotonic()
	e := drills.Effect{Source: c.source(), Proven: c.done != nil, Evidence: c.evidence(c.last)}
	if c.done != nil && (gone || c.done.UndoneFrom >= from && c.done.UndoneMono <= to) {
		from, to = c.done.UndoneFrom, c.done.UndoneMono
	}
	e.From, e.To = clock.Time(from), clock.Time(to)
	switch {
	case c.applied.Table == "":
		e.Skipped = "it never came into force: " + c.reason()
	case gone:
		e.Skipped = "it had ended before: " + c.reason()
	}
	c.undone = &e
	return e
}

// orphan is an undo in a process that does not hold the fault, such as after a restart. Nobody but its helper can
// remove the table, and the helper does so when its lease ends. What a killed helper left is removed here.
func (n *Net) orphan(ctx context.Context, target, mark string) (drills.Effect, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, orphanLimit, errLate)
	defer cancel()
	tick := time.NewTicker(orphanPoll)
	defer tick.Stop()
	var spec any = helper.InspectSpec{Kind: helper.KindInspect}
	why := "there is no such fault, or its target is not running"
	for first := true; ; first = false {
		seen, err := n.look(ctx, target, mark, spec)
		switch {
		case err != nil && (first || ctx.Err() == nil):
			return drills.Effect{}, fmt.Errorf("%s: %w", verbHeal, err)
		case err != nil: // the time was over while it looked once more: what it saw before stands
		case !seen.any():
			return absent(seen.read, why), nil
		case seen.rules:
			why = "the lease of its helper ended"
		default:
			why = "its helper had been killed; the netem that it left, to which nothing was led, was removed"
		}
		if !seen.rules && err == nil {
			spec = helper.SweepSpec{Kind: helper.KindSweep, Op: mark}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		if ctx.Err() != nil { // both may have come
			return drills.Effect{}, drills.Errorf(drills.Residual, "end the simulacro process that holds it, or remove its helper container",
				"the fault is still in force: the helper of another process holds it and keeps its lease")
		}
	}
}

func absent(read drills.Interval, why string) drills.Effect {
	return drills.Effect{From: read.From, To: read.To, Source: "nftables", Proven: true, Skipped: why}
}
