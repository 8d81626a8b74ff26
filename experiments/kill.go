package experiments

import (
	"path"
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
// supervisors act; as a stop, through the engine, which keeps the member down until the duration is over. With a process
// it is that process inside the member instead, and the member's own supervisor has to bring it back.
type Kill struct {
	As      string `yaml:"as" json:"as"`
	Signal  string `yaml:"signal" json:"signal,omitempty"`   // default SIGKILL
	Process string `yaml:"process" json:"process,omitempty"` // a glob over its name, its program's file name or its command line
}

func killKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "kill",
		Summary:  "End a member's main process: as a crash (restart policies act) or as a stop (it stays down for the duration); or a process inside it by name",
		Class:    drills.ClassHeals,
		Verbs:    []string{"unit.crash", "unit.kill", "unit.signal", "unit.start"},
		Duration: "optional",
		Proof:    "the engine's die event; of a process by name, that each one that was hit is gone",
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
	if k.Process != "" && k.As != AsCrash {
		return drills.Errorf(drills.Input, "use `as: crash` with it", "kill: process: the engine stops members only, not a process inside one")
	}
	if _, err := path.Match(k.Process, ""); err != nil {
		return drills.Errorf(drills.Input, "for example `process: \"nginx: worker*\"`", "kill: process: %q is not a pattern", k.Process)
	}
	if k.Signal != "" && unix.SignalNum("SIG"+strings.TrimPrefix(k.Signal, "SIG")) == 0 {
		return drills.Errorf(drills.Input, "for example SIGKILL or SIGTERM", "kill: signal: %q is not a signal", k.Signal)
	}
	return nil
}

type killArgs struct {
	Signal  string `json:"signal"`
	Process string `json:"process,omitempty"`
}

// Plan ends each target.
func (k *Kill) Plan(s drills.Scene) ([]drills.Change, error) {
	args := killArgs{Signal: "SIGKILL"}
	if k.Signal != "" {
		args.Signal = "SIG" + strings.TrimPrefix(k.Signal, "SIG")
	}
	if k.Process != "" {
		args.Process = k.Process
		return each(s, plan{
			class: drills.ClassHeals, do: "unit.signal", doArgs: args, undo: "unit.start", undoArgs: startedAt,
			note: "the undo is a fallback: it starts the member if it went down with the process",
		})
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
