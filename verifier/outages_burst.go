package verifier

import (
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// cutSlack is how much later than the first failed probe the stamp of a broken connection may come: both are one event of the
// kernel, handed to two goroutines.
const cutSlack = int64(5 * time.Millisecond)

// burstStart narrows the beginning, known to lie between the send of a good sample and that of the first bad one, by the
// burst samples between them: back over the bad ones to the last good one.
func (f *finder) burstStart(from int64, first Sample) (int64, Sample) {
	between := within(f.extra, from+1, first.Send)
	for i := len(between) - 1; i >= 0; i-- {
		if !between[i].Class.Bad() {
			return between[i].Send, first
		}
		first = between[i]
	}
	return from, first
}

// burstEnd narrows the end, known to lie between the send of a bad sample and the answer to a good one, by the burst samples
// sent between: back over the good ones, whose answers bound it from above, to the last bad one, which bounds it from below.
// One that was held back says nothing about when it was sent.
func (f *finder) burstEnd(from, to int64) (int64, int64) {
	between := within(f.extra, from+1, to)
	for i := len(between) - 1; i >= 0; i-- {
		s := between[i]
		switch {
		case s.Send >= to: // sent after the first answer
		case s.Class.Bad():
			return s.Send, to
		default:
			to = min(to, s.Done)
		}
	}
	return from, to
}

// began is when the idle connection broke, if it did in the interval of the beginning.
func (f *finder) began(start drills.Interval) time.Time {
	for _, c := range f.cuts {
		at := f.opt.Clock.Time(c.Done)
		if at.Before(start.From) || at.After(start.To.Add(time.Duration(cutSlack))) {
			continue
		}
		if at.After(start.To) {
			return start.To
		}
		return at
	}
	return time.Time{}
}
