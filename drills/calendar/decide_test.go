package calendar

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

func TestDecide(t *testing.T) {
	c := cal(drills.Entry{Name: "skip", Cron: "0 6 * * *"}, drills.Entry{Name: "once", Cron: "0 6 * * *", Missed: drills.RunOnce, Grace: drills.Duration(2 * time.Hour)},
		drills.Entry{Name: "often", Cron: "0 * * * *", Missed: drills.RunOnce})
	c.Blackouts = []drills.Blackout{{From: when(t, "2026-12-24T00:00:00Z"), To: when(t, "2026-12-27T06:00:00Z"), Reason: "holidays"}, {From: when(t, "2026-12-29T07:00:00Z"), To: when(t, "2026-12-29T09:00:00Z"), Reason: "release"}}
	for name, x := range map[string]struct {
		entry, due, now, busy string
		want                  Action
		reason                string
	}{
		"on time":                          {"skip", "2026-11-23T06:00:00Z", "2026-11-23T06:00:00Z", "", Run, ""},
		"a minute is still on time":        {"skip", "2026-11-23T06:00:00Z", "2026-11-23T06:01:00Z", "", Run, ""},
		"late is missed":                   {"skip", "2026-11-23T06:00:00Z", "2026-11-23T06:01:01Z", "", Miss, "1m1s after"},
		"late within the grace runs":       {"once", "2026-11-23T06:00:00Z", "2026-11-23T08:00:00Z", "", Run, ""},
		"late beyond the grace is missed":  {"once", "2026-11-23T06:00:00Z", "2026-11-23T08:00:01Z", "", Miss, "grace"},
		"default grace is an hour":         {"often", "2026-11-23T06:00:00Z", "2026-11-23T06:59:59Z", "", Run, ""},
		"only the newest runs":             {"often", "2026-11-23T06:00:00Z", "2026-11-23T07:00:00Z", "", Miss, "newer"},
		"busy, skip":                       {"skip", "2026-11-23T06:00:00Z", "2026-11-23T06:00:00Z", "run x is on", Miss, "run x is on"},
		"busy, run once waits":             {"once", "2026-11-23T06:00:00Z", "2026-11-23T06:00:00Z", "run x is on", Wait, "run x is on"},
		"busy beyond the grace":            {"once", "2026-11-23T06:00:00Z", "2026-11-23T09:00:00Z", "run x is on", Miss, "grace"},
		"blackout":                         {"once", "2026-12-25T06:00:00Z", "2026-12-25T06:00:00Z", "", Block, "holidays"},
		"blackout, looked at after it":     {"skip", "2026-12-26T06:00:00Z", "2026-12-28T06:00:00Z", "", Block, "holidays"},
		"a blackout ends before its end":   {"skip", "2026-12-27T06:00:00Z", "2026-12-27T06:00:00Z", "", Run, ""},
		"would run late into a blackout":   {"once", "2026-12-29T06:00:00Z", "2026-12-29T07:30:00Z", "", Miss, "release"},
		"entry is gone from the calendar":  {"gone", "2026-11-23T06:00:00Z", "2026-11-23T06:00:00Z", "", Miss, "removed"},
		"clock before the slot still runs": {"skip", "2026-11-23T06:00:00Z", "2026-11-23T05:59:59Z", "", Run, ""},
	} {
		got, err := Decide(c, drills.Slot{Entry: x.entry, Due: when(t, x.due)}, when(t, x.now), x.busy)
		if err != nil || got.Action != x.want || !strings.Contains(got.Reason, x.reason) || (x.want != Run) != (got.Reason != "") {
			t.Errorf("%s: %+v %v, want %s", name, got, err, x.want)
		}
	}
}

func TestOneClaimPerSlot(t *testing.T) {
	d := Dir(filepath.Join(t.TempDir(), "claims"))
	if at, err := d.Served(); err != nil || !at.IsZero() {
		t.Errorf("never served: %v %v", at, err)
	}
	slot := drills.Slot{Entry: "monthly", Due: when(t, "2026-11-23T06:00:00Z")}
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 16 {
		wg.Go(func() {
			ok, err := d.Claim(Claim{Slot: slot, Decision: Decision{Miss, "why"}})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if ok {
				won++
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d servers have the slot", won)
	}
	if ok, err := d.Claim(Claim{Slot: drills.Slot{Entry: "monthly", Due: slot.Due.Add(-time.Hour)}}); !ok || err != nil {
		t.Errorf("another slot: %v %v", ok, err)
	}
	now := time.Now()
	if err := d.Mark(now); err != nil {
		t.Fatal(err)
	}
	if at, err := d.Served(); err != nil || !at.Equal(now) {
		t.Errorf("mark is %v %v, want %v", at, err, now)
	}
	all, err := d.All()
	if err != nil || len(all) != 2 || !all[0].Slot.Due.Before(all[1].Slot.Due) || all[1].Reason != "why" {
		t.Errorf("claims: %+v %v", all, err)
	}
	files, _ := os.ReadDir(string(d))
	if len(files) != 3 {
		t.Errorf("left behind: %v", files)
	}
	_ = os.WriteFile(filepath.Join(string(d), servedFile), []byte("x"), 0o644)
	if _, err := d.Served(); drills.CodeOf(err) != drills.Internal {
		t.Errorf("a broken mark: %v", err)
	}
}
