package load

import (
	"context"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

// engine opens connections and holds them; it tells the book everything that happens to them.
type engine interface {
	name() string
	// hold opens the plan's connections along its ramp, keeps every one open (reconnecting) until ctx ends, and
	// returns when all are closed.
	hold(ctx context.Context, p plan, b *book) error
	// cut resets all open connections at once; they come back by their backoff.
	cut()
	// remark is something about how it ran, for the record; empty when there is nothing to say.
	remark() string
}

// tokens gives the shared bearer token; empty when the target wants none.
type tokens interface {
	get(context.Context) (string, error)
	refused(token string) // the target did not accept it
}

const (
	backoffFirst = 100 * time.Millisecond
	backoffMost  = 10 * time.Second
)

// backoff is how long to wait before attempt n (from 0) after a failure: exponential, with full jitter, so that
// connections that were dropped together do not come back together.
func backoff(n int) time.Duration {
	most := min(backoffFirst<<min(n, 10), backoffMost)
	return rand.N(most) + time.Millisecond
}

// leanGC is the collector's target in a process that holds raw connections: what they need has no pointers, so that a collection
// costs next to nothing, and garbage between two would be most of the memory.
const leanGC = 25

// lean is for the beginning of a process. A goroutine each is another matter: their stacks make collections dear.
func lean(a Args) {
	if _, raw := engineFor(a).(*loops); raw {
		debug.SetGCPercent(leanGC)
	}
}

// pause waits until t, or returns false when ctx ended first.
func pause(ctx context.Context, t time.Time) bool {
	d := time.Until(t)
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
