package experiments

import (
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// What members say of their limits.
const (
	limitMemory = "memory"
	limitSwap   = "memory-swap"
	limitCPU    = "nano-cpus"
	limitQuota  = "cpu-quota"
	limitPeriod = "cpu-period"
	limitPIDs   = "pids"
	haveNofile  = "nofile-soft"
	haveFiles   = "open-files"
	havePIDs    = "processes"
)

// strainProve is how long a pressure may take to be there.
const strainProve = drills.Duration(30 * time.Second)

// resourceKind is a registry entry of a fault that a process in the target's control group does.
func resourceKind[F drills.Fault](kind, verb, summary, proof string, blank func() F) drills.Kind {
	return kindOf(drills.Info{
		Kind:     kind,
		Summary:  summary,
		Class:    drills.ClassUndo,
		Verbs:    []string{verb, verbRelease},
		Duration: "required",
		Proof:    proof,
		Undo:     "the process gives everything back and ends; the kernel takes it back when the process dies, loses its stream or its lease, or its target ends",
	}, blank)
}

// onResource plans one strain on each target.
func onResource(s drills.Scene, fault, verb string, args func(drills.Member) (strainArgs, error)) ([]drills.Change, error) {
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
		a.Mark, a.Prove = mark(s, m), strainProve
		c, err := change(s, m, plan{class: drills.ClassUndo, do: verb, undo: verbRelease}, a, healArgs{Mark: a.Mark})
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// coresOf is a member's CPU limit in CPUs; 0 is none.
func coresOf(m drills.Member) float64 {
	if n := m.Limits[limitCPU]; n > 0 {
		return float64(n) / 1e9
	}
	period := m.Limits[limitPeriod]
	if period <= 0 {
		period = defaultPeriod
	}
	return max(0, float64(m.Limits[limitQuota])/float64(period))
}

// defaultPeriod is the kernel's, in microseconds.
const defaultPeriod = 100000
