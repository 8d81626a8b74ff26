package drills_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/eevans-d/simulacro/drills"
)

// A drill of the API that takes the primary of Redis: whose role moves and who must be redundant again is Redis, although it is
// the API that is judged.
func TestFaultOnAnotherComponent(t *testing.T) {
	view := func(component string, primary string, replicas float64) drills.RoleView {
		v := drills.RoleView{Component: component, Facts: map[string]drills.Fact{"running": {Number: 2}}}
		if primary != "" {
			v.Primaries, v.Facts = []string{primary}, map[string]drills.Fact{"running": {Number: 3}, "replicas": {Number: replicas}}
		}
		return v
	}
	tell := func(s *story, sec float64, v drills.RoleView) {
		v.At = t0p(sec)
		s.add(sec, drills.Event{Kind: drills.EvRole, Role: &v})
	}
	for name, c := range map[string]struct {
		moved          bool
		rejoins        float64 // 0: never
		role, rejoined drills.Verdict
	}{
		"moves and rejoins":      {true, 65, drills.Met, drills.Met},
		"rejoins too late":       {true, 95, drills.Met, drills.NotMet},
		"never redundant again":  {true, 0, drills.Met, drills.NotMet},
		"the primary stays away": {false, 65, drills.NotMet, drills.Met},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			s.system.Components["api"] = drills.Component{Name: "api", Kind: "http", RecoveredMeans: []string{"redis-write"}}
			s.drill.Component = "api"
			s.drill.Expect = drills.Expect{
				RoleMoved: &drills.RoleMoved{Component: "redis", Role: "primary", Within: 15 * second}, Rejoin: &drills.Within{Within: 20 * second},
			}
			s.probe([2]float64{0.5, 3})
			tell(s, -10, view("api", "", 0))
			tell(s, -10, view("redis", "one", 2))
			after := "one"
			if c.moved {
				after = "two"
			}
			tell(s, 2, view("redis", after, 1))
			tell(s, 64, view("redis", after, 1)) // still: what rejoins later did not before
			tell(s, 90, view("redis", after, map[bool]float64{true: 2, false: 1}[c.rejoins == 65]))
			if c.rejoins > 0 {
				tell(s, c.rejoins, view("redis", after, 2))
			}
			r := s.fold()
			for id, want := range map[string]drills.Verdict{"role-moved": c.role, "rejoin": c.rejoined} {
				i := slices.IndexFunc(r.Expectations, func(j drills.Judged) bool { return j.ID == id })
				if i < 0 || r.Expectations[i].Verdict != want {
					t.Errorf("%s: %+v, want %s", id, r.Expectations, want)
				}
			}
			if c.moved && (r.Times.T4 == nil || !strings.Contains(r.Times.T4.Source, "redis")) {
				t.Errorf("T4 %+v", r.Times.T4)
			}
			if (r.Times.T8 != nil) != (c.rejoins > 0) || r.Times.T8 != nil && r.Times.T8.To.Before(t0p(c.rejoins)) {
				t.Errorf("T8 %+v", r.Times.T8)
			}
		})
	}
}
