package drills

import (
	"context"
	"sync"
)

// Once lets an act happen at most once per key in this process, whatever came of it: an actuator's do, per op id. An empty key
// is not remembered. The zero value is ready; safe for concurrent use.
type Once struct {
	mu   sync.Mutex
	acts map[string]*deed
}

// deed is one remembered act; done is closed when it has returned.
type deed struct {
	done   chan struct{}
	effect Effect
	err    error
}

// Do runs f, or waits for the first call with this key and returns what that one returned.
func (o *Once) Do(ctx context.Context, key string, f func() (Effect, error)) (Effect, error) {
	if ctx.Err() != nil {
		return Effect{}, context.Cause(ctx)
	}
	if key == "" {
		return f()
	}
	o.mu.Lock()
	a, seen := o.acts[key]
	if !seen {
		if o.acts == nil {
			o.acts = map[string]*deed{}
		}
		a = &deed{done: make(chan struct{})}
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
		return Effect{}, context.Cause(ctx)
	}
}
