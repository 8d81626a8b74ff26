package drills

import (
	"context"
	"errors"
	"time"
)

// Recover finishes a run whose process died: it records the crash, undoes what is outstanding, and closes. said is what the
// guard reported to have done meanwhile. The record's outcome is aborted, cause crash (or dirty).
func Recover(ctx context.Context, rt Runtime, j Journal, said []string) (Record, error) {
	var errs []error
	add := func(e Event) {
		e.At = time.Now()
		_, err := j.Append(e)
		errs = append(errs, err)
	}
	add(Event{Kind: EvStop, Stop: &Stop{Cause: StopCrash, Reason: "The process that ran this drill died; it was finished by another"}})
	for _, s := range said {
		add(Event{Kind: EvNote, Text: "guard: " + s})
	}
	add(Event{Kind: EvPhase, Phase: Restoring})
	errs = append(errs, Restore(context.WithoutCancel(ctx), rt, j, nil))
	add(Event{Kind: EvPhase, Phase: Verifying})
	add(Event{Kind: EvPhase, Phase: Closed})
	add(Event{Kind: EvClosed})
	return Fold(j.Events()), errors.Join(errs...)
}
