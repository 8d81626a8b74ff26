package main

import (
	"slices"
	"testing"

	"github.com/eevans-d/simulacro/drills"
)

// TestLoadDrills: what Tablas 7 and 8 ask the reference system to carry, it carries.
func TestLoadDrills(t *testing.T) {
	e2e(t, true)
	for _, name := range []string{
		"api-load", "api-load-clients", "api-load-redis-kill", "redis-load", "postgis-load", "proxy-load", "user-mix-1000", "user-mix-1500", "user-mix-2000",
		"ws-saturation-1k", "ws-saturation-10k", "ws-saturation-proxy", "ws-reconnect-storm",
	} {
		t.Run(name, func(t *testing.T) { loadPasses(t, name) })
	}
}

// TestManyWebSockets: more connections than two instances may open files for. More instances are started for them, and
// stopped afterwards.
func TestManyWebSockets(t *testing.T) {
	e2e(t, true)
	t.Cleanup(func() { sh(t, refStack, "api", "2") })
	for _, c := range []struct{ instances, drill string }{{"3", "ws-saturation-20k"}, {"5", "ws-saturation-50k"}} {
		t.Run(c.drill, func(t *testing.T) {
			sh(t, refStack, "api", c.instances)
			loadPasses(t, c.drill)
		})
	}
}

func loadPasses(t *testing.T, name string) {
	t.Helper()
	whole(t)
	rec, code := runDrill(t, t.TempDir(), refSystem, name)
	if rec.Outcome != drills.Pass || code != drills.ExitPass || rec.Dirty {
		t.Errorf("%s (%s), exit %d, dirty %v: %s", rec.Outcome, rec.Cause, code, rec.Dirty, rec.Sentence)
	}
	nothingLeft(t)
}

// TestRateLimitUnderLoad: with the real system's hundred requests a minute for each client, one client cannot make the load,
// and many clients together can: the limit is kept for each of them apart. The probes are limited too, so that neither run
// as a whole can pass.
func TestRateLimitUnderLoad(t *testing.T) {
	e2e(t, true)
	whole(t)
	throttle(t)
	for name, want := range map[string]drills.Verdict{"api-load": drills.NotMet, "api-load-clients": drills.Met} {
		rec, code := runDrill(t, t.TempDir(), refSystem, name)
		i := slices.IndexFunc(rec.Expectations, func(j drills.Judged) bool { return j.ID == "load:load" })
		if i < 0 || rec.Expectations[i].Verdict != want {
			t.Errorf("%s: %s (%s), the load is %+v, want %s", name, rec.Outcome, rec.Sentence, rec.Expectations, want)
		}
		if code == drills.ExitPass {
			t.Errorf("%s passes with the defect", name)
		}
	}
	nothingLeft(t)
}
