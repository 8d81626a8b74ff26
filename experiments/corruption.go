package experiments

import (
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// Corruption flips one bit in a share of the packets.
type Corruption struct {
	Path
	Share Percent `yaml:"share" json:"share"`
	// Undetected makes the checksum right again, so that the wrong bit reaches the application, as from broken memory.
	Undetected bool `yaml:"undetected" json:"undetected,omitempty"`
}

func corruptionKind() drills.Kind {
	return trafficKind("packet-corruption", verbCorrupt, "Flip a bit in a share of a member's packets; undetected: the application gets it", "packets seen and changed by the queue",
		func() *Corruption { return &Corruption{Path: Path{Direction: helper.Out}} })
}

// Validate checks the parameters.
func (f *Corruption) Validate() error {
	if err := needShare("packet-corruption", f.Share); err != nil {
		return err
	}
	return f.validate("packet-corruption")
}

// Plan corrupts packets of each target.
func (f *Corruption) Plan(s drills.Scene) ([]drills.Change, error) {
	return onTraffic(s, "packet-corruption", verbCorrupt, f.Path, helper.Effects{Corruption: &helper.Corruption{Share: float64(f.Share), Repair: f.Undetected}})
}
