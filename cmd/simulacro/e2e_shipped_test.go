package main

import (
	"testing"

	"github.com/eevans-d/simulacro/drills"
)

// TestShippedDrills: the drills that `make drill` leaves out, and the generic ones on a component of the reference system, pass
// on the sound system as they are shipped.
func TestShippedDrills(t *testing.T) {
	e2e(t, true)
	for _, args := range [][]string{
		{"api-kill"},
		{"postgis-switchover"},
		{"postgis-primary-partition"},
		{"member-pause", "--component", "proxy"},
		{"member-kill", "--component", "proxy"},
	} {
		t.Run(args[0], func(t *testing.T) {
			whole(t)
			rec, code := runDrill(t, t.TempDir(), refSystem, args...)
			if rec.Outcome != drills.Pass || code != drills.ExitPass || rec.Dirty {
				t.Errorf("%s (%s), exit %d, dirty %v: %s", rec.Outcome, rec.Cause, code, rec.Dirty, rec.Sentence)
			}
			nothingLeft(t)
		})
	}
}
