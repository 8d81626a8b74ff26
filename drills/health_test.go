package drills_test

import (
	"strings"
	"testing"

	"github.com/eevans-d/simulacro/drills"
)

// TestAShallowHealthCheckIsAFinding: the fault is at 20 s. A health check that says that it looks at redis and stays good while
// redis is out for long enough is told of, and nothing else is.
func TestAShallowHealthCheckIsAFinding(t *testing.T) {
	out := func(probe, kind string, from, to float64) drills.ProbeMeasured {
		p := drills.ProbeMeasured{Name: probe, Kind: kind, From: at(0), To: at(60), Count: drills.Classes{Good: 100}}
		if to > from {
			p.Outages = []drills.Outage{{Kind: drills.Down, Start: between(from, from), End: &drills.Interval{From: at(to), To: at(to)}}}
		}
		return p
	}
	late := out("ready", "http", 0, 0)
	late.From = at(25)
	for _, c := range []struct {
		name   string
		health drills.ProbeMeasured
		store  drills.ProbeMeasured
		want   bool
	}{
		{"it stays good", out("ready", "http", 0, 0), out("store", "redis", 20, 40), true},
		{"it goes bad in time", out("ready", "http", 24, 41), out("store", "redis", 20, 40), false},
		{"it was bad another time", out("ready", "http", 50, 55), out("store", "redis", 20, 40), true},
		{"nothing was out", out("ready", "http", 0, 0), out("store", "redis", 0, 0), false},
		{"not for long enough", out("ready", "http", 0, 0), out("store", "redis", 20, 29), false},
		{"before the fault", out("ready", "http", 0, 0), out("store", "redis", 2, 18), false},
		{"what was out passes through others", out("ready", "http", 0, 0), out("store", "http", 20, 40), false},
		{"it was not watched from the beginning", late, out("store", "redis", 20, 40), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			events := history(drills.Expect{}, drills.Event{At: at(58), Kind: drills.EvMeasured, Probe: &c.health}, drills.Event{At: at(58), Kind: drills.EvMeasured, Probe: &c.store})
			sys := events[0].Opened.System
			sys.Probes["ready"], sys.Probes["store"] = drills.ProbeSpec{Kind: "http"}, drills.ProbeSpec{Kind: c.store.Kind}
			sys.Components = map[string]drills.Component{
				"redis": {Name: "redis", Kind: "redis", RecoveredMeans: []string{"store"}},
				"api":   {Name: "api", Kind: "http", Health: &drills.HealthClaim{Probe: "ready", Of: []string{"redis"}}},
			}
			found := false
			for _, f := range drills.Fold(events).Findings {
				found = found || f.ID == "shallow-health:api:redis" && strings.Contains(f.Title, "ready stayed good while redis was out")
			}
			if found != c.want {
				t.Errorf("found %v, want %v", found, c.want)
			}
		})
	}
}
