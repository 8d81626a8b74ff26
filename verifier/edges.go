package verifier

import (
	"time"

	"github.com/eevans-d/simulacro/drills"
)

const (
	backFor   = 500 * time.Millisecond // good answers must cover this much before a probe is called good again
	backLeast = 3
	oursLeast = 3
)

// live follows one probe while the run goes on and says when its state changes. It sees samples in the order in which
// they end, which during an outage is not the order in which they were sent.
type live struct {
	probe   string
	clock   drills.Clock
	noise   float64
	det     *detector
	class   Class   // Good while the probe is good
	sends   []int64 // of every judged sample, by the detector's index
	lastBad int64   // latest send of a bad one
	goods   []int64 // sends of the good ones since
	ours    int     // samples of ours in a row
}

func newLive(probe string, clock drills.Clock) *live {
	return &live{probe: probe, clock: clock, noise: failureRate(1), det: newDetector(failureRate(1))}
}

// baseline sets the failure rate that failures are held against from now on.
func (l *live) baseline(noise float64) {
	l.noise = noise
	l.restart()
}

func (l *live) restart() {
	l.det, l.sends = newDetector(l.noise), l.sends[:0]
}

// add takes a sample and returns an edge when the state has changed, else nil.
func (l *live) add(s Sample) *drills.Edge {
	if s.Class.Ours() {
		return l.addOurs(s)
	}
	l.ours = 0
	if s.Class.Bad() {
		l.lastBad = max(l.lastBad, s.Send)
		l.goods = after(l.goods, l.lastBad)
	} else if s.Send > l.lastBad {
		l.goods = append(l.goods, s.Send)
	}
	if l.class != Good && l.back() {
		return l.turn(Good, l.goods[0])
	}
	if l.class.Bad() {
		return nil
	}
	l.sends = append(l.sends, s.Send)
	if first, _, alarm := l.det.add(len(l.sends)-1, s.Class.Bad()); alarm {
		return l.turn(s.Class, l.sends[first])
	}
	return nil
}

// addOurs reports a probe that says nothing any more; it does not end or begin an outage.
func (l *live) addOurs(s Sample) *drills.Edge {
	l.ours++
	if l.class == Good && l.ours >= oursLeast {
		l.goods = l.goods[:0]
		l.lastBad = max(l.lastBad, s.Send)
		return l.turn(s.Class, s.Send)
	}
	return nil
}

func (l *live) back() bool {
	if len(l.goods) < backLeast {
		return false
	}
	return l.goods[len(l.goods)-1]-l.goods[0] >= int64(backFor)
}

func (l *live) turn(c Class, since int64) *drills.Edge {
	l.class = c
	l.restart()
	e := &drills.Edge{Probe: l.probe, Good: c == Good, Since: l.clock.Time(since)}
	if c != Good {
		e.Class = c.String()
	}
	return e
}

// after drops the sends up to and including limit.
func after(sends []int64, limit int64) []int64 {
	out := sends[:0]
	for _, s := range sends {
		if s > limit {
			out = append(out, s)
		}
	}
	return out
}
