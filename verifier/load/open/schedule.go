package open

import (
	"math"
	"time"
)

// Schedule is the due times of an open model, relative to its start: during the ramp the rate grows evenly from zero,
// then one operation is due every 1/Rate seconds. Every due time is computed from its number, so that nothing drifts.
type Schedule struct {
	Rate float64       // operations a second, above zero
	Ramp time.Duration // how long the rate grows
}

// warm is how many operations are due during the ramp: half of what the full rate would be.
func (s Schedule) warm() int64 { return int64(s.Rate * s.Ramp.Seconds() / 2) }

// Due is when operation k (from 0) is due. In the ramp the operations up to t are Rate·t²/(2·Ramp), hence the root.
func (s Schedule) Due(k int64) time.Duration {
	warm := s.warm()
	if k < warm {
		return time.Duration(math.Sqrt(2*float64(k)*s.Ramp.Seconds()/s.Rate) * float64(time.Second))
	}
	return s.Ramp + time.Duration(float64(k-warm)/s.Rate*float64(time.Second))
}

// By is how many operations are due at or before t.
func (s Schedule) By(t time.Duration) int64 {
	if t < 0 {
		return 0
	}
	var k int64
	if t < s.Ramp {
		k = int64(s.Rate * t.Seconds() * t.Seconds() / (2 * s.Ramp.Seconds()))
	} else {
		k = s.warm() + int64((t-s.Ramp).Seconds()*s.Rate)
	}
	for k > 0 && s.Due(k-1) > t { // the estimate may be off by the rounding of one
		k--
	}
	for s.Due(k) <= t {
		k++
	}
	return k
}
