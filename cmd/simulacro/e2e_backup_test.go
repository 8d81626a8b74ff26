package main

import (
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// backupNow makes a backup in the reference system, with defects of its own.
func backupNow(t *testing.T, args []string, defects ...string) {
	t.Helper()
	docker(t, append([]string{"exec", "-e", "DEFECTS=" + strings.Join(defects, " "), service(t, "backup"), "backup.sh"}, args...)...)
}

// TestBackupDrills: the shipped drills pass on sound backups, and name what is wrong with broken ones.
func TestBackupDrills(t *testing.T) {
	e2e(t, true)
	for _, v := range []struct {
		name, drill string
		breakIt     func(*testing.T)
		cause       string // empty: pass
		sentence    string
	}{
		{"sound base and WAL", "backup-restore", nil, "", ""},
		{"sound, to an instant", "backup-pitr", nil, "", ""},
		{"sound dump", "backup-dump", nil, "", ""},
		{"a dump that failed and was told as done", "backup-dump", badDump("empty-dump"), "backup-empty", "The backup cannot be restored: the newest backup is empty or cut short: .* has 20 bytes.*its checksum is right all the same"},
		{"a dump without indexes", "backup-dump", badDump("no-index"), "restore-check:gist-indexes", `The restored instance is not the one that was backed up: GIST indexes: it answers "none".*`},
		{"a dump without the extension", "backup-dump", badDump("no-extension"), "restore-failed", "The restore procedure failed: .*"},
		{"a hole in the WAL archive", "backup-restore", walHole, "wal-hole", "The backup cannot be restored beyond a hole: the WAL archive has a hole.*"},
	} {
		t.Run(v.name, func(t *testing.T) {
			whole(t)
			if v.breakIt != nil {
				v.breakIt(t)
			}
			rec, code := runDrill(t, t.TempDir(), refSystem, v.drill)
			nothingLeft(t)
			if v.cause == "" {
				if rec.Outcome != drills.Pass || code != drills.ExitPass {
					t.Errorf("%s (%s), exit %d: %s", rec.Outcome, rec.Cause, code, rec.Sentence)
				}
				return
			}
			if rec.Outcome != drills.Fail || rec.Cause != v.cause || code != drills.ExitFail || !regexp.MustCompile(v.sentence).MatchString(rec.Sentence) {
				t.Errorf("%s (%s), exit %d: %s", rec.Outcome, rec.Cause, code, rec.Sentence)
			}
		})
	}
}

func badDump(defect string) func(*testing.T) {
	return func(t *testing.T) {
		t.Cleanup(func() { backupNow(t, []string{"dump"}) })
		backupNow(t, []string{"dump"}, defect)
	}
}

// walHole loses a segment; a new base backup begins after it.
func walHole(t *testing.T) {
	t.Cleanup(func() { backupNow(t, []string{"base"}) })
	backupNow(t, []string{"hole"})
}

// TestRestoreDoesNotOutliveTheTool: killed while it restores, the tool leaves no instance behind, whether its guard lives or not.
func TestRestoreDoesNotOutliveTheTool(t *testing.T) {
	e2e(t, true)
	whole(t)
	runs := t.TempDir()
	v := startTool(t, runs, "--system", refSystem, "--profile", "ci", "--runs", runs, "run", "--purpose", "ci", "backup-restore")
	v.until(t, "took effect (isolated instance)")
	if out := docker(t, "ps", "-q", "--filter", "label=io.simulacro.role=sandbox"); out == "" {
		t.Fatal("there is no isolated instance to be left behind")
	}
	_ = syscall.Kill(-v.cmd.Process.Pid, syscall.SIGKILL)
	eventually(t, 30*time.Second, "the isolated instance gone", func() bool {
		return docker(t, "ps", "-aq", "--filter", "label=io.simulacro.role=sandbox") == ""
	})
	settled(t, v)
}

// TestTotalLossIsRebuilt: every member of PostgreSQL is destroyed with its data, and the runbook rebuilds it. The system is
// not the same afterwards, but whole.
func TestTotalLossIsRebuilt(t *testing.T) {
	e2e(t, true)
	whole(t)
	rec, code := runDrill(t, t.TempDir(), refSystem, "backup-total-loss")
	if rec.Outcome != drills.Pass || code != drills.ExitPass {
		t.Errorf("%s (%s), exit %d: %s", rec.Outcome, rec.Cause, code, rec.Sentence)
	}
	if rec.Times.T3 == nil || len(rec.Runbooks) != 1 || !rec.Runbooks[0].Over {
		t.Errorf("T3 %v, runbooks %+v", rec.Times.T3, rec.Runbooks)
	}
	whole(t)
	nothingLeft(t)
}
