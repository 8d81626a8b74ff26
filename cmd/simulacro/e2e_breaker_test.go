package main

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eevans-d/simulacro/drills"
)

// TestBreakerDrills: the drills of Tabla 12 pass on sound breakers and name what is wrong with each broken one. The same
// drill with the breaker off is the comparison: what the dependency was spared, and how long callers waited.
func TestBreakerDrills(t *testing.T) {
	e2e(t, true)
	for _, v := range []struct {
		drill, defect string
		broken        string // the expectation that is not met; empty: pass
		why           string
	}{
		{"breaker-db", "", "", ""},
		{"breaker-db", "breaker-disabled", "breaker:api/db:opens", "it never opened"},
		{"breaker-db", "breaker-never-closes", "breaker:api/db:closes", "it was still open"},
		{"breaker-db", "breaker-no-half-open", "breaker:api/db:half-open", "while the dependency was still away"},
		{"breaker-redis", "", "", ""},
		{"breaker-redis", "breaker-disabled", "breaker:api/redis:opens", "it never opened"},
		{"breaker-client-errors", "", "", ""},
		{"breaker-client-errors", "breaker-counts-4xx", "breaker:api/db:stays", "it opened"},
	} {
		t.Run(strings.TrimSuffix(v.drill+" "+v.defect, " "), func(t *testing.T) {
			whole(t)
			if v.defect != "" {
				withDefects(t, v.defect)
			}
			rec, code := runDrill(t, t.TempDir(), refSystem, v.drill)
			spared, waited := breakerTotals(rec, v.drill)
			t.Logf("%d calls spared, %.1f s spent in calls", spared, waited)
			nothingLeft(t)
			if v.broken == "" {
				if rec.Outcome != drills.Pass || code != drills.ExitPass || rec.Dirty {
					t.Errorf("%s (%s), exit %d: %s", rec.Outcome, rec.Cause, code, rec.Sentence)
				}
				if spared < 200 && v.drill != "breaker-client-errors" { // where nothing opens, nothing is spared
					t.Errorf("only %d calls were spared", spared)
				}
				return
			}
			failedBy(t, rec, code, v.broken, v.why)
			if v.defect == "breaker-disabled" && spared != 0 {
				t.Errorf("%d calls were spared by a breaker that is off", spared)
			}
		})
	}
}

// breakerTotals sums what the metrics say of the drill's breaker from the fault on.
func breakerTotals(r drills.Record, drill string) (spared int, waited float64) {
	name := "api/" + strings.TrimPrefix(drill, "breaker-")
	for _, b := range r.Breakers {
		for i, s := range b.Spans {
			after := i+1 == len(b.Spans) || r.Times.T0 == nil || !b.Spans[i+1].Enter.To.Before(r.Times.T0.From)
			if b.Name == name && b.Source == drills.BreakerByMetrics && after {
				spared, waited = spared+s.Rejected, waited+s.Waited
			}
		}
	}
	return spared, waited
}

// failedBy checks that a run failed, and that the expectation was not met for the reason.
func failedBy(t *testing.T, rec drills.Record, code int, broken, why string) {
	t.Helper()
	if rec.Outcome != drills.Fail || code != drills.ExitFail {
		t.Errorf("%s (%s), exit %d: %s", rec.Outcome, rec.Cause, code, rec.Sentence)
	}
	i := indexJudged(rec, broken)
	if i < 0 || rec.Expectations[i].Verdict != drills.NotMet || !strings.Contains(rec.Expectations[i].Why, why) {
		t.Errorf("%s was judged %+v, want not met: %s", broken, rec.Expectations, why)
	}
}

func indexJudged(r drills.Record, id string) int {
	for i, j := range r.Expectations {
		if j.ID == id {
			return i
		}
	}
	return -1
}

// withDefects switches defects on and, at the end of the test, off again. It logs in before: a breaker that never closes
// would keep us out.
func withDefects(t *testing.T, names ...string) {
	t.Helper()
	for _, inst := range []string{"api-1", "api-2"} {
		base := "http://" + docker(t, "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", service(t, inst)) + ":8000"
		key := token(t, base)
		put := func(names ...string) {
			body, _ := json.Marshal(map[string]any{"defects": append([]string{}, names...)})
			call(t, http.MethodPut, base+"/_reference/defects", key, body)
		}
		t.Cleanup(func() { put() })
		put(names...)
	}
}

// TestBreakerRunCanBeVerified: verify measures the breakers and counts the windows again from the raw files, and sees a
// reading that was changed.
func TestBreakerRunCanBeVerified(t *testing.T) {
	e2e(t, true)
	whole(t)
	runs := t.TempDir()
	runDrill(t, runs, refSystem, "breaker-redis")
	dirs, err := filepath.Glob(filepath.Join(runs, "*breaker-redis*"))
	if err != nil || len(dirs) != 1 {
		t.Fatalf("%v %v", dirs, err)
	}
	var out strings.Builder
	e := &env{stdin: strings.NewReader(""), stdout: &out, stderr: &out, lookup: func(string) (string, bool) { return "", false }}
	if code := run(t.Context(), []string{"--runs", runs, "verify", filepath.Base(dirs[0])}, e); code != 0 {
		t.Errorf("exit %d\n%s", code, out.String())
	}
	for _, want := range []string{"measured again: breaker api/redis of api-1:8000", "measured again: breaker api/db of probe api-1-tasks", "windows counted again: api-1-fan-out"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("verify did not check %q:\n%s", want, out.String())
		}
	}
}
