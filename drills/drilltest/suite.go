package drilltest

import (
	"context"
	"testing"

	"github.com/eevans-d/simulacro/drills"
)

// ActuatorCase is one do with its undo on a target that is in its normal state.
type ActuatorCase struct {
	Name     string
	Change   drills.Change
	Actuator drills.Actuator
}

// Actuator is the conformance suite of the Actuator seam: every implementation, fakes included, must pass it.
func Actuator(t *testing.T, c ActuatorCase) {
	ctx := t.Context()
	present := func(want bool) {
		t.Helper()
		if got, err := c.Actuator.Present(ctx, c.Change.Do); err != nil || got != want {
			t.Fatalf("%s: present = %v, %v; want %v", c.Name, got, err, want)
		}
	}
	dead, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := c.Actuator.Apply(dead, c.Change.Do); err == nil {
		t.Fatalf("%s: a do on a dead context must fail", c.Name)
	}
	present(false)
	if _, err := c.Actuator.Apply(ctx, c.Change.Undo); err != nil {
		t.Fatalf("%s: an undo without its do must not fail: %v", c.Name, err)
	}
	effect, err := c.Actuator.Apply(ctx, c.Change.Do)
	if err != nil || !effect.Proven {
		t.Fatalf("%s: do: %+v, %v", c.Name, effect, err)
	}
	if effect.From.IsZero() || effect.To.Before(effect.From) {
		t.Fatalf("%s: the effect's interval is [%v, %v]", c.Name, effect.From, effect.To)
	}
	present(true)
	if _, err := c.Actuator.Apply(dead, c.Change.Undo); err == nil {
		t.Fatalf("%s: an undo on a dead context must fail", c.Name)
	}
	present(true)
	for range 2 { // twice: an undo is idempotent
		if _, err := c.Actuator.Apply(ctx, c.Change.Undo); err != nil {
			t.Fatalf("%s: undo: %v", c.Name, err)
		}
		present(false)
	}
}
