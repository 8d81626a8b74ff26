package experiments

import (
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// Loss drops a share of the packets: each by its own lot, or in bursts.
type Loss struct {
	Path
	Share Percent `yaml:"share" json:"share"`
	Burst float64 `yaml:"burst" json:"burst,omitempty"` // mean number of packets lost in a row (Gilbert model)
}

func lossKind() drills.Kind {
	return trafficKind("packet-loss", verbLoss, "Drop a share of a member's packets, one by one or in bursts", "packets seen and dropped, as netem or the queue counts them",
		func() *Loss { return &Loss{Path: Path{Direction: helper.Out}} })
}

// Validate checks the parameters.
func (f *Loss) Validate() error {
	if err := needShare("packet-loss", f.Share); err != nil {
		return err
	}
	if f.Burst != 0 && f.Burst < 1 {
		return drills.Errorf(drills.Input, "for example `burst: 5`", "packet-loss: burst: is a mean number of packets, at least 1")
	}
	return f.validate("packet-loss")
}

// Plan loses packets of each target.
func (f *Loss) Plan(s drills.Scene) ([]drills.Change, error) {
	return onTraffic(s, "packet-loss", verbLoss, f.Path, helper.Effects{Loss: &helper.Loss{Share: float64(f.Share), Burst: f.Burst}})
}
