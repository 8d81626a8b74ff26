package compose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// undoList is the guard's work: one entry per change, newest first.
type undoList struct {
	units   drills.Actuator
	changes []drills.Change
	done    []GuardUndo
	tell    func(GuardUndo)
}

func newUndoList(units drills.Actuator, newestFirst []drills.Change, tell func(GuardUndo)) undoList {
	l := undoList{units: units, changes: newestFirst, tell: tell, done: make([]GuardUndo, len(newestFirst))}
	for i, c := range newestFirst {
		l.done[i] = GuardUndo{Change: c.ID, Undo: c.Undo, Note: notOurs(c)}
	}
	return l
}

func (l undoList) results() []GuardUndo { return l.done }

// notOurs says why a change is not the guard's to undo; "" when it is.
func notOurs(c drills.Change) string {
	switch {
	case c.Undo.Verb == "":
		return "the change has no undo"
	case c.Undo.Prefix() == "unit", c.Undo.Verb == drills.VerbUnexec && !strings.Contains(string(c.Undo.Args), "${"):
		return ""
	case c.Do.Prefix() == "resource":
		return "undoes itself: its process ends with its stream, its lease or its target"
	case slices.Contains([]string{"net", "load", "clients", "restore", "runbook"}, c.Do.Prefix()):
		return "undoes itself when its process ends; the guard removed the process"
	case c.Do.Prefix() == "wal":
		return "the process that held the space ends with its stream; `simulacro restore` looks whether the server takes writes, and starts it if it ended"
	case c.Do.Prefix() == "store":
		return "the guard ended its process, which undoes it as it ends; `simulacro restore` looks, and undoes what is left"
	}
	return fmt.Sprintf("the guard cannot do %s: run `simulacro restore`", c.Undo.Verb)
}

// all undoes every change, and tries again what failed, until everything is undone or ctx ends.
func (l undoList) all(ctx context.Context) {
	for wait := undoFirst; ; wait = min(2*wait, undoLongest) {
		failed := false
		for i := range l.done {
			u := &l.done[i]
			if u.Note != "" || u.Attempts > 0 && u.Error == "" {
				continue
			}
			l.attempt(ctx, i)
			failed = failed || u.Error != ""
		}
		if !failed || !drills.Wait(ctx, wait) {
			break
		}
	}
	for _, u := range l.done {
		if u.Note != "" || u.Error != "" {
			l.tell(u) // the others were told when they were done
		}
	}
}

// attempt undoes one change once and looks whether its effect is gone.
func (l undoList) attempt(ctx context.Context, i int) {
	ctx, cancel := context.WithTimeoutCause(ctx, undoAttempt, errors.New("the engine did not answer in time"))
	defer cancel()
	u, c := &l.done[i], l.changes[i]
	u.Attempts++
	eff, err := l.units.Apply(ctx, c.Undo)
	if err != nil {
		u.Error = err.Error()
		return
	}
	u.Effect = &eff
	u.Present, err = l.units.Present(ctx, c.Do)
	switch {
	case err != nil:
		u.Error = err.Error()
	case u.Present && eff.Skipped == "":
		u.Error = "the fault is still there after its undo"
	default:
		u.Error = ""
		l.tell(*u)
	}
}

// settle watches the changes of which there was nothing to undo: the orchestrator may have died with the deed on its
// way to the engine, which then does it after we have looked.
func (l undoList) settle(ctx context.Context) {
	var open []int
	limit := settleBase
	for i, u := range l.done {
		if u.Note == "" && u.Effect != nil && u.Effect.Skipped != "" && !u.Present {
			open = append(open, i)
			limit = max(limit, settleBase+graceIn(l.changes[i].Do))
		}
	}
	if len(open) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for drills.Wait(ctx, settleLookup) {
		for _, i := range open {
			if there, err := l.units.Present(ctx, l.changes[i].Do); err == nil && there {
				l.late(ctx, i)
			}
		}
	}
}

// late undoes a deed that came after our first look. What a person did meanwhile is skipped by the undo itself.
func (l undoList) late(ctx context.Context, i int) {
	before := l.done[i]
	// The settle window is nearly over when a late deed is found; its undo gets the whole time of an attempt.
	l.attempt(context.WithoutCancel(ctx), i)
	if u := l.done[i]; u.Error == "" && u.Effect != nil && u.Effect.Skipped != "" {
		l.done[i] = before // not ours: the first finding stands
	}
}

// graceIn is how long a stop on its way may still take.
func graceIn(do drills.Op) time.Duration {
	var a UnitArgs
	if do.Prefix() != "unit" || do.Decode(&a) != nil {
		return 0
	}
	return a.Grace.D()
}

// byPrefix is the guard's hands: an actuator per prefix of a verb.
type byPrefix map[string]drills.Actuator

func (b byPrefix) Apply(ctx context.Context, op drills.Op) (drills.Effect, error) {
	a, ok := b[op.Prefix()]
	if !ok {
		return drills.Effect{}, fmt.Errorf("the guard cannot do %s", op.Verb)
	}
	return a.Apply(ctx, op)
}

func (b byPrefix) Present(ctx context.Context, op drills.Op) (bool, error) {
	a, ok := b[op.Prefix()]
	if !ok {
		return false, fmt.Errorf("the guard cannot look for %s", op.Verb)
	}
	return a.Present(ctx, op)
}
