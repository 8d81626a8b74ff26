package experiments

import (
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// RollingRestart replaces a component's members one after the other, as a deployment does: each is stopped in an orderly
// way and must be healthy again before the next one's turn.
type RollingRestart struct {
	Recreate bool            `yaml:"recreate" json:"recreate,omitempty"` // remove each and make it anew, instead of starting it again
	Grace    drills.Duration `yaml:"grace" json:"grace"`                 // between SIGTERM and SIGKILL
	Within   drills.Duration `yaml:"within" json:"within"`               // to be healthy again; a member that is not ends the roll
}

// within is how long a member may take to be healthy.
const within = drills.Duration(time.Minute)

func rollingRestartKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "rolling-restart",
		Summary:  "Stop and start every member of a component, one after the other, each healthy before the next; the target comes first",
		Class:    drills.ClassHeals,
		Verbs:    []string{"unit.roll", "unit.recreate", "unit.start", "unit.reinstate"},
		Duration: "none",
		Proof:    "the engine's die event of each member, and its health after it",
		Undo:     "none is needed; a member that stayed down is started as a fallback recorded as ours",
	}, func() *RollingRestart { return &RollingRestart{Grace: grace, Within: within} })
}

// Validate checks the parameters.
func (f *RollingRestart) Validate() error {
	if err := validWithin("rolling-restart", f.Within); err != nil {
		return err
	}
	return validGrace("rolling-restart", f.Grace)
}

type rollArgs struct {
	Grace  drills.Duration `json:"grace"`
	Within drills.Duration `json:"within"`
}

// Plan rolls through the whole component.
func (f *RollingRestart) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := noDuration(s, "rolling-restart"); err != nil {
		return nil, err
	}
	all, keep, err := wholeComponent(s)
	if err != nil {
		return nil, err
	}
	if len(all)-1 < keep {
		return nil, drills.Errorf(drills.Blocked, "", "%s has %d running members and a keep-healthy of %d: none may be taken out", s.Targets[0].Component, len(all), keep)
	}
	s.Targets = targetFirst(s.Targets, all)
	p := plan{class: drills.ClassHeals, do: "unit.roll", doArgs: rollArgs{f.Grace, f.Within}, undo: "unit.start", undoArgs: startedAt}
	if f.Recreate {
		p.do, p.undo = "unit.recreate", "unit.reinstate"
	}
	return each(s, p)
}

func validWithin(kind string, d drills.Duration) error {
	if d.D() < time.Second || d.D() > 10*time.Minute {
		return drills.Errorf(drills.Input, "use 1s to 10m", "%s: within: %s is not a sensible time to become healthy in", kind, d)
	}
	return nil
}
