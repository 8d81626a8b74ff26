package experiments

import (
	"context"
	"sync"

	"github.com/eevans-d/simulacro/drills"
)

// once lets an act happen at most once per key in this process, whatever came of it. The zero value is ready.
type once struct {
	mu   sync.Mutex
	acts map[string]*act
}

type act struct {
	done   chan struct{}
	effect drills.Effect
	err    error
}

// do runs f, or waits for the first call with this key and returns what that one returned.
func (o *once) do(ctx context.Context, key string, f func() (drills.Effect, error)) (drills.Effect, error) {
	if err := ctx.Err(); err != nil {
		return drills.Effect{}, context.Cause(ctx)
	}
	o.mu.Lock()
	a, seen := o.acts[key]
	if !seen {
		if o.acts == nil {
			o.acts = map[string]*act{}
		}
		a = &act{done: make(chan struct{})}
		o.acts[key] = a
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
