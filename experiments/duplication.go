package experiments

import (
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// Duplication sends a share of the target's packets to its peers twice.
type Duplication struct {
	Path
	Share Percent `yaml:"share" json:"share"`
}

func duplicationKind() drills.Kind {
	return trafficKind("packet-duplication", verbDuplicate, "Send a share of a member's packets to its peers twice", "packets counted by the kernel's rule that copies them or has netem copy them",
		func() *Duplication { return &Duplication{Path: Path{Direction: helper.Out}} })
}

// Validate checks the parameters.
func (f *Duplication) Validate() error {
	if err := needShare("packet-duplication", f.Share); err != nil {
		return err
	}
	if len(f.Peers) == 0 && len(f.Hosts) == 0 {
		return drills.Errorf(drills.Input, "for example `peers: [{component: redis}]`", "packet-duplication: peers: or hosts: must name who gets the copies")
	}
	if f.Direction != helper.Out {
		return drills.Errorf(drills.Input, "make the peer the target for the other way", "packet-duplication: direction: only what the target sends (out) can be sent twice")
	}
	return f.validate("packet-duplication")
}

// Plan duplicates packets of each target.
func (f *Duplication) Plan(s drills.Scene) ([]drills.Change, error) {
	return onTraffic(s, "packet-duplication", verbDuplicate, f.Path, helper.Effects{Duplication: &helper.Duplication{Share: float64(f.Share)}})
}
