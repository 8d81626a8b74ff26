package open

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Times are kept in microseconds, to three digits, the longest ten minutes.
const longest = int64(10 * time.Minute / time.Microsecond)

func newHist(digits int) *hdrhistogram.Histogram { return hdrhistogram.New(1, longest, digits) }

func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d.Microseconds(), 1), longest)) // within range by construction
}

// at is a quantile (in percent) as a duration; zero when nothing was recorded.
func at(h *hdrhistogram.Histogram, q float64) time.Duration {
	return time.Duration(h.ValueAtQuantile(q)) * time.Microsecond
}

// Times is a summary of a histogram.
type Times struct {
	Count              int64
	P50, P95, P99, Max time.Duration
}

func summary(h *hdrhistogram.Histogram) Times {
	t := Times{Count: h.TotalCount()}
	if t.Count > 0 {
		t.P50, t.P95, t.P99, t.Max = at(h, 50), at(h, 95), at(h, 99), time.Duration(h.Max())*time.Microsecond
	}
	return t
}

// tally is one shard of a flow's books.
type tally struct {
	mu                          sync.Mutex
	count                       [classes]int64
	warm                        int64 // due during the ramp: not counted
	ops                         []opTally
	texts                       map[string]int64
	latency, wait, service, lag *hdrhistogram.Histogram
	window                      *hdrhistogram.Histogram // of the second that runs
	good, bad                   int64                   // likewise
	last                        time.Duration           // when the last good one was answered
}

type opTally struct {
	count   [classes]int64
	latency *hdrhistogram.Histogram
}

// maxTexts bounds the different error texts that are kept.
const maxTexts = 50

func newTally(ops int) *tally {
	t := &tally{texts: map[string]int64{}, ops: make([]opTally, ops), latency: newHist(3), wait: newHist(3), service: newHist(3), lag: newHist(3), window: newHist(2)}
	for i := range t.ops {
		t.ops[i].latency = newHist(3)
	}
	return t
}

// moment holds the three instants of an operation, relative to the start.
type moment struct {
	due, sent, done time.Duration
	free            bool // a connection was free when it became due
	warm            bool
}

// add books operations that went in one round trip.
func (t *tally) add(out []Outcome, at func(i int) moment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, o := range out {
		t.one(o, at(i))
	}
}

func (t *tally) one(o Outcome, m moment) {
	latency := m.done - m.due
	record(t.window, latency)
	if o.Class == Good {
		t.good++
	} else {
		t.bad++
	}
	if m.warm {
		t.warm++
		return
	}
	t.count[o.Class]++
	op := &t.ops[o.Op]
	op.count[o.Class]++
	if o.Class == Good {
		t.last = max(t.last, m.done)
	}
	if o.Text != "" {
		t.note(o.Text)
	}
	if m.free {
		record(t.lag, m.sent-m.due)
	}
	if o.Class.ours() {
		return // it says nothing of how fast the target is
	}
	record(t.latency, latency)
	record(op.latency, latency)
	record(t.wait, m.sent-m.due)
	if o.Class != Unserved {
		record(t.service, m.done-m.sent)
	}
}

func (t *tally) note(text string) {
	if _, ok := t.texts[text]; !ok && len(t.texts) >= maxTexts {
		text = "other"
	}
	t.texts[text]++
}

// ours tells whether a class says nothing of what the target can carry.
func (c Class) ours() bool {
	return c == Throttled || c == Unauthorised || c == Malformed || c == Observer
}
