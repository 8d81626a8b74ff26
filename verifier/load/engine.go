package load

import (
	"context"
	"math/rand/v2"
	"time"
)

// engine opens connections and holds them; it tells the book everything that happens to them.
// Goroutines over gobwas/ws are one; a raw epoll loop can be another.
type engine interface {
	name() string
	// hold opens the plan's connections along its ramp, keeps every one open (reconnecting) until ctx ends, and
	// returns when all are closed. It calls book.tried once for each connection, after its first attempt.
	hold(ctx context.Context, p plan, b *book)
}

// plan is what an engine is to hold.
type plan struct {
	connections int
	targets     []string
	path        string
	topic       string // subscribed to after the handshake; empty: nothing to subscribe to
	ramp        time.Duration
	tokens      tokens
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
