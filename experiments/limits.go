package experiments

import (
	"github.com/eevans-d/simulacro/drills"
)

// limits are limits that the engine moves. Zero: not touched; -1: none.
type limits struct {
	Memory   int64 `json:"memory,omitempty"`
	Swap     int64 `json:"memory-swap,omitempty"`
	NanoCPUs int64 `json:"nano-cpus,omitempty"`
	Quota    int64 `json:"cpu-quota,omitempty"`
	Period   int64 `json:"cpu-period,omitempty"`
	PIDs     int64 `json:"pids,omitempty"`
}

// limitArgs are the arguments of unit.limit and of its undo.
type limitArgs struct {
	Limit limits `json:"limit"`
	Was   limits `json:"was"`
}

// limitKind is a registry entry of a fault that lowers a limit.
func limitKind[F drills.Fault](kind, summary, proof string, blank func() F) drills.Kind {
	return kindOf(drills.Info{
		Kind:     kind,
		Summary:  summary,
		Class:    drills.ClassUndo,
		Verbs:    []string{"unit.limit", "unit.unlimit"},
		Duration: "required",
		Proof:    proof,
		Undo:     "the limit is set back, unless somebody has set another one since",
	}, blank)
}

// onLimits plans a lower limit for each target.
func onLimits(s drills.Scene, fault string, args func(drills.Member) (limitArgs, error)) ([]drills.Change, error) {
	if err := needDuration(s, fault+" stays in force"); err != nil {
		return nil, err
	}
	var out []drills.Change
	for _, m := range s.Targets {
		if err := running(m); err != nil {
			return nil, err
		}
		a, err := args(m)
		if err != nil {
			return nil, err
		}
		c, err := change(s, m, plan{class: drills.ClassUndo, do: "unit.limit", undo: "unit.unlimit"}, a, a)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// lower refuses a limit that is none.
func lower(m drills.Member, what string, to, was int64) error {
	if was > 0 && to >= was {
		return drills.Errorf(drills.Blocked, "ask for less", "%s has a %s limit of %d already: %d is not lower", m.Name, what, was, to)
	}
	return nil
}
