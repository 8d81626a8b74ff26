package main

import (
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

func TestCopiesAreJudgedByTheRule(t *testing.T) {
	far := drills.Copy{At: "the other office", Media: "tape", Elsewhere: true}
	near := drills.Copy{At: "the next rack", Media: "disk"}
	for _, c := range []struct {
		name  string
		c     *drills.Copies
		level drills.Level
		says  string
	}{
		{"nothing said", nil, drills.LevelProblem, "no copy of the backups is declared"},
		{"kept, as declared", &drills.Copies{Others: []drills.Copy{far}}, drills.LevelNotChecked, "3 copies with the live data, on disk and tape; also at the other office, one of them elsewhere"},
		{"none elsewhere", &drills.Copies{Others: []drills.Copy{near, {At: "x", Media: "tape"}}}, drills.LevelProblem, "none of them elsewhere"},
		{"one kind of media", &drills.Copies{Media: "tape", Others: []drills.Copy{far}}, drills.LevelProblem, "3 copies with the live data, on tape;"},
		{"a stated gap", &drills.Copies{Gap: "one machine"}, drills.LevelWarning, "a stated gap: one machine"},
	} {
		if d := copiesDiagnosis("store", c.c); d.Level != c.level || !strings.Contains(d.Found, c.says) {
			t.Errorf("%s: %s %q", c.name, d.Level, d.Found)
		}
	}
}

func TestBackupLines(t *testing.T) {
	now := time.Now()
	found := &drills.BackupFound{File: "/b/1.gz", Size: 12345, Written: now.Add(-time.Hour), Copies: 4}
	place := drills.BackupPlace{MaxAge: drills.Duration(26 * time.Hour), WAL: "/b/wal"}
	good := backupLines("store/base", place, drills.BackupState{Newest: found, WAL: "8 segments"}, now)
	if len(good) != 2 || good[0].Level != drills.LevelOK || !strings.Contains(good[0].Found, "/b/1.gz, 12345 bytes, 1h0m0s old (at most 26h0m0s), one of 4") || good[1].Found != "8 segments" {
		t.Errorf("%+v", good)
	}
	bad := backupLines("store/base", place, drills.BackupState{Newest: found, Cause: "backup-empty", Why: "it is empty", WALHole: "2 are missing"}, now)
	for i, says := range []string{"it is empty", "2 are missing"} {
		if bad[i].Level != drills.LevelProblem || bad[i].Found != says || bad[i].Mend == "" || bad[i].Why == "" {
			t.Errorf("%+v", bad[i])
		}
	}
}

// TestFailoverIsPossible: what the doctor says before a primary goes.
func TestFailoverIsPossible(t *testing.T) {
	sys := &drills.System{Components: map[string]drills.Component{"store": {Roles: &drills.RoleSource{}}, "page": {}}}
	for _, c := range []struct {
		name  string
		facts map[string]drills.Fact
		want  drills.Level
	}{
		{"well", map[string]drills.Fact{"quorum": {Word: "ok"}, "replicas": {Number: 2}, "lag": {Number: 0.2}}, drills.LevelOK},
		{"no quorum", map[string]drills.Fact{"quorum": {Word: "lost"}, "replicas": {Number: 2}}, drills.LevelProblem},
		{"no replica", map[string]drills.Fact{"quorum": {Word: "ok"}}, drills.LevelProblem},
		{"far behind", map[string]drills.Fact{"quorum": {Word: "ok"}, "replicas": {Number: 1}, "lag": {Number: 60}}, drills.LevelWarning},
		{"nobody answers", nil, drills.LevelNotChecked},
	} {
		got := redundancyDiagnoses(sys, drills.Topology{Views: map[string]drills.RoleView{"store": {Facts: c.facts}}})
		if len(got) != 1 || got[0].Level != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}
