package calendar

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/eevans-d/simulacro/drills"
)

func cal(entries ...drills.Entry) drills.Calendar { return drills.Calendar{Entries: entries} }

func when(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestDue(t *testing.T) {
	for name, x := range map[string]struct {
		cron, zone, from, to string
		want                 string
	}{
		"bounds: after from, with to":            {"0 6 * * *", "", "2026-11-01T06:00:00Z", "2026-11-03T06:00:00Z", "2026-11-02T06:00:00Z 2026-11-03T06:00:00Z"},
		"monthly":                                {"30 3 1 * *", "", "2026-01-01T03:30:00Z", "2026-04-01T03:29:59Z", "2026-02-01T03:30:00Z 2026-03-01T03:30:00Z"},
		"zone":                                   {"0 3 * * *", "America/Argentina/Buenos_Aires", "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z", "2026-11-01T06:00:00Z"},
		"zone changes the day":                   {"0 23 31 12 *", "America/Argentina/Buenos_Aires", "2026-12-31T00:00:00Z", "2027-01-02T00:00:00Z", "2027-01-01T02:00:00Z"},
		"time that does not exist runs later":    {"30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", "2026-03-09T12:00:00Z", "2026-03-08T07:30:00Z 2026-03-09T06:30:00Z"},
		"time that comes twice runs once, first": {"30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", "2026-11-02T12:00:00Z", "2026-11-01T05:30:00Z 2026-11-02T06:30:00Z"},
		"not again when asked between the two":   {"30 1 * * *", "America/New_York", "2026-11-01T05:45:00Z", "2026-11-01T12:00:00Z", ""},
		"asked within the hour after the gap":    {"30 2 * * *", "America/New_York", "2026-03-08T07:10:00Z", "2026-03-08T12:00:00Z", "2026-03-08T07:30:00Z"},
		"every half hour over the gap, no twins": {"*/30 * * * *", "America/New_York", "2026-03-08T06:30:00Z", "2026-03-08T08:00:00Z", "2026-03-08T07:00:00Z 2026-03-08T07:30:00Z 2026-03-08T08:00:00Z"},
		"midnight that does not exist":           {"0 0 * * *", "America/Havana", "2026-03-07T12:00:00Z", "2026-03-09T12:00:00Z", "2026-03-08T05:00:00Z 2026-03-09T04:00:00Z"},
		"half-hour zone change":                  {"15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", "2026-10-04T00:00:00Z", "2026-10-03T15:45:00Z"},
		"day that never comes":                   {"0 0 30 2 *", "", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", ""},
	} {
		got, err := Due(cal(drills.Entry{Name: "e", Cron: x.cron, TimeZone: x.zone}), when(t, x.from), when(t, x.to))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var texts []string
		for _, s := range got {
			texts = append(texts, s.Due.Format(time.RFC3339))
		}
		if text := strings.Join(texts, " "); text != x.want {
			t.Errorf("%s:\n got %s\nwant %s", name, text, x.want)
		}
	}
}

func TestOrderAndIDs(t *testing.T) {
	c := cal(drills.Entry{Name: "b", Cron: "0 * * * *"}, drills.Entry{Name: "a", Cron: "0 6 * * *"})
	got, err := Next(c, when(t, "2026-11-23T04:30:00Z"), 4)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, s := range got {
		ids = append(ids, s.ID())
	}
	want := []string{"b@2026-11-23T05:00:00Z", "b@2026-11-23T06:00:00Z", "a@2026-11-23T06:00:00Z", "b@2026-11-23T07:00:00Z"}
	if !slices.Equal(ids, want) {
		t.Errorf("got %v", ids)
	}
}

func TestBadCalendarsSayEverything(t *testing.T) {
	b := when(t, "2026-01-01T00:00:00Z")
	c := cal(drills.Entry{Name: "six", Cron: "0 0 6 * * *"}, drills.Entry{Name: "word", Cron: "@daily"}, drills.Entry{Name: "zoned", Cron: "CRON_TZ=UTC 0 6 * * *"},
		drills.Entry{Name: "mars", Cron: "0 6 * * *", TimeZone: "Mars/Olympus"}, drills.Entry{Name: "local", Cron: "0 6 * * *", TimeZone: "Local"}, drills.Entry{Name: "fine", Cron: "0 6 * * 1-5"})
	c.Blackouts = []drills.Blackout{{From: b, To: b}}
	err := Check(c)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"six", "word", "zoned", "mars", "local", "blackouts[0]"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "fine") || drills.CodeOf(err) != drills.Input {
		t.Errorf("error: %v", err)
	}
}

// However a span of time is cut into pieces, the same slots come out, each once: a server may look whenever it likes.
func TestCutsDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom([]string{"UTC", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Europe/Dublin", "Africa/Casablanca"}).Draw(t, "zone")
		cron := rapid.SampledFrom([]string{"*/20 * * * *", "30 2 * * *", "0 0 * * *", "15 1 * * 0"}).Draw(t, "cron")
		day := rapid.SampledFrom([]string{"2026-02-15", "2026-03-08", "2026-03-22", "2026-03-29", "2026-04-05", "2026-07-01", "2026-10-04", "2026-10-25", "2026-11-01"}).Draw(t, "day")
		c := cal(drills.Entry{Name: "e", Cron: cron, TimeZone: zone})
		from, _ := time.Parse(time.DateOnly, day)
		from = from.Add(time.Duration(rapid.IntRange(-24*60, 12*60).Draw(t, "minute")) * time.Minute)
		to := from.Add(24 * time.Hour)
		whole, err := Due(c, from, to)
		if err != nil {
			t.Fatal(err)
		}
		var pieces []drills.Slot
		for at := from; at.Before(to); {
			end := at.Add(time.Duration(rapid.IntRange(1, 500).Draw(t, "step")) * time.Minute)
			if end.After(to) {
				end = to
			}
			some, err := Due(c, at, end)
			if err != nil {
				t.Fatal(err)
			}
			pieces, at = append(pieces, some...), end
		}
		if !slices.Equal(whole, pieces) {
			t.Fatalf("whole %v\npieces %v", whole, pieces)
		}
		few := whole[:min(len(whole), 5)]
		if next, _ := Next(c, from, len(few)); !slices.Equal(next, few) {
			t.Fatalf("Next gives %v, Due %v", next, few)
		}
	})
}
