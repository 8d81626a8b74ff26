package main

import (
	"strings"
	"testing"

	"github.com/eevans-d/simulacro/drills"
)

// TestMonitoringDrills: what watches is taken away, alone or while something breaks. The verdict stands on our own probes, and
// the record says who was blind, and who was told late or not at all.
func TestMonitoringDrills(t *testing.T) {
	e2e(t, true)
	for _, c := range []struct{ drill, finding string }{
		{"exporter-kill", ""},
		{"scrape-gap", ""},
		{"prometheus-down", "monitoring-blind"},
		{"alertmanager-down", "told-late:RedisDown"},
		{"notifications-refused", "told-late:RedisDown"},
		{"sink-down", "told-late:RedisDown"},
		{"slow-database", ""},
	} {
		t.Run(c.drill, func(t *testing.T) {
			whole(t)
			rec, code := runDrill(t, t.TempDir(), refSystem, c.drill)
			if rec.Outcome != drills.Pass || code != drills.ExitPass || rec.Dirty {
				t.Errorf("%s (%s), exit %d, dirty %v: %s", rec.Outcome, rec.Cause, code, rec.Dirty, rec.Sentence)
			}
			found := c.finding == ""
			for _, f := range rec.Findings {
				found = found || strings.HasPrefix(f.ID, c.finding)
			}
			if !found {
				t.Errorf("no finding %s in %+v", c.finding, rec.Findings)
			}
			nothingLeft(t)
		})
	}
}
