package load

import (
	"math"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// clock reads CLOCK_MONOTONIC in ns: the same in all processes of one kernel, so that what one of them publishes and
// another receives can be ordered.
type clock struct {
	base time.Time
	mono int64
}

const (
	// calibrations are tried until one is this narrow: what a message needs from one process to another is far more.
	narrow       = int64(2 * time.Microsecond)
	calibrations = 1000
)

// newClock pairs the runtime's clock with the kernel's, as closely as two readings of one around the other tell.
func newClock() clock {
	var c clock
	best := int64(math.MaxInt64)
	for range calibrations {
		before, now, after := drills.Monotonic(), time.Now(), drills.Monotonic()
		if width := after - before; width < best {
			best, c = width, clock{now, before + width/2}
		}
		if best <= narrow {
			break
		}
	}
	return c
}

func (c clock) now() int64 { return c.of(time.Now()) }

// of is a time of this process on the clock.
func (c clock) of(t time.Time) int64 { return c.mono + int64(t.Sub(c.base)) }

// wall is the wall time of a reading.
func (c clock) wall(mono int64) time.Time {
	return c.base.Add(time.Duration(mono - c.mono)).Round(0).UTC()
}
