package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/eevans-d/simulacro/verifier/calibrate"
)

// TestCalibrate: the real prober against outages of known length. None is missed or invented, the interval holds the truth, and
// later runs state the figures.
func TestCalibrate(t *testing.T) {
	e2e(t, false)
	runs := t.TempDir()
	out := sh(t, os.Getenv("SIMULACRO_BINARY"), "--runs", runs, "--json", "calibrate", "--outages", "10", "--parallel", "10", "--rates", "20", "--faults", "refuse,freeze", "--burst-faults", "refuse")
	var c calibrate.Calibration
	if err := json.Unmarshal([]byte(out), &c); err != nil || len(c.Results) != 3 { // refuse, freeze, and refuse with a burst after the first failure
		t.Fatalf("%v\n%s", err, out)
	}
	for _, r := range c.Results {
		t.Logf("%s: %+v", r.Fault, r)
		if r.Outages < 10 || r.Missed > 0 || r.Invented > 0 || r.Held < r.Outages-1 {
			t.Errorf("%s: %d outages, %d held, %d missed, %d invented", r.Fault, r.Outages, r.Held, r.Missed, r.Invented)
		}
	}
	if said := (&app{runs: runs}).calibration(); !strings.Contains(said, "refuse at 20/s error p99") {
		t.Errorf("reports would say %q", said)
	}
}
