package experiments

import (
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// TestAPatroniThatOnlyAnswers: its REST says 200 and running while its loop stands still. The member is named.
func TestAPatroniThatOnlyAnswers(t *testing.T) {
	for _, c := range []struct {
		name     string
		dead     []string
		liveness map[string]int
		behind   map[string]time.Duration // of when the store was seen
		level    drills.Level
		says     []string
	}{
		{"all run", nil, map[string]int{"pg-1": 200, "pg-2": 200, "pg-3": 200}, nil, drills.LevelOK, []string{"3 members"}},
		{
			"the loop of a replica stands", nil,
			map[string]int{"pg-1": 503, "pg-2": 200, "pg-3": 200},
			map[string]time.Duration{"pg-1": 5 * time.Minute},
			drills.LevelProblem,
			[]string{"pg-1 answers, but its loop has not run", "5m"},
		},
		{"the loop of the leader stands", nil, map[string]int{"pg-1": 200, "pg-2": 503, "pg-3": 200}, nil, drills.LevelProblem, []string{"pg-2 answers, but its loop"}},
		{"an old version without liveness", nil, nil, map[string]time.Duration{"pg-3": 2 * time.Minute}, drills.LevelProblem, []string{"pg-3 answers, but others have seen"}},
		{
			"the store is gone for all of them", nil,
			map[string]int{"pg-1": 200, "pg-2": 200, "pg-3": 200},
			map[string]time.Duration{"pg-1": time.Minute, "pg-2": time.Minute, "pg-3": time.Minute},
			drills.LevelOK, nil,
		},
		{"one is dead", []string{"pg-1"}, map[string]int{"pg-2": 200, "pg-3": 200}, nil, drills.LevelProblem, []string{"pg-1's Patroni does not answer"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, town := pgTown(t, c.dead...)
			town.liveness, town.seen = c.liveness, map[string]int64{}
			for _, m := range []string{"pg-1", "pg-2", "pg-3"} {
				town.seen[m] = time.Now().Add(-c.behind[m]).Unix()
			}
			d := NewPatroni(w.dial, nil).Diagnose(t.Context(), pgComponent(), pgMembers())
			if d.Level != c.level {
				t.Fatalf("%s: %s", d.Level, d.Found)
			}
			for _, s := range c.says {
				if !strings.Contains(d.Found, s) {
					t.Errorf("%q is not in %q", s, d.Found)
				}
			}
			if bad := strings.Count(d.Found, "pg-"); c.level == drills.LevelProblem && bad != 1 {
				t.Errorf("it names %d members: %s", bad, d.Found)
			}
		})
	}
}
