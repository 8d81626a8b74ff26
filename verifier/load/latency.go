package load

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/eevans-d/simulacro/drills"
)

// latencies is a histogram that many goroutines write: in shards, so that they do not queue for one lock, with a
// second histogram in each for the second that runs.
type latencies struct {
	shards [4]shard
}

type shard struct {
	mu     sync.Mutex
	total  *hdrhistogram.Histogram
	window *hdrhistogram.Histogram
}

// Latencies are kept in microseconds, to three digits, the longest ten minutes.
const longest = int64(10 * time.Minute / time.Microsecond)

func newHistogram(digits int) *hdrhistogram.Histogram { return hdrhistogram.New(1, longest, digits) }

func newLatencies() *latencies {
	var l latencies
	for i := range l.shards {
		l.shards[i].total, l.shards[i].window = newHistogram(3), newHistogram(2)
	}
	return &l
}

func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d.Microseconds(), 1), longest)) // within range by construction
}

func (l *latencies) add(conn int, d time.Duration) {
	s := &l.shards[conn%len(l.shards)]
	s.mu.Lock()
	defer s.mu.Unlock()
	record(s.total, d)
	record(s.window, d)
}

// second returns how many were recorded since the last call, and their p95.
func (l *latencies) second() (n int64, p95 drills.Duration) {
	sum := newHistogram(2)
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		sum.Merge(s.window)
		s.window.Reset()
		s.mu.Unlock()
	}
	return sum.TotalCount(), at(sum, 95)
}

func (l *latencies) all() *hdrhistogram.Histogram {
	sum := newHistogram(3)
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		sum.Merge(s.total)
		s.mu.Unlock()
	}
	return sum
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

func newTiming() *timing { return &timing{h: newHistogram(3)} }

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
