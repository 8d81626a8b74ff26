package experiments

import "github.com/eevans-d/simulacro/drills"

// Restart stops a member in an orderly way and starts it at once.
type Restart struct {
	Grace drills.Duration `yaml:"grace" json:"grace"` // between SIGTERM and SIGKILL
}

func restartKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "restart",
		Summary:  "Shut a member down in an orderly way and start it at once",
		Class:    drills.ClassHeals,
		Verbs:    []string{"unit.restart", "unit.start"},
		Duration: "none",
		Proof:    "the engine's die event",
		Undo:     "none is needed; a member that stayed down is started as a fallback recorded as ours",
	}, func() *Restart { return &Restart{Grace: grace} })
}

// Validate checks the parameters.
func (f *Restart) Validate() error { return validGrace("restart", f.Grace) }

// Plan restarts each target.
func (f *Restart) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := noDuration(s, "restart"); err != nil {
		return nil, err
	}
	return each(s, plan{class: drills.ClassHeals, do: "unit.restart", doArgs: graceArgs{f.Grace}, undo: "unit.start", undoArgs: startedAt})
}
