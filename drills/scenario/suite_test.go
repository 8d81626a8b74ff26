package scenario

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
)

const goodSuite = `version: 1
suite: monthly
title: What is drilled each month
translations: {es: {title: Lo que se ensaya cada mes}}
limit: 90m
drills:
  - {drill: store-kill}
  - {drill: member-pause, component: store}
`

// TestSuiteBesideTheSystem: a suite is found by its name, a wrong name by what is there.
func TestSuiteBesideTheSystem(t *testing.T) {
	sys := &drills.System{File: filepath.Join(t.TempDir(), "system.yaml")}
	if err := os.MkdirAll(suitesOf(sys), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(suitesOf(sys), "monthly.yaml"), []byte(goodSuite), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := LoadSuite("monthly", sys)
	if err != nil {
		t.Fatal(err)
	}
	want := []drills.SuiteDrill{{Drill: "store-kill"}, {Drill: "member-pause", Component: "store"}}
	if d := cmp.Diff(want, s.Drills); d != "" || s.Limit.D() != 90*time.Minute || len(s.Digest) != 64 {
		t.Errorf("%s limit %s digest %q", d, s.Limit.D(), s.Digest)
	}
	if s.TitleIn("es") != "Lo que se ensaya cada mes" || s.TitleIn("en") != s.Title || s.TitleIn("pt") != s.Title {
		t.Errorf("titles %q %q", s.TitleIn("es"), s.TitleIn("en"))
	}
	if _, err := LoadSuite("montly", sys); drills.CodeOf(err) != drills.Input {
		t.Errorf("a suite that is not there: %v", err)
	}
	if d := cmp.Diff([]string{"monthly"}, SuiteNames(sys)); d != "" {
		t.Error(d)
	}
}

// TestSuiteOnACalendar: an entry's suite becomes one entry per drill, in order, each of which may begin late.
func TestSuiteOnACalendar(t *testing.T) {
	s, err := parseSuite("monthly.yaml", []byte(goodSuite))
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseCalendar("c.yaml", []byte("version: 1\ncalendar: c\nsystem: s.yaml\nentries:\n  - {name: night, cron: \"30 3 1 * *\", suite: monthly, profile: ci}\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := c.Entries[0].Each(s)
	entry := func(name, drill, component string) drills.Entry {
		return drills.Entry{
			Name: name, Drill: drill, Component: component, Cron: "30 3 1 * *", TimeZone: "UTC", Profile: "ci",
			Missed: drills.RunOnce, Grace: drills.Duration(6 * time.Hour),
		}
	}
	want := []drills.Entry{entry("night-store-kill", "store-kill", ""), entry("night-member-pause-store", "member-pause", "store")}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func FuzzLoadSuite(f *testing.F) {
	f.Add([]byte(goodSuite))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := parseSuite("suite.yaml", b)
		check(t, b, err, "version", "suite", "title", "translations", "limit", "drills")
	})
}
