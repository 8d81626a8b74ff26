package load

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/eevans-d/simulacro/drills"
)

// Latencies are kept in microseconds, to three digits, the longest ten minutes.
const (
	longest = int64(10 * time.Minute / time.Microsecond)
	digits  = 3
)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, longest, digits) }

func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d.Microseconds(), 1), longest)) // within range by construction
}

// counts are a histogram's cells, to add up what several processes counted without losing resolution: all histograms here
// have the same cells.
type counts []int64

// cells are the counts that are not zero, as index and count, which is how they travel.
type cells [][2]int64

// emptied takes what h has and empties it.
func emptied(h *hdrhistogram.Histogram) cells {
	if h.TotalCount() == 0 {
		return nil
	}
	var out cells
	for i, n := range h.Export().Counts {
		if n > 0 {
			out = append(out, [2]int64{int64(i), n})
		}
	}
	h.Reset()
	return out
}

func (c *counts) add(more cells) {
	if *c == nil {
		*c = make(counts, len(newHistogram().Export().Counts))
	}
	for _, x := range more {
		if x[0] >= 0 && x[0] < int64(len(*c)) {
			(*c)[x[0]] += x[1]
		}
	}
}

func (c counts) histogram() *hdrhistogram.Histogram {
	if c == nil {
		return newHistogram()
	}
	return hdrhistogram.Import(&hdrhistogram.Snapshot{LowestTrackableValue: 1, HighestTrackableValue: longest, SignificantFigures: digits, Counts: c})
}

// at is a percentile as a duration; zero when nothing was recorded.
func at(h *hdrhistogram.Histogram, q float64) drills.Duration {
	return drills.Duration(time.Duration(h.ValueAtQuantile(q)) * time.Microsecond)
}

// timing is a histogram with a lock, for what happens less often.
type timing struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram
}

func newTiming() *timing { return &timing{h: newHistogram()} }

func (t *timing) add(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	record(t.h, d)
}

func (t *timing) at(q float64) drills.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return at(t.h, q)
}
