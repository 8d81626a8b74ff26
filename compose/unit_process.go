package compose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// What the helper is told and says; package experiments/helper has the other side.
type (
	signalSpec struct {
		Kind      string `json:"kind"`
		Container string `json:"container"`
		Process   string `json:"process"`
		Signal    int    `json:"signal"`
	}
	nofileSpec struct {
		Kind      string `json:"kind"`
		Container string `json:"container"`
		From      int64  `json:"from"`
		To        int64  `json:"to,omitempty"`
		Main      bool   `json:"main,omitempty"`
		Look      bool   `json:"look,omitempty"`
	}
	helperProcess struct {
		PID     int    `json:"pid"`
		Inner   int    `json:"inner"`
		Name    string `json:"name"`
		Command string `json:"command,omitempty"`
		Started uint64 `json:"started"`
		User    string `json:"user"`
	}
	signalled struct {
		From int64           `json:"from"`
		Mono int64           `json:"mono"`
		To   int64           `json:"to"`
		Hit  []helperProcess `json:"hit"`
		Gone []int           `json:"gone"`
	}
	limitedFiles struct {
		From   int64           `json:"from"`
		To     int64           `json:"to"`
		Moved  []helperProcess `json:"moved"`
		Before uint64          `json:"before"`
		After  uint64          `json:"after"`
	}
)

// signalDeed signals processes inside a container by name. Proof of a fatal signal is that each of them is gone.
func (m *more) signalDeed(op drills.Op, a UnitArgs) (deed, error) {
	sig, err := signalNumber(a.Signal)
	if err != nil {
		return deed{}, fmt.Errorf("%s: %w", op.Verb, err)
	}
	var got signalled
	var at drills.Interval
	return deed{
		act: func(ctx context.Context) error {
			clock, asked := drills.NewClock(), time.Now().UTC()
			err := m.ask(ctx, drills.Place{Kind: drills.PlaceHostPID, Name: "signal"}, signalSpec{Kind: "signal", Container: op.Target, Process: a.Process, Signal: int(sig)}, &got)
			at = stamped(asked, clock, got.From, got.To)
			return err
		},
		known: func() drills.Interval { return at },
		check: func(context.Context) (any, bool) {
			return got, len(got.Hit) > 0 && (!ends(sig) || len(got.Gone) == len(got.Hit))
		},
	}, nil
}

// nofileDeed lowers the main process's soft limit of open files; its children inherit it. The kernel lets a process's owner
// do that, so the helper runs as that user and needs no capability.
func (m *more) nofileDeed(op drills.Op, a UnitArgs) (deed, error) {
	if a.Nofile <= 0 || a.NofileWas <= a.Nofile {
		return deed{}, fmt.Errorf("%s: the op needs a limit and a higher one before", op.Verb)
	}
	var got limitedFiles
	var at drills.Interval
	return deed{
		act: func(ctx context.Context) error {
			found, err := m.lookNofile(ctx, op.Target, a.NofileWas)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(found, func(x helperProcess) bool { return x.Inner == 1 })
			if i < 0 {
				return drills.Errorf(drills.Blocked, "run it again", "the main process's limit is not %d any more, as when the fault was planned", a.NofileWas)
			}
			clock, asked := drills.NewClock(), time.Now().UTC()
			got, err = m.moveNofile(ctx, found[i].User, nofileSpec{Container: op.Target, From: a.NofileWas, To: a.Nofile, Main: true})
			at = stamped(asked, clock, got.From, got.To)
			return err
		},
		known: func() drills.Interval { return at },
		check: func(context.Context) (any, bool) { return got, len(got.Moved) == 1 },
	}, nil
}

// nofileBack raises every process of the container that has the fault's limit: the main one, and children that got it from it.
func (u *units) nofileBack(ctx context.Context, op drills.Op, a UnitArgs) (drills.Effect, error) {
	found, err := u.more.lookNofile(ctx, op.Target, a.Nofile)
	if err != nil {
		return drills.Effect{}, fmt.Errorf("%s: %w", op.Verb, err)
	}
	if len(found) == 0 {
		return skipped("no process of the container has the fault's limit: nothing to undo"), nil
	}
	var users []string
	for _, x := range found {
		users = append(users, x.User)
	}
	slices.Sort(users)
	var moved []limitedFiles
	return u.prove(ctx, op, deed{
		act: func(ctx context.Context) error {
			var errs []error
			for _, user := range slices.Compact(users) {
				got, err := u.more.moveNofile(ctx, user, nofileSpec{Container: op.Target, From: a.Nofile, To: a.NofileWas})
				moved, errs = append(moved, got), append(errs, err)
			}
			return errors.Join(errs...)
		},
		check: func(context.Context) (any, bool) { return moved, true },
	})
}

func (m *more) moveNofile(ctx context.Context, user string, spec nofileSpec) (limitedFiles, error) {
	spec.Kind = "nofile"
	var got limitedFiles
	err := m.ask(ctx, drills.Place{Kind: drills.PlaceLimits, Name: "nofile", User: user}, spec, &got)
	return got, err
}

// lookNofile lists the processes of the container that have that soft limit.
func (m *more) lookNofile(ctx context.Context, id string, soft int64) ([]helperProcess, error) {
	var got limitedFiles
	err := m.ask(ctx, drills.Place{Kind: drills.PlaceHostPID, Name: "nofile"}, nofileSpec{Kind: "nofile", Container: id, From: soft, Look: true}, &got)
	return got.Moved, err
}
