package experiments

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// Bandwidth lets only so many bits a second pass, in each direction for itself.
type Bandwidth struct {
	Path
	Rate  Rate            `yaml:"rate" json:"rate"`
	Limit drills.Duration `yaml:"limit" json:"limit"` // the longest wait; what would wait longer is dropped, as by a full buffer
}

// Rate is in bits a second, written "512kbit", "1Mbit" or "1.5Gbit" in files.
type Rate float64

// UnmarshalText reads a number with its unit: bit, kbit, Mbit or Gbit, with or without /s.
func (r *Rate) UnmarshalText(b []byte) error {
	text := strings.TrimSuffix(strings.TrimSpace(string(b)), "/s")
	for _, u := range []struct {
		unit  string
		times float64
	}{{"Gbit", 1e9}, {"Mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}} {
		if number, ok := strings.CutSuffix(text, u.unit); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
			if err == nil && v > 0 && v < 1e6 {
				*r = Rate(v * u.times)
				return nil
			}
		}
	}
	return fmt.Errorf("%q is not a rate such as 512kbit, 1Mbit or 1Gbit", b)
}

// MarshalText writes it in bits.
func (r Rate) MarshalText() ([]byte, error) {
	return []byte(strconv.FormatFloat(float64(r), 'f', -1, 64) + "bit"), nil
}

func bandwidthKind() drills.Kind {
	return trafficKind("bandwidth", verbBandwidth, "Let only so many bits a second pass in each direction", "packets that had to wait in the queue, or found it full",
		func() *Bandwidth {
			return &Bandwidth{Path: Path{Direction: helper.Both}, Limit: drills.Duration(400 * time.Millisecond)}
		})
}

// Validate checks the parameters.
func (f *Bandwidth) Validate() error {
	switch {
	case f.Rate < 1000:
		return drills.Errorf(drills.Input, "for example `rate: 1Mbit`", "bandwidth: rate: must be at least 1kbit")
	case f.Limit <= 0:
		return drills.Errorf(drills.Input, "for example `limit: 400ms`", "bandwidth: limit: must be above zero")
	}
	return f.validate("bandwidth")
}

// Plan narrows each target's traffic.
func (f *Bandwidth) Plan(s drills.Scene) ([]drills.Change, error) {
	return onTraffic(s, "bandwidth", verbBandwidth, f.Path, helper.Effects{Bandwidth: &helper.Bandwidth{Rate: float64(f.Rate), Limit: f.Limit}})
}
