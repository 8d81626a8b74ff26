package drills

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Undo attempts: an engine under the load of its own recovery may answer late or not at all at first.
const (
	undoAttempts = 4
	undoPause    = 500 * time.Millisecond
)

// Restore undoes, newest first, every intended change that the journal does not show as undone, inspects each, and records
// what stays as residue. It is what a run calls, and what a fresh process calls after a crash. It is idempotent. done is told
// of every change that is gone (may be nil).
func Restore(ctx context.Context, rt Runtime, j Journal, done func(Change)) error {
	var errs []error
	for _, c := range slices.Backward(Outstanding(j.Events())) {
		if err := UndoOne(ctx, rt, j, c, "restoring"); err != nil {
			errs = append(errs, err)
			continue
		}
		if done != nil {
			done(c)
		}
	}
	return errors.Join(errs...)
}

// UndoOne undoes one change, inspects it and records the result: undone, or residue with an error.
func UndoOne(ctx context.Context, rt Runtime, j Journal, c Change, reason string) error {
	effect, err := tryUndo(ctx, rt, c)
	ev := Event{At: time.Now(), Kind: EvUndone, Change: &c, Effect: &effect, Text: reason}
	if err != nil {
		ev.Kind, ev.Text = EvResidue, err.Error()
		err = Wrap(Residual, err, fmt.Sprintf("undo %s on %s", c.Do.Verb, c.Member), "run `simulacro restore`, then look at the target by hand")
	}
	_, jerr := j.Append(ev)
	return errors.Join(err, jerr)
}

func tryUndo(ctx context.Context, rt Runtime, c Change) (Effect, error) {
	var effect Effect
	var err error
	for i := range undoAttempts {
		if i > 0 {
			if !Wait(ctx, undoPause) {
				break
			}
		}
		effect, err = undoAndInspect(ctx, rt, c, effect)
		if err == nil {
			return effect, nil
		}
	}
	return effect, err
}

// undoAndInspect keeps the first attempt's effect when a later one finds nothing left to do: its evidence (load results)
// and its time are what happened.
func undoAndInspect(ctx context.Context, rt Runtime, c Change, earlier Effect) (Effect, error) {
	if c.Undo.Verb == "" {
		return Effect{From: time.Now(), To: time.Now(), Skipped: "this change has no undo"}, nil
	}
	effect, err := rt.Apply(ctx, c.Undo)
	if err != nil {
		return earlier, err
	}
	if earlier.Proven {
		effect = earlier
	}
	still, err := rt.Present(ctx, c.Do)
	if err != nil {
		return effect, fmt.Errorf("inspect after undo: %w", err)
	}
	if still && effect.Skipped == "" {
		return effect, errors.New("the fault is still there after its undo")
	}
	return effect, nil
}
