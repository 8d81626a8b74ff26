package experiments

import "github.com/eevans-d/simulacro/drills"

// MemoryLimit lowers a member's memory limit while it runs.
type MemoryLimit struct {
	Share Percent `yaml:"share" json:"share,omitempty"` // of the limit that it has
	To    Size    `yaml:"to" json:"to,omitempty"`
}

// leastMemory is the engine's own minimum.
const leastMemory = 6 << 20

func memoryLimitKind() drills.Kind {
	return limitKind("memory-limit", "Lower a member's memory limit while it runs", "the engine's update event, and the limit that the kernel states",
		func() *MemoryLimit { return new(MemoryLimit) })
}

// Validate checks the parameters.
func (f *MemoryLimit) Validate() error {
	switch {
	case (f.Share > 0) == (f.To > 0):
		return drills.Errorf(drills.Input, "for example `share: 50%`", "memory-limit: exactly one of share and to is needed")
	case f.Share >= 1:
		return drills.Errorf(drills.Input, "", "memory-limit: share: must be below 100%%")
	}
	return nil
}

// Plan lowers the limit of each target. Swap that was allowed beside the memory stays allowed.
func (f *MemoryLimit) Plan(s drills.Scene) ([]drills.Change, error) {
	return onLimits(s, "memory-limit", func(m drills.Member) (limitArgs, error) {
		was := limits{Memory: m.Limits[limitMemory], Swap: m.Limits[limitSwap]}
		if was.Memory <= 0 {
			return limitArgs{}, drills.Errorf(drills.Blocked, "give it one, however large", "%s has no memory limit, and the engine cannot take one away again", m.Name)
		}
		to := limits{Memory: int64(f.To)}
		if f.Share > 0 {
			to.Memory = int64(float64(f.Share) * float64(was.Memory))
		}
		if to.Memory < leastMemory {
			return limitArgs{}, drills.Errorf(drills.Blocked, "ask for more", "%d bytes are below the engine's least memory limit of 6 MiB", to.Memory)
		}
		if was.Swap > 0 {
			to.Swap = to.Memory + was.Swap - was.Memory
		}
		return limitArgs{Limit: to, Was: was}, lower(m, "memory", to.Memory, was.Memory)
	})
}
