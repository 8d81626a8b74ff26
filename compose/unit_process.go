package compose

import (
	"context"
	"fmt"
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
			err := m.ask(ctx, drills.PlaceHostPID, "signal", signalSpec{Kind: "signal", Container: op.Target, Process: a.Process, Signal: int(sig)}, &got)
			at = stamped(asked, clock, got.From, got.To)
			return err
		},
		known: func() drills.Interval { return at },
		check: func(context.Context) (any, bool) {
			return got, len(got.Hit) > 0 && (!ends(sig) || len(got.Gone) == len(got.Hit))
		},
	}, nil
}

// nofileDeed lowers the main process's soft limit of open files; its children inherit it.
func (m *more) nofileDeed(op drills.Op, a UnitArgs) (deed, error) {
	if a.Nofile <= 0 || a.NofileWas <= a.Nofile {
		return deed{}, fmt.Errorf("%s: the op needs a limit and a higher one before", op.Verb)
	}
	var got limitedFiles
	var at drills.Interval
	return deed{
		act: func(ctx context.Context) error {
			clock, asked := drills.NewClock(), time.Now().UTC()
			err := m.ask(ctx, drills.PlaceLimits, "nofile", nofileSpec{Kind: "nofile", Container: op.Target, From: a.NofileWas, To: a.Nofile, Main: true}, &got)
			at = stamped(asked, clock, got.From, got.To)
			return err
		},
		known: func() drills.Interval { return at },
		check: func(context.Context) (any, bool) { return got, len(got.Moved) == 1 },
	}, nil
}

// nofileBack raises every process of the container that has the fault's limit: the main one, and children that got it from it.
func (u *units) nofileBack(ctx context.Context, op drills.Op, a UnitArgs) (drills.Effect, error) {
	if there, err := u.Present(ctx, drills.Op{Verb: VerbNofile, Target: op.Target, Args: op.Args}); err != nil || !there {
		return skipped("no process of the container has the fault's limit, or it is not running: nothing to undo"), err
	}
	var got limitedFiles
	return u.prove(ctx, op, deed{
		act: func(ctx context.Context) error {
			return u.more.ask(ctx, drills.PlaceLimits, "nofile", nofileSpec{Kind: "nofile", Container: op.Target, From: a.Nofile, To: a.NofileWas}, &got)
		},
		check: func(context.Context) (any, bool) { return got, true },
	})
}

// lookNofile tells whether a process of the container has that soft limit.
func (m *more) lookNofile(ctx context.Context, id string, soft int64) (bool, error) {
	var got limitedFiles
	err := m.ask(ctx, drills.PlaceHostPID, "nofile", nofileSpec{Kind: "nofile", Container: id, From: soft, Look: true}, &got)
	return len(got.Moved) > 0, err
}
