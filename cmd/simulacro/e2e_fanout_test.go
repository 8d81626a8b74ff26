package main

import (
	"strings"
	"testing"

	"github.com/eevans-d/simulacro/drills"
)

// TestFanOutTellsInstancesApart: when one instance crashes, those who listened there miss what was published meanwhile, and
// those at the other one nothing.
func TestFanOutTellsInstancesApart(t *testing.T) {
	e2e(t, true)
	whole(t)
	rec, _ := runDrill(t, t.TempDir(), refSystem, e2eDrill("e2e-ws-fan-out"))
	if len(rec.Canaries) != 1 || rec.Canaries[0].Error != "" || rec.Outcome != drills.Pass {
		t.Fatalf("%s: %+v", rec.Outcome, rec.Canaries)
	}
	c := rec.Canaries[0]
	t.Logf("%d acknowledged, %d lost; %+v", c.Acked, c.Lost, c.Clients)
	missed := 0
	for _, x := range c.Clients {
		switch {
		case strings.HasPrefix(x.Client, "api-2") && (x.Lost != 0 || x.Reconnects != 0):
			t.Errorf("nothing happened to %s: %+v", x.Client, x)
		case strings.HasPrefix(x.Client, "api-1") && x.Reconnects != 1:
			t.Errorf("%s was cut once: %+v", x.Client, x)
		case strings.HasPrefix(x.Client, "api-1"):
			missed = max(missed, x.Lost)
		}
	}
	if missed == 0 || c.Lost < missed || c.Duplicated+c.Reordered+c.Corrupt+c.Phantom != 0 {
		t.Errorf("%+v", c)
	}
}
