package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// TestServiceThatCrashes: a slot of the calendar is run as scheduled; a service that is killed in the middle of it leaves no
// fault behind, and its next start restores, records the run as aborted (cause crash) and goes on serving.
func TestServiceThatCrashes(t *testing.T) {
	e2e(t, true)
	whole(t)
	runs := t.TempDir()
	calendar := minutely(t, "e2e-redis-pause")
	serve := func() *victim { return startTool(t, runs, "--runs", runs, "serve", "--calendar", calendar) }
	first := serve()
	first.until(t, "took effect")
	at := time.Now()
	killGroup(first)
	gone(t, at, 0)

	second := serve()
	second.until(t, "serving ")
	_ = second.cmd.Process.Signal(os.Interrupt)
	<-second.ended
	if code := second.cmd.ProcessState.ExitCode(); code != drills.ExitPass && code != drills.ExitAborted {
		t.Errorf("the interrupted service ended with %d\n%s", code, second.said())
	}
	rec := records(t, runs)[0]
	if rec.Outcome != drills.Aborted || rec.Cause != string(drills.StopCrash) || rec.Dirty || rec.Opened.Purpose != drills.Scheduled || rec.Opened.Slot == "" {
		t.Errorf("on record: %s (%s), dirty %v, purpose %s, slot %q", rec.Outcome, rec.Cause, rec.Dirty, rec.Opened.Purpose, rec.Opened.Slot)
	}
	nothingLeft(t)
	out := sh(t, os.Getenv("SIMULACRO_BINARY"), "--runs", runs, "--json", "report")
	var programme struct {
		Runs []struct{ Outcome drills.Outcome }
	}
	if err := json.Unmarshal([]byte(out), &programme); err != nil || !strings.Contains(out, rec.Opened.Run) {
		t.Errorf("the programme report does not have the run: %v\n%.400s", err, out)
	}
}

// TestServiceRunsItsSlot: undisturbed, the slot's drill runs to its end and is on record with its slot.
func TestServiceRunsItsSlot(t *testing.T) {
	e2e(t, true)
	whole(t)
	runs := t.TempDir()
	v := startTool(t, runs, "--runs", runs, "serve", "--calendar", minutely(t, "e2e-redis-pause"))
	v.until(t, "took effect")
	v.until(t, "== closed")
	_ = v.cmd.Process.Signal(os.Interrupt)
	<-v.ended
	rec := records(t, runs)[0]
	if rec.Outcome != drills.Pass || rec.Opened.Purpose != drills.Scheduled || !strings.Contains(rec.Opened.Slot, "every-minute") {
		t.Errorf("on record: %s (%s) %s, purpose %s, slot %q", rec.Outcome, rec.Cause, rec.Sentence, rec.Opened.Purpose, rec.Opened.Slot)
	}
	nothingLeft(t)
}

// minutely is a calendar with one entry for every minute.
func minutely(t *testing.T, drill string) string {
	t.Helper()
	abs := func(path string) string {
		out, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	file := filepath.Join(t.TempDir(), "calendar.yaml")
	text := fmt.Sprintf("version: 1\ncalendar: test\nsystem: %s\nentries:\n  - {name: every-minute, cron: \"* * * * *\", drill: %s, profile: ci, missed: skip}\n", abs(refSystem), abs(e2eDrill(drill)))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
