package experiments

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/eevans-d/simulacro/drills"
)

// How a kill looks to the system.
const (
	AsCrash = "crash"
	AsStop  = "stop"
)

// Kill ends a member's main process. As a crash, from outside the engine's knowledge, so that restart policies and
// supervisors act; as a stop, through the engine, which keeps the member down until the duration is over.
type Kill struct {
	As     string `yaml:"as" json:"as"`
	Signal string `yaml:"signal" json:"signal,omitempty"` // default SIGKILL
}

func killKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "kill",
		Summary:  "End a member's main process: as a crash (restart policies act) or as a stop (it stays down for the duration)",
		Class:    drills.ClassHeals,
		Verbs:    []string{"unit.crash", "unit.kill", "unit.start"},
		Duration: "optional",
		Proof:    "the engine's die event",
		Undo:     "as: stop is started again when its duration is over; as: crash comes back by itself, else it is started as a fallback recorded as ours",
	}, func() *Kill { return new(Kill) })
}

// Validate checks the parameters.
func (k *Kill) Validate() error {
	switch k.As {
	case AsCrash, AsStop:
	default:
		return drills.Errorf(drills.Input, "as: crash lets restart policies act; as: stop keeps the member down for the duration",
			"kill: as: must be crash or stop, found %q", k.As)
	}
	if k.Signal != "" && unix.SignalNum("SIG"+strings.TrimPrefix(k.Signal, "SIG")) == 0 {
		return drills.Errorf(drills.Input, "for example SIGKILL or SIGTERM", "kill: signal: %q is not a signal", k.Signal)
	}
	return nil
}

type killArgs struct {
	Signal string `json:"signal"`
}

// Plan ends each target.
func (k *Kill) Plan(s drills.Scene) ([]drills.Change, error) {
	args := killArgs{Signal: "SIGKILL"}
	if k.Signal != "" {
		args.Signal = "SIG" + strings.TrimPrefix(k.Signal, "SIG")
	}
	if k.As == AsCrash {
		return each(s, plan{
			class: drills.ClassHeals, do: "unit.crash", doArgs: args, undo: "unit.start", undoArgs: startedAt,
			note: "the undo is a fallback: it is skipped when the member came back by itself",
		})
	}
	if err := needDuration(s, "kill as: stop keeps the member down"); err != nil {
		return nil, err
	}
	return each(s, plan{class: drills.ClassUndo, do: "unit.kill", doArgs: args, undo: "unit.start", undoArgs: startedAt})
}
