package experiments

import (
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// MemoryStress holds memory in a member's own control group, below its limit.
type MemoryStress struct {
	Share Percent `yaml:"share" json:"share,omitempty"` // of the limit, the member's own use included
	Size  Size    `yaml:"size" json:"size,omitempty"`   // of what we hold
}

func memoryStressKind() drills.Kind {
	return resourceKind("memory-stress", verbMemory, "Hold memory in a member's own control group, up to a share of its limit",
		"the working set of the target's control group, with our pages in it",
		func() *MemoryStress { return new(MemoryStress) })
}

// Validate checks the parameters.
func (f *MemoryStress) Validate() error {
	switch {
	case (f.Share > 0) == (f.Size > 0):
		return drills.Errorf(drills.Input, "for example `share: 85%`", "memory-stress: exactly one of share and size is needed")
	case f.Share > helper.MostMemory:
		return drills.Errorf(drills.Input, "the fault out-of-memory goes beyond the limit on purpose", "memory-stress: share: more than 95%% would make the kernel end processes")
	}
	return nil
}

// Plan fills each target's memory.
func (f *MemoryStress) Plan(s drills.Scene) ([]drills.Change, error) {
	return onResource(s, "memory-stress", verbMemory, func(m drills.Member) (strainArgs, error) {
		if f.Share > 0 && m.Limits[limitMemory] <= 0 {
			return strainArgs{}, drills.Errorf(drills.Blocked, "give it a memory limit, or ask for a size such as `size: 64MiB`", "%s has no memory limit, so a share of it means nothing", m.Name)
		}
		return strainArgs{Memory: &helper.Memory{Share: float64(f.Share), Size: int64(f.Size)}}, nil
	})
}
