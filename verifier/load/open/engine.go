package open

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Flow is one stream of operations with its own rate and connections.
type Flow struct {
	Name        string
	Rate        float64 // operations a second
	Connections int     // kept; one worker each
	Batch       int     // operations in one round trip, at most; of those that are due already
	Timeout     time.Duration
	Ops         []string // names of the operations, for Outcome.Op; at least one
	Open        func(worker int) Client
}

const (
	// batch is how often what has become due is dispatched: finer than a user can see, coarse enough to cost little.
	batch = time.Millisecond
	// maxShards of the books, so that workers do not queue for one lock.
	maxShards = 4
)

// Engine runs flows from ramp to result.
type Engine struct {
	flows   []*running
	start   time.Time
	started chan struct{} // closed once start is set
}

// running is one flow.
type running struct {
	Flow
	schedule Schedule
	queue    *queue
	books    []*tally
	lag      *tally // the dispatcher's own lateness is in its lag
	began    time.Time
	held     atomic.Int64 // connections on which an operation was done well
	first    atomic.Int64 // when that was the case for the first time, nanoseconds since the start; zero: never
}

// NewEngine prepares flows; the rate of each grows over the ramp, and what is due in the ramp is not counted.
func NewEngine(flows []Flow, ramp time.Duration) *Engine {
	e := &Engine{started: make(chan struct{})}
	for _, f := range flows {
		r := &running{Flow: f, schedule: Schedule{Rate: f.Rate, Ramp: ramp}, queue: newQueue(), lag: newTally(len(f.Ops))}
		r.Batch = max(r.Batch, 1)
		for range min(max(f.Connections, 1), maxShards) {
			r.books = append(r.books, newTally(len(f.Ops)))
		}
		e.flows = append(e.flows, r)
	}
	return e
}

// Run dispatches until ctx ends, then waits for what is due at most for patience. What is then not served is booked as
// unserved, with the time that it has waited. It returns when every connection is closed.
func (e *Engine) Run(ctx context.Context, patience time.Duration) {
	ops, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	e.start = time.Now()
	for _, f := range e.flows {
		f.began = e.start
	}
	close(e.started)
	var all sync.WaitGroup
	for _, f := range e.flows {
		for w := range f.Connections {
			all.Go(func() { f.work(ops, f.Open(w), f.books[w%len(f.books)]) })
		}
		all.Go(func() { f.dispatch(ctx) })
	}
	<-ctx.Done()
	ended := make(chan struct{})
	go func() { defer close(ended); all.Wait() }()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ended:
		return
	case <-timer.C:
	}
	for _, f := range e.flows {
		f.giveUp()
	}
	cancel()
	<-ended
}

// Held is on how many connections an operation was done well so far, and when the first one was (zero: not yet).
func (e *Engine) Held() (connections int, first time.Time) {
	select {
	case <-e.started:
	default:
		return 0, first
	}
	for _, f := range e.flows {
		connections += int(f.held.Load())
		if d := time.Duration(f.first.Load()); d > 0 && (first.IsZero() || e.start.Add(d).Before(first)) {
			first = e.start.Add(d)
		}
	}
	return connections, first
}

// dispatch makes operations due on the absolute schedule, in batches of a millisecond, until ctx ends.
func (r *running) dispatch(ctx context.Context) {
	defer r.queue.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var done int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now := time.Since(r.began)
		due := r.schedule.By(now)
		if due > done {
			r.late(now - r.schedule.Due(done))
			r.queue.release(due)
			done = due
		}
		// the tick at or after the next due time: never more than a batch later, and no wake-up without work
		next := r.schedule.Due(done)
		tick := (next + batch - 1) / batch * batch
		timer.Reset(tick - time.Since(r.began))
	}
}

// late books how far the dispatcher is behind the oldest operation of a batch.
func (r *running) late(d time.Duration) {
	r.lag.mu.Lock()
	defer r.lag.mu.Unlock()
	record(r.lag.lag, d)
}

// work performs what is due on one kept connection until the queue is closed and empty.
func (r *running) work(ctx context.Context, client Client, book *tally) {
	defer client.Close()
	out := make([]Outcome, r.Batch)
	held := false
	for {
		first, n, free, ok := r.queue.take(int64(r.Batch))
		if !ok {
			return
		}
		sent := time.Since(r.began)
		clear(out)
		r.do(ctx, client, first, out[:n])
		done := time.Since(r.began)
		if !held && slices.ContainsFunc(out[:n], func(o Outcome) bool { return o.Class == Good }) {
			held = true
			r.held.Add(1)
			r.first.CompareAndSwap(0, int64(done))
		}
		book.add(out[:n], func(i int) moment {
			due := r.schedule.Due(first + int64(i))
			return moment{due: due, sent: sent, done: done, free: free && i == 0, warm: due < r.schedule.Ramp}
		})
	}
}

func (r *running) do(ctx context.Context, c Client, first int64, out []Outcome) {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	c.Do(ctx, first, out)
}

// giveUp books what is still queued as unserved.
func (r *running) giveUp() {
	first, n := r.queue.abandon()
	now := time.Since(r.began)
	for k := first; k < first+n; k++ {
		due := r.schedule.Due(k)
		r.books[0].add([]Outcome{{Class: Unserved}}, func(int) moment {
			return moment{due: due, sent: now, done: now, warm: due < r.schedule.Ramp}
		})
	}
}
