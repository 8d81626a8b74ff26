package drills_test

import (
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// TestBystandersAreAskedLess: what a drill judges by is asked as often as the system file says, everything else seldom, and
// nothing more often than declared.
func TestBystandersAreAskedLess(t *testing.T) {
	every := func(ms int) drills.ProbeSpec {
		return drills.ProbeSpec{Every: drills.Duration(time.Duration(ms) * time.Millisecond)}
	}
	sys := &drills.System{
		Probes: map[string]drills.ProbeSpec{
			"recovers": every(50), "bounded": every(50), "stops": every(50), "works": every(50), "objective": every(50), "traffic": every(100),
			"bystander": every(50), "seldom": every(1000),
		},
		Components: map[string]drills.Component{
			"redis": {RecoveredMeans: []string{"recovers"}, SLOs: []drills.SLO{{Probe: "objective"}}},
			"api":   {RecoveredMeans: []string{"bystander"}, Breakers: map[string]drills.BreakerSpec{"db": {Traffic: &drills.BreakerTraffic{Probe: "traffic"}}}},
		},
	}
	d := &drills.Drill{
		Component: "redis", StopConditions: []drills.StopCondition{{Probe: &drills.ProbeStop{Name: "stops"}}},
		Expect: drills.Expect{
			During: []drills.During{{Probe: "bounded"}}, Contract: &drills.Contract{MustWork: []string{"works"}},
			Breakers: []drills.BreakerExpect{{Component: "api", Breaker: "db"}},
		},
	}
	got := d.ProbesFor(sys)
	for name, spec := range sys.Probes {
		want := spec.Every
		if name == "bystander" {
			want = drills.Bystander
		}
		if got[name].Every != want {
			t.Errorf("%s every %s, want %s", name, got[name].Every, want)
		}
	}
	if sys.Probes["bystander"].Every != every(50).Every {
		t.Error("the system's own probes were changed")
	}
}
