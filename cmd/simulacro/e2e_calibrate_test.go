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

// TestCalibrateNullsAndCost: drills without a fault show none, the prober's cost is the kernel's account of another process, both
// are kept beside what was there, with their goals, and reports state them, a line each.
func TestCalibrateNullsAndCost(t *testing.T) {
	e2e(t, true)
	runs := t.TempDir()
	sh(t, os.Getenv("SIMULACRO_BINARY"), "--runs", runs, "--json", "calibrate", "nulls", "--drills", "3", "--length", "6s", "--settle", "2s", "--recovery", "1s", "--rates", "20", "--errors", "0,1")
	sh(t, os.Getenv("SIMULACRO_BINARY"), "--runs", runs, "--json", "calibrate", "cost", "--length", "2s", "--rates", "20", "--kinds", "tcp")
	out := sh(t, os.Getenv("SIMULACRO_BINARY"), "--runs", runs, "--json", "calibrate", "show")
	var c calibrate.Calibration
	if err := json.Unmarshal([]byte(out), &c); err != nil || c.Nulls == nil || len(c.Nulls.Results) != 2 || c.Cost == nil || len(c.Goals) != 3 {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, r := range c.Nulls.Results {
		if r.Drills < 3 || r.Alarms > 0 || r.Probes == 0 {
			t.Errorf("%+v", r)
		}
	}
	if r := c.Cost.Results[0]; r.User+r.System <= 0 || r.Answered == 0 || r.Core() <= 0 {
		t.Errorf("%+v", r)
	}
	said := strings.Split((&app{runs: runs}).calibration(), "\n")
	if len(said) != 3 || !strings.Contains(said[0], "false alarms in drills of 6s") || !strings.Contains(said[1], "10 of kind tcp at 20/s") || !strings.Contains(said[2], "goals") {
		t.Errorf("reports would say %q", said)
	}
	text := sh(t, os.Getenv("SIMULACRO_BINARY"), "--runs", runs, "calibrate", "show")
	for _, want := range []string{"no false alarm in ≥ 1000 drills", "not shown: drills of 6s", "under 10% of a core"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
