package verifier

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
)

func TestParseWAL(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]walPlace{
		"1:0/16B3748": {1, 0x16B3748}, "A:2/0": {10, 2 << 32}, "1:FFFFFFFF/FFFFFFFF": {1, 1<<64 - 1},
		"": {}, "0/16B3748": {}, "1:0": {}, "1:x/1": {}, "1700-1": {}, "1:100000000/0": {},
	} {
		if got, ok := parseWAL(s); ok != (want != walPlace{}) || ok && got != want {
			t.Errorf("%q: %v %v, want %v", s, got, ok, want)
		}
	}
}

func TestParseHistory(t *testing.T) {
	t.Parallel()
	text := "1\t0/5000098\tno recovery target specified\n\n# a comment\n2\t0/6000000\tno recovery target specified\n4\t1/70000A0\tx\n"
	want := []walBranch{{2, "0/5000098"}, {4, "0/6000000"}, {5, "1/70000A0"}}
	if diff := cmp.Diff(want, parseHistory(text, 5)); diff != "" {
		t.Error(diff)
	}
	if got := parseHistory("", 1); got != nil {
		t.Errorf("of nothing: %v", got)
	}
}

// A failover as PostgreSQL plays it: what the old timeline acknowledged behind the branch is lost.
func TestPositions(t *testing.T) {
	t.Parallel()
	l := ledgerOf("kkkkkk", Holding{Counts: true, Held: [][2]int64{{0, 2}, {5, 5}}})
	for i, p := range []string{"3:0/100", "3:0/200", "3:0/300", "3:0/480", "3:0/500", "4:0/360"} {
		l.Writes[i].Position = p
	}
	for name, c := range map[string]struct {
		history *walHistory
		want    []drills.Timeline
		why     string
	}{
		"the server says":    {&walHistory{Began: []walBranch{{2, "0/20"}, {3, "0/40"}, {4, "0/328"}}}, []drills.Timeline{{ID: 4, Began: "0/328", After: "3:0/300", Before: "4:0/360"}}, ""},
		"it may not be read": {&walHistory{Why: "permission denied"}, []drills.Timeline{{ID: 4, After: "3:0/300", Before: "4:0/360"}}, "permission denied"},
		"nobody was asked":   {nil, []drills.Timeline{{ID: 4, After: "3:0/300", Before: "4:0/360"}}, ""},
		"one without writes": {&walHistory{Began: []walBranch{{4, "0/328"}, {5, "0/400"}}}, []drills.Timeline{{ID: 4, Began: "0/328", After: "3:0/300", Before: "4:0/360"}, {ID: 5, Began: "0/400"}}, ""},
	} {
		l.Back.History = c.history
		want := &drills.Positions{NewestAcked: "4:0/360", NewestSurviving: "4:0/360", Point: "3:0/300", NewestLost: "3:0/500", WALLost: 0x200, Timelines: c.want, TimelinesWhy: c.why}
		if diff := cmp.Diff(want, l.Settle(drills.Timing{}).Positions); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	if p := ledgerOf("kk", Holding{Counts: true, Held: [][2]int64{{0, 1}}}).Settle(drills.Timing{}).Positions; p != nil {
		t.Errorf("positions of a store without: %+v", p)
	}
}

func TestPointOf(t *testing.T) {
	t.Parallel()
	// select encode(ST_AsEWKB(ST_SetSRID(ST_MakePoint(-179, -90), 4326), 'NDR'), 'hex')
	if got := pointOf(1); got != "0101000020e6100000000000000060"+"66c000000000008056c0" {
		t.Error(got)
	}
	seen := map[string]bool{}
	for i := range int64(64800) {
		seen[pointOf(i)] = true
	}
	if len(seen) != 64800 {
		t.Errorf("%d different points", len(seen))
	}
}
