package experiments

import (
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eevans-d/simulacro/drills"
)

// RestartLoop kills a member's main process again whenever its restart policy has brought it back.
type RestartLoop struct {
	Every  drills.Duration `yaml:"every" json:"every"` // at most one kill in this time
	Signal string          `yaml:"signal" json:"signal,omitempty"`
}

func restartLoopKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "restart-loop",
		Summary:  "Crash a member again whenever its restart policy has brought it back",
		Class:    drills.ClassUndo,
		Verbs:    []string{"unit.crash-loop", "unit.calm"},
		Duration: "required",
		Proof:    "the engine's die event of the first crash; the number of crashes is in the undo's evidence",
		Undo:     "the loop ends and the policy brings the member back, after its own growing pause; one that it has given up is started. The loop's helper also ends with its stream and its lease",
	}, func() *RestartLoop { return &RestartLoop{Every: drills.Duration(5 * time.Second), Signal: "SIGKILL"} })
}

// Validate checks the parameters.
func (f *RestartLoop) Validate() error {
	if f.Every.D() < 500*time.Millisecond {
		return drills.Errorf(drills.Input, "for example `every: 5s`", "restart-loop: every: %s is below 500ms", f.Every)
	}
	if unix.SignalNum("SIG"+strings.TrimPrefix(f.Signal, "SIG")) == 0 {
		return drills.Errorf(drills.Input, "for example SIGKILL or SIGTERM", "restart-loop: signal: %q is not a signal", f.Signal)
	}
	return nil
}

type loopArgs struct {
	Mark      string          `json:"mark"`
	Every     drills.Duration `json:"every"`
	Signal    string          `json:"signal"`
	StartedAt time.Time       `json:"started_at"`
}

// Plan starts a loop for each target.
func (f *RestartLoop) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "restart-loop goes on"); err != nil {
		return nil, err
	}
	var out []drills.Change
	for _, m := range s.Targets {
		if err := running(m); err != nil {
			return nil, err
		}
		if m.Policy == "" || m.Policy == "no" {
			return nil, drills.Errorf(drills.Blocked, "use the fault kill, or give it a restart policy", "nothing would bring %s back after the first crash: it has no restart policy", m.Name)
		}
		args := loopArgs{Mark: mark(s, m), Every: f.Every, Signal: "SIG" + strings.TrimPrefix(f.Signal, "SIG"), StartedAt: m.StartedAt}
		c, err := change(s, m, plan{class: drills.ClassUndo, do: "unit.crash-loop", undo: "unit.calm"}, args, startedAt(m))
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}
