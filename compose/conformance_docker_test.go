package compose

import (
	"testing"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/drilltest"
)

func TestUnitsConform(t *testing.T) {
	for _, verbs := range [][2]string{{VerbPause, VerbUnpause}, {VerbKill, VerbStart}, {VerbStop, VerbStart}, {VerbCrash, VerbStart}} {
		t.Run(verbs[0], func(t *testing.T) {
			l := newLab(t)
			id := l.member("db", 1, []string{"sleep"})
			c := l.change(verbs[0], verbs[1], id)
			drilltest.Actuator(t, drilltest.ActuatorCase{Name: verbs[0], Change: c, Actuator: l.e.RunUnits(RunLabels{Run: "r1"})})
		})
	}
}

// The client is what the engine calls its guard.
var _ drills.Guard = (*GuardClient)(nil)
