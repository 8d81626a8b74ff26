package experiments

import (
	"math"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// CPUStress uses up CPU time in a member's own control group, so that its limit holds for both.
type CPUStress struct {
	Workers int     `yaml:"workers" json:"workers,omitempty"` // default: as many as the limit has CPUs, rounded up; 1 without a limit
	Load    Percent `yaml:"load" json:"load"`                 // of the limit, the member's own use included; without a limit, of each worker's time
}

func cpuStressKind() drills.Kind {
	return resourceKind("cpu-stress", verbCPU, "Use up a member's CPU time, in its own control group",
		"the CPU counter of the target's control group: our own time in it, and at least half of the load that was asked for or the limit at work",
		func() *CPUStress { return &CPUStress{Load: 1} })
}

// Validate checks the parameters.
func (f *CPUStress) Validate() error {
	switch {
	case f.Workers < 0 || f.Workers > 1024:
		return drills.Errorf(drills.Input, "", "cpu-stress: workers: %d is not within 1 to 1024", f.Workers)
	case f.Load <= 0:
		return drills.Errorf(drills.Input, "for example `load: 90%`", "cpu-stress: load: must be above 0%%")
	}
	return nil
}

// Plan loads each target.
func (f *CPUStress) Plan(s drills.Scene) ([]drills.Change, error) {
	return onResource(s, "cpu-stress", verbCPU, func(m drills.Member) (strainArgs, error) {
		cores := coresOf(m)
		workers := f.Workers
		if workers == 0 {
			workers = max(1, int(math.Ceil(cores)))
		}
		return strainArgs{CPU: &helper.CPU{Workers: workers, Load: float64(f.Load), Cores: cores}}, nil
	})
}
