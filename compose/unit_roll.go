package compose

import (
	"context"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/eevans-d/simulacro/drills"
)

// healthLook is how often a member that should become healthy is looked at, and healthSettle how long one without a health
// check must have run.
const (
	healthLook   = 200 * time.Millisecond
	healthSettle = time.Second
)

// roll stops a member in an orderly way, starts it and waits until it is healthy, so that the next one comes after it.
func (m *more) roll(ctx context.Context, id string, a UnitArgs) error {
	if err := m.e.api.ContainerStop(ctx, id, graceOf(a)); err != nil {
		return err
	}
	if err := m.e.api.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return fmt.Errorf("start it again: %w", err)
	}
	return m.healthy(ctx, id, a.Within.D())
}

// healthy waits until a container runs and its health check, if it has one, agrees.
func (m *more) healthy(ctx context.Context, id string, within time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("it is not healthy %s after its start", within))
	defer cancel()
	for {
		var last string
		c, err := m.e.api.ContainerInspect(ctx, id)
		switch {
		case err != nil:
			last = err.Error()
		case c.State == nil:
			last = "no state"
		default:
			last = c.State.Status
			if c.State.Health != nil {
				last += ", " + c.State.Health.Status
			}
			ran := time.Since(parseTime(c.State.StartedAt))
			if stateOf(c).up() && healthOK(c.State.Health) && (c.State.Health != nil || ran >= healthSettle) {
				return nil
			}
		}
		if !drills.Wait(ctx, healthLook) {
			return drills.Errorf(drills.Blocked, "the roll ends here: nobody else is touched", "%v; it is %s", context.Cause(ctx), last)
		}
	}
}
