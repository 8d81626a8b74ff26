package compose

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/docker/docker/api/types/system"

	"github.com/eevans-d/simulacro/drills"
)

// clockSamples is how many readings of the engine's clock one measurement takes, and clockAge how long it is good for.
const (
	clockSamples = 4
	clockAge     = time.Minute
)

// offset says by how much the engine's wall clock is ahead of ours, at most Bound wrong.
type offset struct {
	Ahead time.Duration `json:"ahead"`
	Bound time.Duration `json:"bound"`
}

// engineClock keeps the last measured offset.
type engineClock struct {
	mu   sync.Mutex
	at   time.Time
	last offset
}

// infoAPI is what the measurement asks.
type infoAPI interface {
	Info(context.Context) (system.Info, error)
}

// measure returns the offset, measuring it when the last one is old. Every reading puts the offset between two bounds
// (the engine read its clock after we asked and before it answered); the bounds of several readings are intersected.
func (c *engineClock) measure(ctx context.Context, api infoAPI) (offset, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() && time.Since(c.at) < clockAge {
		return c.last, nil
	}
	lo, hi := time.Duration(-1<<62), time.Duration(1<<62)
	for range clockSamples {
		asked := time.Now()
		info, err := api.Info(ctx)
		if err != nil {
			return offset{}, err
		}
		answered := time.Now()
		there := parseTime(info.SystemTime)
		if there.IsZero() {
			return offset{}, errors.New("the engine does not tell its time")
		}
		lo, hi = max(lo, there.Sub(answered)), min(hi, there.Sub(asked))
	}
	if lo > hi {
		return offset{}, errors.New("the engine's clock jumped while it was measured")
	}
	c.at, c.last = time.Now(), offset{Ahead: lo + (hi-lo)/2, Bound: (hi - lo) / 2}
	return c.last, nil
}

// ours maps an engine time to the interval of our clock that contains it.
func (o offset) ours(t time.Time) drills.Interval {
	t = t.Add(-o.Ahead)
	return drills.Interval{From: t.Add(-o.Bound).UTC(), To: t.Add(o.Bound).UTC()}
}

// noOffset is for the guard: measuring would only delay its undos, and asking and receiving bound them well enough.
func noOffset(context.Context) (offset, error) { return offset{}, errors.New("not measured") }
