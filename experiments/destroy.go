package experiments

import "github.com/eevans-d/simulacro/drills"

// Destroy removes members for good, with the data that are theirs: what is left is the configuration and the backup.
type Destroy struct{}

func destroyKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "destroy",
		Summary:  "Remove a member with its volumes: only its configuration and backups are left",
		Class:    drills.ClassIrreversible,
		Verbs:    []string{"unit.destroy"},
		Duration: "none",
		Proof:    "the engine no longer knows the container, nor the volumes that it could write",
		Undo:     "none: somebody has to rebuild it; only where the system says disposable: true",
	}, func() *Destroy { return new(Destroy) })
}

// Plan removes each target.
func (f *Destroy) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := noDuration(s, "destroy"); err != nil {
		return nil, err
	}
	return each(s, plan{class: drills.ClassIrreversible, do: "unit.destroy", note: "its volumes go with it"})
}
