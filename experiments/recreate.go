package experiments

import "github.com/eevans-d/simulacro/drills"

// Recreate removes a member and makes it again with the same settings, volumes, networks, aliases and fixed addresses: what
// it kept in its own layer is lost.
type Recreate struct {
	Grace  drills.Duration `yaml:"grace" json:"grace"`
	Within drills.Duration `yaml:"within" json:"within"` // to be healthy again
}

func recreateKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "recreate",
		Summary:  "Remove a member and make it again as it was: what it kept outside of volumes is lost",
		Class:    drills.ClassHeals,
		Verbs:    []string{"unit.recreate", "unit.reinstate"},
		Duration: "none",
		Proof:    "the engine's die event, and that the old container is gone",
		Undo:     "none is needed; the new one is made before the old one is removed, so that a recreation that was broken off is finished or taken back",
	}, func() *Recreate { return &Recreate{Grace: grace, Within: within} })
}

// Validate checks the parameters.
func (f *Recreate) Validate() error {
	if err := validWithin("recreate", f.Within); err != nil {
		return err
	}
	return validGrace("recreate", f.Grace)
}

// Plan recreates each target.
func (f *Recreate) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := noDuration(s, "recreate"); err != nil {
		return nil, err
	}
	return each(s, plan{class: drills.ClassHeals, do: "unit.recreate", doArgs: rollArgs{f.Grace, f.Within}, undo: "unit.reinstate", undoArgs: startedAt})
}
