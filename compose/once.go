package compose

import (
	"context"
	"sync"

	"github.com/eevans-d/simulacro/drills"
)

// onceBy lets an act with an id happen at most once in this process, whatever it returned. Acts without an id are not
// remembered.
type onceBy struct {
	mu   sync.Mutex
	acts map[string]*act
}

// act is one remembered act; done is closed when it has returned.
type act struct {
	done   chan struct{}
	effect drills.Effect
	err    error
}

func newOnceBy() *onceBy { return &onceBy{acts: map[string]*act{}} }

// do runs f, or waits for the first call with this id and returns what that one returned.
func (o *onceBy) do(ctx context.Context, id string, f func() (drills.Effect, error)) (drills.Effect, error) {
	if id == "" {
		return f()
	}
	o.mu.Lock()
	a, seen := o.acts[id]
	if !seen {
		a = &act{done: make(chan struct{})}
		o.acts[id] = a
	}
	o.mu.Unlock()
	if !seen {
		defer close(a.done)
		a.effect, a.err = f()
		return a.effect, a.err
	}
	select {
	case <-a.done:
		return a.effect, a.err
	case <-ctx.Done():
		return drills.Effect{}, context.Cause(ctx)
	}
}
