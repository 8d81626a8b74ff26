package main

import (
	"strings"
	"testing"

	"github.com/eevans-d/simulacro/drills"
)

// TestWebSocketClientDrills: the drills of clients that misbehave pass on the sound system, and each defect is found by the
// expectation that it breaks, in words that name it.
func TestWebSocketClientDrills(t *testing.T) {
	e2e(t, true)
	for _, v := range []struct {
		drill, defect string
		broken        string // the expectation that is not met; empty: pass
		why           string
	}{
		{"ws-slow-consumers", "", "", ""},
		{"ws-slow-consumers", "slow-consumer-blocks", "load:load", "p95 of delivery was"},
		{"ws-half-open", "", "", ""},
		{"ws-half-open", "half-open-kept", "reaped:gone", "the target still held 200 of 200 half-open sockets when they were let go"},
		{"ws-token-expiry", "", "", ""},
		{"ws-token-expiry", "sockets-outlive-token", "reaped:expired", "the target still held 50 of 50 sockets with an expired token when they were let go"},
	} {
		t.Run(strings.TrimSpace(v.drill+" "+v.defect), func(t *testing.T) {
			whole(t)
			if v.defect != "" {
				withDefects(t, v.defect)
			}
			rec, code := runDrill(t, t.TempDir(), refSystem, v.drill)
			nothingLeft(t)
			if v.broken == "" {
				if rec.Outcome != drills.Pass || code != drills.ExitPass || rec.Dirty {
					t.Errorf("%s (%s), exit %d, dirty %v: %s", rec.Outcome, rec.Cause, code, rec.Dirty, rec.Sentence)
				}
				return
			}
			failedBy(t, rec, code, v.broken, v.why)
		})
	}
}
