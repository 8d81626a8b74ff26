package experiments

import (
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// Reordering holds a share of the packets back while those behind them pass.
type Reordering struct {
	Path
	Share Percent         `yaml:"share" json:"share"`
	By    drills.Duration `yaml:"by" json:"by"`
}

func reorderingKind() drills.Kind {
	return trafficKind("packet-reordering", verbReorder, "Let a share of a member's packets arrive after those behind them", "packets seen and held back by the queue",
		func() *Reordering {
			return &Reordering{Path: Path{Direction: helper.Out}, By: drills.Duration(20 * time.Millisecond)}
		})
}

// Validate checks the parameters.
func (f *Reordering) Validate() error {
	if err := needShare("packet-reordering", f.Share); err != nil {
		return err
	}
	if f.By <= 0 {
		return drills.Errorf(drills.Input, "for example `by: 20ms`", "packet-reordering: by: must be above zero")
	}
	return f.validate("packet-reordering")
}

// Plan reorders packets of each target.
func (f *Reordering) Plan(s drills.Scene) ([]drills.Change, error) {
	return onTraffic(s, "packet-reordering", verbReorder, f.Path, helper.Effects{Reordering: &helper.Reordering{Share: float64(f.Share), By: f.By}})
}
