package compose

import "context"

// RemoveRun ends and removes everything that carries a run's label but its guard, and returns the names. The error lists
// what stayed.
func (e *Engine) RemoveRun(ctx context.Context, run string) ([]string, error) {
	return e.removeRun(ctx, run)
}
