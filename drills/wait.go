package drills

import (
	"context"
	"time"
)

// Wait lets d pass and tells whether ctx is still alive: false means that it ended first.
func Wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
