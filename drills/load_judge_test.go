package drills

import (
	"strings"
	"testing"
	"time"
)

// A storm is judged by the last one to come back; one that never ends, or was never seen, does not pass.
func TestStormIsJudged(t *testing.T) {
	back := func(all time.Duration) LoadMeasured {
		return LoadMeasured{Step: "load", Wanted: 100, Connected: 100, Cut: 90, Reconnects: 90, Storms: []LoadStorm{{Level: 100, Lowest: 10, Back50: Duration(time.Second), Back95: Duration(time.Second), Back100: Duration(all)}}}
	}
	for name, c := range map[string]struct {
		m    LoadMeasured
		want Verdict
		why  string
	}{
		"in time":       {back(4 * time.Second), Met, ""},
		"too late":      {back(5 * time.Second), NotMet, "all in 5s"},
		"never":         {back(0), NotMet, "all in never"},
		"none was seen": {LoadMeasured{Step: "load", Wanted: 100, Connected: 100}, NotMeasured, "no storm"},
	} {
		f := folder{drill: &Drill{Expect: Expect{Load: LoadBounds{{Step: "load", Connected: 1, BackWithin: Duration(5 * time.Second), Reconnected: 1}}}}}
		f.rec.Load = []LoadMeasured{c.m}
		j := f.judgeLoad(time.Time{})[0]
		if j.Verdict != c.want || !strings.Contains(j.Why, c.why) {
			t.Errorf("%s: %s, %q", name, j.Verdict, j.Why)
		}
	}
	m := back(time.Second)
	m.Reconnects = 80
	if why := loadMisses(&LoadBound{Reconnected: 1}, m); !strings.Contains(why, "80 of 90") {
		t.Errorf("connections that we cut ourselves and that did not come back: %q", why)
	}
}
