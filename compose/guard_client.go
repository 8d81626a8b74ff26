package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// How long the guard may take to come up, how often the client looks after itself, and after how many leases without
// a beat the guard counts as dead.
const (
	guardReady  = 30 * time.Second
	guardLook   = 250 * time.Millisecond
	beatsMissed = 3
)

// GuardClient is the orchestrator's end of its guard; it implements drills.Guard. Safe for concurrent use.
type GuardClient struct {
	e     *Engine
	s     *stream
	id    string
	run   RunLabels
	prior *GuardReport

	asking sync.Mutex // one question at a time
	acks   chan idData
	freed  chan struct{} // closed when the guard has answered the release

	mu       sync.Mutex
	lastBeat time.Time
	why      error // why it was lost

	lost     chan struct{}
	lostOnce sync.Once
	quit     chan struct{}
	quitOnce sync.Once
	ends     sync.WaitGroup
}

// Report is what the previous guard of this project left behind, nil when there was none to collect.
func (g *GuardClient) Report() *GuardReport { return g.prior }

// Lost is closed when the guard is gone or our renewals did not reach it for longer than its lease.
func (g *GuardClient) Lost() <-chan struct{} { return g.lost }

// Err says why the guard was lost; nil while it is not.
func (g *GuardClient) Err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.why
}

// Intend returns once the guard holds the undo of the change.
func (g *GuardClient) Intend(ctx context.Context, c drills.Change) error {
	return g.ask(ctx, frameIntend, c.ID, intendData{Change: c})
}

// Done returns once the guard has forgotten the change.
func (g *GuardClient) Done(ctx context.Context, changeID string) error {
	return g.ask(ctx, frameDone, changeID, idData{ID: changeID})
}

// ask sends a frame and waits for its acknowledgement.
func (g *GuardClient) ask(ctx context.Context, what, id string, data any) error {
	g.asking.Lock()
	defer g.asking.Unlock()
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := g.Err(); err != nil {
		return g.lostError(err)
	}
	b, err := json.Marshal(data)
	if err != nil {
		return err
	}
	if err := g.s.Send(drills.Frame{Type: what, Data: b}); err != nil {
		return g.lostError(err)
	}
	for {
		select {
		case a := <-g.acks:
			if a.ID == id && a.What == what {
				return nil
			}
		case <-g.lost:
			return g.lostError(g.Err())
		case <-ctx.Done():
			return fmt.Errorf("guard has not acknowledged %s %s: %w", what, id, context.Cause(ctx))
		}
	}
}

func (g *GuardClient) lostError(err error) error {
	return drills.Wrap(drills.Internal, err, "the guard is lost", "the run stops and restores itself")
}

// Release tells the guard that nothing is left for it to do, and removes it. The changes that it still holds are then
// the caller's business alone. When the guard is already lost, that is the error.
func (g *GuardClient) Release(ctx context.Context) error {
	err := g.release(ctx)
	g.end()
	if cerr := g.s.Close(ctx); err == nil {
		err = cerr
	}
	g.ends.Wait()
	if err != nil {
		return err // the container stays readable for Collect
	}
	return g.e.removeContainer(ctx, g.id)
}

func (g *GuardClient) release(ctx context.Context) error {
	g.asking.Lock()
	defer g.asking.Unlock()
	if err := g.Err(); err != nil {
		return g.lostError(err)
	}
	if err := g.s.Send(drills.Frame{Type: frameRelease}); err != nil {
		return g.lostError(err)
	}
	select {
	case <-g.freed:
		return nil
	case <-g.lost:
		return g.lostError(g.Err())
	case <-ctx.Done():
		return fmt.Errorf("guard has not answered its release: %w", context.Cause(ctx))
	}
}

// Abandon hangs up without a release: the guard undoes what it holds. It waits until the guard has ended, as far as ctx
// lets it, and leaves its report for Collect.
func (g *GuardClient) Abandon(ctx context.Context) error {
	g.end()
	err := g.s.Close(ctx)
	g.ends.Wait()
	return err
}

// end stops looking after the guard.
func (g *GuardClient) end() { g.quitOnce.Do(func() { close(g.quit) }) }

// lose closes Lost, once, unless we are ending ourselves.
func (g *GuardClient) lose(err error) {
	select {
	case <-g.quit:
		return
	default:
	}
	g.lostOnce.Do(func() {
		g.mu.Lock()
		g.why = err
		g.mu.Unlock()
		close(g.lost)
	})
}

// listen takes the guard's frames until its stream ends.
func (g *GuardClient) listen() {
	defer g.ends.Done()
	for {
		f, err := g.s.Recv()
		if err != nil {
			g.lose(fmt.Errorf("the guard's stream ended: %w", err))
			return
		}
		g.hear(f)
	}
}

func (g *GuardClient) hear(f drills.Frame) {
	switch f.Type {
	case frameAck:
		var a idData
		if json.Unmarshal(f.Data, &a) == nil {
			select {
			case g.acks <- a:
			default: // nobody waits for it any more
			}
		}
	case frameReleased:
		close(g.freed)
	case frameActing:
		g.lose(errors.New("the guard has begun to undo"))
	case frameError:
		g.lose(fmt.Errorf("the guard says: %s", f.Data))
	}
	g.mu.Lock()
	g.lastBeat = time.Now()
	g.mu.Unlock()
}

// look notices a lease that must have run out: renewals that could not be written, a process (ours) that stood still, or
// a guard that stands still.
func (g *GuardClient) look() {
	defer g.ends.Done()
	t := time.NewTicker(guardLook)
	defer t.Stop()
	last := time.Now()
	for {
		select {
		case <-g.quit:
			return
		case <-g.lost:
			return
		case <-t.C:
		}
		now := time.Now()
		g.mu.Lock()
		beat := g.lastBeat
		g.mu.Unlock()
		switch {
		case now.Sub(last) > GuardLease:
			g.lose(fmt.Errorf("this process stood still for %v", now.Sub(last).Round(time.Millisecond)))
		case now.Sub(g.s.lastSent()) > GuardLease:
			g.lose(fmt.Errorf("the lease could not be renewed for %v", GuardLease))
		case now.Sub(beat) > beatsMissed*GuardLease:
			g.lose(fmt.Errorf("no sign of life from the guard for %v", beatsMissed*GuardLease))
		}
		last = now
	}
}
