package experiments

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

// CPULimit lowers a member's CPU limit while it runs.
type CPULimit struct {
	Share Percent `yaml:"share" json:"share,omitempty"` // of the limit that it has
	To    Cores   `yaml:"to" json:"to,omitempty"`
}

// Cores is a number of CPUs, such as 0.5.
type Cores float64

// UnmarshalText reads 0.5 or 2.
func (c *Cores) UnmarshalText(b []byte) error {
	v, err := strconv.ParseFloat(strings.TrimSpace(string(b)), 64)
	if err != nil || v < 0.01 || v > 1024 {
		return fmt.Errorf("%q is not a number of CPUs from 0.01 on, such as 0.5", b)
	}
	*c = Cores(v)
	return nil
}

func cpuLimitKind() drills.Kind {
	return limitKind("cpu-limit", "Lower a member's CPU limit while it runs", "the engine's update event, and the limit that it states",
		func() *CPULimit { return new(CPULimit) })
}

// Validate checks the parameters.
func (f *CPULimit) Validate() error {
	switch {
	case (f.Share > 0) == (f.To > 0):
		return drills.Errorf(drills.Input, "for example `to: 0.2`", "cpu-limit: exactly one of share and to is needed")
	case f.Share >= 1:
		return drills.Errorf(drills.Input, "", "cpu-limit: share: must be below 100%%")
	}
	return nil
}

// Plan lowers the limit of each target. The engine knows two ways to say a CPU limit and mixes them not: the member's own
// is kept, and where it has none it is the one that can be taken away again.
func (f *CPULimit) Plan(s drills.Scene) ([]drills.Change, error) {
	return onLimits(s, "cpu-limit", func(m drills.Member) (limitArgs, error) {
		was := coresOf(m)
		to := float64(f.To)
		switch {
		case f.Share > 0 && was == 0:
			return limitArgs{}, drills.Errorf(drills.Blocked, "say how many CPUs it may have, such as `to: 0.2`", "%s has no CPU limit, so a share of it means nothing", m.Name)
		case f.Share > 0:
			to = float64(f.Share) * was
		}
		if to < 0.01 {
			return limitArgs{}, drills.Errorf(drills.Blocked, "ask for more", "%s would have %.4f CPUs, and the kernel gives no less than 0.01", m.Name, to)
		}
		if err := lower(m, "CPU (in nanoseconds a second)", int64(to*1e9), int64(was*1e9)); err != nil {
			return limitArgs{}, err
		}
		if n := m.Limits[limitCPU]; n > 0 {
			return limitArgs{Limit: limits{NanoCPUs: int64(to * 1e9)}, Was: limits{NanoCPUs: n}}, nil
		}
		period := m.Limits[limitPeriod]
		if period <= 0 {
			period = defaultPeriod
		}
		a := limitArgs{Limit: limits{Quota: int64(to * float64(period)), Period: period}, Was: limits{Quota: m.Limits[limitQuota], Period: period}}
		if a.Was.Quota <= 0 {
			a.Was.Quota = -1
		}
		return a, nil
	})
}
