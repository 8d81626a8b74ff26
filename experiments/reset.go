package experiments

import (
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// Reset breaks TCP connections: who sends on one gets a reset, as from a peer that has lost its memory.
type Reset struct {
	Path
	Share  Percent `yaml:"share" json:"share"`   // of the packets; default all
	Refuse bool    `yaml:"refuse" json:"refuse"` // refuse new connections too; else they open and are reset with the first byte
}

func resetKind() drills.Kind {
	return trafficKind("connection-reset", verbReset, "Reset a member's TCP connections, at both ends by default; refuse: also refuse new ones", "packets counted by the kernel's rule that rejects them",
		func() *Reset { return &Reset{Path: Path{Direction: helper.Both}, Share: 1} })
}

// Validate checks the parameters.
func (f *Reset) Validate() error {
	if err := needShare("connection-reset", f.Share); err != nil {
		return err
	}
	if f.Protocol != "" && f.Protocol != helper.TCP {
		return drills.Errorf(drills.Input, "remove `protocol`", "connection-reset: only TCP connections can be reset")
	}
	return f.validate("connection-reset")
}

// Plan resets connections of each target.
func (f *Reset) Plan(s drills.Scene) ([]drills.Change, error) {
	path := f.Path
	path.Protocol = helper.TCP
	return onTraffic(s, "connection-reset", verbReset, path, helper.Effects{Reset: &helper.Reset{Share: float64(f.Share), New: f.Refuse}})
}
