package verifier

import (
	"fmt"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// Class is the outcome of one probe; the words are those of drills.Classes.
type Class uint8

// The classes. Good answers; Slow to Timeout are what a user would call an outage; Throttled to Observer say something
// about us, nothing about the system.
const (
	Good Class = iota
	Slow
	Failed
	Refused
	Timeout
	Throttled
	Unauthorised
	Malformed
	Observer
	classes
)

var classNames = [classes]string{"good", "slow", "failed", "refused", "timeout", "throttled", "unauthorised", "malformed", "observer"} //nolint:gochecknoglobals // a constant that Go cannot write as one

// String is the class's word in raw files and edges.
func (c Class) String() string {
	if c < classes {
		return classNames[c]
	}
	return fmt.Sprintf("class-%d", uint8(c))
}

// ParseClass is the inverse of String.
func ParseClass(s string) (Class, error) {
	for i, n := range classNames {
		if n == s {
			return Class(i), nil
		}
	}
	return 0, fmt.Errorf("%q is not a sample class", s)
}

// Bad tells whether a user would call this outcome an outage.
func (c Class) Bad() bool { return c >= Slow && c <= Timeout }

// Ours tells whether the outcome says nothing about the system.
func (c Class) Ours() bool { return c >= Throttled }

// Origin says why a sample was taken.
type Origin uint8

// Scheduled: a slot of the absolute schedule; success shares, baselines, windows and the beginning and end of an outage are
// judged on these alone, since every slot counts the same. Burst: one of the probes in quick succession that follow a failed
// one; they only sharpen the edges of an outage that the schedule has shown. Cut: not a probe, but the moment at which the
// tripwire, an idle connection, broke (Send: when it was opened; Done: when it broke).
const (
	Scheduled Origin = iota
	Burst
	Cut
	origins
)

var originNames = [origins]string{"", "burst", "cut"} //nolint:gochecknoglobals // a constant that Go cannot write as one

// String is the origin's word in raw files; a scheduled sample has none.
func (o Origin) String() string {
	if o < origins {
		return originNames[o]
	}
	return fmt.Sprintf("origin-%d", uint8(o))
}

// parseOrigin is the inverse of String.
func parseOrigin(s string) (Origin, error) {
	for i, n := range originNames {
		if n == s {
			return Origin(i), nil
		}
	}
	return 0, fmt.Errorf("%q is not the origin of a sample", s)
}

// Sample is one probe. Stamps are CLOCK_MONOTONIC nanoseconds. Seq is the slot of the absolute schedule
// (Due = phase + Seq × period), so a hole in Seq is a slot that the prober missed.
type Sample struct {
	Seq   int64
	Due   int64
	Send  int64
	Done  int64
	Class Class
	Text  string // why it was not good; short, without anything that varies from probe to probe. Of a canary's acknowledged write: by whom
	// Position is where a canary's acknowledged write stands in its store: a stream entry's id, a WAL position, a row's id.
	Position string

	Origin Origin
}

// Latency is the time from sending to the answer (or to giving up).
func (s Sample) Latency() time.Duration { return time.Duration(s.Done - s.Send) }

// Late is the prober's own lateness.
func (s Sample) Late() time.Duration { return time.Duration(max(0, s.Send-s.Due)) }

// count adds one sample of a class to the counts of the record.
func count(c *drills.Classes, k Class) {
	switch k {
	case Good:
		c.Good++
	case Slow:
		c.Slow++
	case Failed:
		c.Failed++
	case Refused:
		c.Refused++
	case Timeout:
		c.Timeout++
	case Throttled:
		c.Throttled++
	case Unauthorised:
		c.Unauthorised++
	case Malformed:
		c.Malformed++
	default:
		c.Observer++
	}
}
