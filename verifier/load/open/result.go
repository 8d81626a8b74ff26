package open

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Counts is how many operations ended in each class, by its name; classes without any are left out.
type Counts map[string]int64

// Total of all classes.
func (c Counts) Total() int64 {
	var n int64
	for _, v := range c {
		n += v
	}
	return n
}

// Text is an error text and how often it was seen.
type Text struct {
	Text  string
	Count int64
}

// OpResult is one kind of operation within a flow.
type OpResult struct {
	Name    string
	Count   Counts
	Latency Times
}

// Result is what a flow did after its ramp.
type Result struct {
	Name        string
	Rate        float64 // wanted
	Connections int
	Batch       int
	Span        time.Duration // over which operations were due, or were still answered
	Due         int64         // that should have been performed
	Count       Counts
	Achieved    float64       // good operations a second of Span
	Latency     Times         // done - due
	Wait        Times         // sent - due
	Service     Times         // done - sent
	Lag         time.Duration // p99 of the generator's own lateness
	Backlog     int64         // most operations that waited for a connection at once
	Ops         []OpResult
	Texts       []Text
	Histogram   *hdrhistogram.Histogram // of Latency
}

// Results of every flow, after Run.
func (e *Engine) Results() []Result {
	var out []Result
	for _, f := range e.flows {
		out = append(out, f.result())
	}
	return out
}

func (r *running) result() Result {
	sum := newTally(len(r.Ops))
	for _, b := range r.books {
		sum.merge(b)
	}
	lag := newHist(3)
	lag.Merge(sum.lag)
	lag.Merge(r.lag.lag)
	_, most := r.queue.backlog()
	out := Result{
		Name: r.Name, Rate: r.Rate, Connections: r.Connections, Batch: r.Batch, Count: counts(sum.count), Latency: summary(sum.latency), Wait: summary(sum.wait),
		Service: summary(sum.service), Lag: at(lag, 99), Backlog: most, Histogram: sum.latency, Texts: texts(sum.texts),
	}
	out.Due = out.Count.Total()
	out.Span = max(time.Duration(float64(out.Due)/r.Rate*float64(time.Second)), sum.last-r.schedule.Ramp)
	if out.Span > 0 {
		out.Achieved = float64(sum.count[Good]) / out.Span.Seconds()
	}
	for i, name := range r.Ops {
		out.Ops = append(out.Ops, OpResult{Name: name, Count: counts(sum.ops[i].count), Latency: summary(sum.ops[i].latency)})
	}
	return out
}

func (t *tally) merge(b *tally) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c, n := range b.count {
		t.count[c] += n
	}
	t.last = max(t.last, b.last)
	for i := range b.ops {
		for c, n := range b.ops[i].count {
			t.ops[i].count[c] += n
		}
		t.ops[i].latency.Merge(b.ops[i].latency)
	}
	for text, n := range b.texts {
		t.texts[text] += n
	}
	t.latency.Merge(b.latency)
	t.wait.Merge(b.wait)
	t.service.Merge(b.service)
	t.lag.Merge(b.lag)
}

func counts(n [classes]int64) Counts {
	out := Counts{}
	for c, v := range n {
		if v > 0 {
			out[Class(c).String()] = v
		}
	}
	return out
}

func texts(m map[string]int64) []Text {
	var out []Text
	for _, text := range slices.Sorted(maps.Keys(m)) {
		out = append(out, Text{Text: text, Count: m[text]})
	}
	slices.SortStableFunc(out, func(a, b Text) int { return cmp.Compare(b.Count, a.Count) })
	return out
}

// Second is what happened since the last call: good and other operations, the p95 of all, and the backlog now.
func (e *Engine) Second() (good, other int64, p95 time.Duration, backlog int64) {
	sum := newHist(2)
	for _, f := range e.flows {
		for _, b := range f.books {
			b.mu.Lock()
			sum.Merge(b.window)
			b.window.Reset()
			good, other = good+b.good, other+b.bad
			b.good, b.bad = 0, 0
			b.mu.Unlock()
		}
		n, _ := f.queue.backlog()
		backlog += n
	}
	return good, other, at(sum, 95), backlog
}
