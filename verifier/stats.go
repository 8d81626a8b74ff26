package verifier

import (
	"math"
	"slices"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// Quantile is the nearest-rank quantile of values in any order; zero of none.
func Quantile(v []time.Duration, q float64) time.Duration {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	i := int(math.Ceil(q*float64(len(s)))) - 1
	return s[min(max(i, 0), len(s)-1)]
}

// summary is what can be said of a set of samples.
type summary struct {
	count         drills.Classes
	share         float64 // good / (good + bad); 0 when there is neither: what was not measured passes nothing
	good          []time.Duration
	p50, p95, p99 drills.Duration
}

func summarise(samples []Sample) summary {
	var out summary
	for _, s := range samples {
		count(&out.count, s.Class)
		if s.Class == Good {
			out.good = append(out.good, s.Latency())
		}
	}
	out.share = share(out.count)
	out.p50 = drills.Duration(Quantile(out.good, 0.50))
	out.p95 = drills.Duration(Quantile(out.good, 0.95))
	out.p99 = drills.Duration(Quantile(out.good, 0.99))
	return out
}

func share(c drills.Classes) float64 {
	if c.Good+c.Bad() == 0 {
		return 0
	}
	return float64(c.Good) / float64(c.Good+c.Bad())
}

// within are the samples (ordered by send) that were sent in [from, to).
func within(samples []Sample, from, to int64) []Sample {
	a, _ := slices.BinarySearchFunc(samples, from, bySendAt)
	b, _ := slices.BinarySearchFunc(samples, to, bySendAt)
	return samples[a:max(a, b)]
}

func bySendAt(s Sample, at int64) int {
	switch {
	case s.Send < at:
		return -1
	case s.Send > at:
		return 1
	}
	return 0
}

// mono is the monotonic stamp of a wall time, the inverse of Clock.Time.
// Only the wall times count, as they are the ones that the journal keeps.
func mono(c drills.Clock, t time.Time) int64 { return c.Mono + int64(t.Round(0).Sub(c.Wall.Round(0))) }

// stripCell is the width of a strip's cells: the finest that keeps a strip below some thousand cells.
func stripCell(length time.Duration) time.Duration {
	for _, c := range []time.Duration{250 * time.Millisecond, time.Second, 5 * time.Second, 30 * time.Second} {
		if length/c < 2400 {
			return c
		}
	}
	return 5 * time.Minute
}

// strip counts samples (ordered by send) into cells from the first one on.
func strip(samples []Sample) (time.Duration, []drills.Bucket) {
	if len(samples) == 0 {
		return stripCell(0), nil
	}
	first := samples[0].Send
	length := time.Duration(samples[len(samples)-1].Send - first)
	cell := stripCell(length)
	out := make([]drills.Bucket, length/cell+1)
	for i := range out {
		lo := first + int64(i)*int64(cell)
		part := within(samples, lo, lo+int64(cell))
		s := summarise(part)
		out[i] = drills.Bucket{Good: s.count.Good, Bad: s.count.Bad(), Ours: s.count.Ours(), P95ms: millis(s.p95.D())}
	}
	return cell, out
}

// millis rounds to microseconds, so that the record stays readable.
func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
