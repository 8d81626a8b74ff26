package experiments

import (
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// Stop asks a member to end, as an orderly shutdown does, and keeps it down for the duration.
type Stop struct {
	Grace drills.Duration `yaml:"grace" json:"grace"` // between SIGTERM and SIGKILL
}

// grace is what the engine's own command line waits.
const grace = drills.Duration(10 * time.Second)

func stopKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "stop",
		Summary:  "Shut a member down in an orderly way (SIGTERM, SIGKILL after the grace) and keep it down for the duration",
		Class:    drills.ClassUndo,
		Verbs:    []string{"unit.stop", "unit.start"},
		Duration: "required",
		Proof:    "the engine's die event",
		Undo:     "it is started again, unless somebody has started it since",
	}, func() *Stop { return &Stop{Grace: grace} })
}

// Validate checks the parameters.
func (f *Stop) Validate() error { return validGrace("stop", f.Grace) }

type graceArgs struct {
	Grace drills.Duration `json:"grace"`
}

// Plan stops each target.
func (f *Stop) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "stop keeps the member down"); err != nil {
		return nil, err
	}
	return each(s, plan{class: drills.ClassUndo, do: "unit.stop", doArgs: graceArgs{f.Grace}, undo: "unit.start", undoArgs: startedAt})
}

func validGrace(kind string, d drills.Duration) error {
	if d < 0 || d.D() > 10*time.Minute {
		return drills.Errorf(drills.Input, "use 0s to 10m", "%s: grace: %s is not a sensible time to wait for a process", kind, d)
	}
	return nil
}
