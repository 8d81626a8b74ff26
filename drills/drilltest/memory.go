package drilltest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// Journal is an in-memory drills.Journal. Limit > 0 makes it fail from that many events on: the full disk.
type Journal struct {
	Limit  int
	mu     sync.Mutex
	events []drills.Event
}

// NewJournal starts from events that are there already.
func NewJournal(events ...drills.Event) *Journal { return &Journal{events: events} }

// Append keeps the event.
func (j *Journal) Append(e drills.Event) (drills.Event, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.Limit > 0 && len(j.events) >= j.Limit {
		return e, errors.New("no space left on device")
	}
	e.Seq = len(j.events) + 1
	j.events = append(j.events, e)
	return e, nil
}

// Events returns a copy.
func (j *Journal) Events() []drills.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]drills.Event(nil), j.events...)
}

// Guard is a drills.Guard that records what it holds.
type Guard struct {
	mu   sync.Mutex
	Held map[string]drills.Change
	Seen []string // ids, in the order of intent
	lost chan struct{}
	once sync.Once
}

// NewGuard makes a live guard.
func NewGuard() *Guard { return &Guard{Held: map[string]drills.Change{}, lost: make(chan struct{})} }

// Intend takes the undo.
func (g *Guard) Intend(ctx context.Context, c drills.Change) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.Held[c.ID] = c
	g.Seen = append(g.Seen, c.ID)
	return ctx.Err()
}

// Done drops it.
func (g *Guard) Done(_ context.Context, id string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.Held, id)
	return nil
}

// Lost is closed by Lose.
func (g *Guard) Lost() <-chan struct{} { return g.lost }

// Lose ends the guard.
func (g *Guard) Lose() { g.once.Do(func() { close(g.lost) }) }

// Probe is an Observer that watches the fake world's primary every 50 ms and measures exactly when it was gone.
type Probe struct {
	World  *World
	Name   string
	Err    string         // the prober "dies" with this text
	Count  drills.Classes // added to the counts: throttled answers and the like
	Stuck  bool           // never good again once bad: the subscriber that never resubscribes
	cancel context.CancelFunc
	done   chan struct{}
	mu     sync.Mutex
	from   time.Time
	last   time.Time
	outs   []drills.Outage
}

// The phase keeps the probe off the instants at which the fake world changes: ties have no order.
const (
	probeEvery = 50 * time.Millisecond
	probePhase = 7 * time.Millisecond
)

// Start begins to watch.
func (p *Probe) Start(ctx context.Context, emit func(drills.Event)) error {
	ctx, p.cancel = context.WithCancel(ctx)
	p.done = make(chan struct{})
	p.from = time.Now()
	go p.watch(ctx, emit)
	return nil
}

func (p *Probe) watch(ctx context.Context, emit func(drills.Event)) {
	defer close(p.done)
	good, lastGood, lastBad := true, time.Now(), time.Time{}
	time.Sleep(probePhase)
	timer := time.NewTicker(probeEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now := time.Now()
		ok := p.World.Primary() != "" && (good || !p.Stuck)
		p.mu.Lock()
		p.last = now
		switch {
		case good && !ok:
			p.outs = append(p.outs, drills.Outage{Kind: drills.Down, Start: drills.Interval{From: lastGood, To: now}})
		case !good && ok:
			p.outs[len(p.outs)-1].End = &drills.Interval{From: lastBad, To: now}
		}
		p.mu.Unlock()
		if ok != good {
			emit(drills.Event{Kind: drills.EvEdge, Edge: &drills.Edge{Probe: p.Name, Good: ok, Since: now}})
		}
		good = ok
		if ok {
			lastGood = now
		} else {
			lastBad = now
		}
	}
}

// Baseline is a clean one, plus Count.
func (p *Probe) Baseline(_ context.Context, w drills.Interval) ([]drills.Event, error) {
	c := p.Count
	c.Good += int(w.To.Sub(w.From) / probeEvery)
	return []drills.Event{{Kind: drills.EvBaseline, Baseline: &drills.Baseline{Probe: p.Name, Window: w, Count: c, Share: 1}}}, nil
}

// Finish stops watching and states what was seen.
func (p *Probe) Finish(context.Context, drills.Timing) ([]drills.Event, error) {
	p.cancel()
	<-p.done
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.Count
	c.Good += 1000
	return []drills.Event{{Kind: drills.EvMeasured, Probe: &drills.ProbeMeasured{
		Name: p.Name, Every: drills.Duration(probeEvery),
		From: p.from, To: p.last, Outages: p.outs, Count: c, Error: p.Err,
	}}}, nil
}
