package experiments

import (
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// Latency holds packets back. The order within a conversation is kept.
type Latency struct {
	Path
	Delay        drills.Duration `yaml:"delay" json:"delay"`
	Jitter       drills.Duration `yaml:"jitter" json:"jitter,omitempty"`
	Distribution string          `yaml:"distribution" json:"distribution,omitempty"` // uniform (default), normal, pareto
	Correlation  Percent         `yaml:"correlation" json:"correlation,omitempty"`   // of a packet's jitter with the one's before
}

func latencyKind() drills.Kind {
	return trafficKind("latency", verbLatency, "Hold a member's packets back, with jitter; direction out (default) adds the delay once to each round trip, both twice",
		"packets held by netem, or by the queue and for how long; round trip from inside the target before and under it, where a peer is named",
		func() *Latency { return &Latency{Path: Path{Direction: helper.Out}, Distribution: helper.Uniform} })
}

// Validate checks the parameters.
func (f *Latency) Validate() error {
	bad := func(hint, format string, args ...any) error {
		return drills.Errorf(drills.Input, hint, "latency: "+format, args...)
	}
	switch f.Distribution {
	case helper.Uniform, helper.Normal, helper.Pareto:
	default:
		return bad("", "distribution: must be uniform, normal or pareto, found %q", f.Distribution)
	}
	switch {
	case f.Delay < 0 || f.Jitter < 0 || f.Delay+f.Jitter == 0:
		return bad("for example `delay: 100ms`", "delay: or jitter: must be above zero")
	case f.Correlation >= 1:
		return bad("", "correlation: must be below 100%%")
	}
	return f.validate("latency")
}

// Plan delays each target's traffic.
func (f *Latency) Plan(s drills.Scene) ([]drills.Change, error) {
	return onTraffic(s, "latency", verbLatency, f.Path, helper.Effects{Latency: &helper.Latency{
		Delay: f.Delay, Jitter: f.Jitter, Distribution: f.Distribution, Correlation: float64(f.Correlation),
	}})
}
