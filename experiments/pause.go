package experiments

import "github.com/eevans-d/simulacro/drills"

// Pause freezes every process of a member: its connections stay open and nothing answers.
type Pause struct{}

func pauseKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "pause",
		Summary:  "Freeze a member: connections stay open, nothing answers",
		Class:    drills.ClassUndo,
		Verbs:    []string{"unit.pause", "unit.unpause"},
		Duration: "required",
		Proof:    "the engine's pause event",
		Undo:     "it is unpaused, unless it was started anew since",
	}, func() *Pause { return new(Pause) })
}

// Plan freezes each target.
func (*Pause) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "pause freezes the member"); err != nil {
		return nil, err
	}
	return each(s, plan{class: drills.ClassUndo, do: "unit.pause", undo: "unit.unpause", undoArgs: startedAt})
}
