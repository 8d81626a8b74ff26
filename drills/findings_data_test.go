package drills_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// What a former primary acknowledged is a serious finding with both dates, the counts and when it was thrown away; that it
// acknowledged nothing is said only where somebody tried.
func TestSplitFindings(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	at := func(ms int) drills.Interval {
		x := noon.Add(time.Duration(ms) * time.Millisecond)
		return drills.Interval{From: x, To: x.Add(2 * time.Millisecond)}
	}
	both := drills.SplitPair{Old: "redis-1", New: "redis-2", From: at(0), To: at(11000), Acked: 540, AtMost: 541, Survived: 0, Lost: 540, Watched: true, Refused: at(11020)}
	none := drills.SplitPair{Old: "pg-1", New: "pg-2", From: at(0), Watched: true}
	for name, c := range map[string]struct {
		pair drills.SplitPair
		id   string
		says []string
	}{
		"both": {both, "both-acknowledged:x", []string{
			"for 10.998–11.002 s", "540 to 541 more: 0 survived, 540 vanished", "refused writes from 12:00:11.020–12:00:11.022 on", "discarded after 12:00:11.020",
		}},
		"none, watched": {none, "one-primary:x", []string{"pg-1 acknowledged no write after pg-2"}},
		"none, nobody looked": {func() drills.SplitPair {
			p := none
			p.Watched = false
			return p
		}(), "", nil},
		"perhaps one": {func() drills.SplitPair {
			p := none
			p.AtMost = 1
			return p
		}(), "", nil},
	} {
		m := drills.SplitMeasured{Component: "x", Pairs: []drills.SplitPair{c.pair}}
		rec := drills.Fold([]drills.Event{{Kind: drills.EvMeasured, Split: &m}})
		i := slices.IndexFunc(rec.Findings, func(f drills.Finding) bool { return f.ID == c.id })
		if (i >= 0) != (c.id != "") || c.id == "" && len(rec.Findings) > 0 {
			t.Errorf("%s: %+v", name, rec.Findings)
			continue
		}
		for _, s := range c.says {
			if f := rec.Findings[i]; !strings.Contains(f.Title+" "+f.Detail, s) {
				t.Errorf("%s: %q is not in %q %q", name, s, f.Title, f.Detail)
			}
		}
	}
}

// Stale, resurrected and doubled writes are findings with the member that lacks them.
func TestCanaryFindings(t *testing.T) {
	t.Parallel()
	c := drills.CanaryMeasured{
		Name: "c", Purged: true, Stale: 3, Resurrected: 2, Duplicated: 1,
		Members: []drills.MemberRead{{Member: "one"}, {Member: "two", Missing: 3}},
	}
	rec := drills.Fold([]drills.Event{{Kind: drills.EvMeasured, Canary: &c}})
	var got []string
	for _, f := range rec.Findings {
		got = append(got, f.ID+" "+f.Severity)
		if f.ID == "stale:c" && !strings.Contains(f.Detail, "on two: 3") {
			t.Errorf("%+v", f)
		}
	}
	if want := []string{"stale:c warning", "resurrected:c serious", "duplicated:c warning"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Messages have no store: what is missing, doubled or out of order is said per client, and nothing is claimed to be purged or
// asked to be.
func TestDeliveryFindings(t *testing.T) {
	t.Parallel()
	c := drills.CanaryMeasured{
		Name: "c", Kind: drills.PubSub, Sent: 9, Acked: 9, Lost: 4, Duplicated: 3, Reordered: 2, Corrupt: 1,
		Clients: []drills.ClientDelivery{{Client: "one", Duplicated: 3}, {Client: "two", Lost: 4, Connected: 1, Reordered: 2}},
	}
	rec := drills.Fold([]drills.Event{{Kind: drills.EvMeasured, Canary: &c}})
	var got []string
	for _, f := range rec.Findings {
		got = append(got, f.ID+" "+f.Severity+" "+f.Detail)
	}
	want := []string{
		"lost-messages:c serious two: 4 missed, 1 of them while connected.", "duplicated:c warning one: 3.", "reordered:c warning two: 2.",
		"altered:c serious 1 altered, 0 never sent, 0 refused and delivered all the same.",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// A drill can bound what is lost, doubled and out of order; a component whose only canary stores nothing has no recovery point,
// and never a passed one.
func TestDeliveryBounds(t *testing.T) {
	t.Parallel()
	n := func(i int) *int { return &i }
	c := drills.CanaryMeasured{Name: "c", Kind: drills.PubSub, Sent: 9, Acked: 9, Lost: 4, Duplicated: 3, Reordered: 2, ReadBack: drills.At(time.Unix(9, 0))}
	sys := &drills.System{
		Canaries:   map[string]drills.CanarySpec{"c": {Kind: drills.PubSub}},
		Components: map[string]drills.Component{"ws": {Name: "ws", Canaries: []string{"c"}}},
	}
	for _, x := range []struct {
		bound   drills.Loss
		verdict drills.Verdict
		cause   string
	}{
		{drills.Loss{Canary: "c", MaxWrites: n(4), MaxDuplicated: n(3), MaxReordered: n(2)}, drills.Met, "lost-writes"},
		{drills.Loss{Canary: "c", MaxWrites: n(3)}, drills.NotMet, "lost-writes"},
		{drills.Loss{Canary: "c", MaxDuplicated: n(2)}, drills.NotMet, "duplicated"},
		{drills.Loss{Canary: "c", MaxReordered: n(0)}, drills.NotMet, "reordered"},
	} {
		d := &drills.Drill{Component: "ws", Expect: drills.Expect{Loss: drills.Losses{x.bound}}}
		rec := drills.Fold([]drills.Event{
			{Kind: drills.EvOpened, Opened: &drills.Opened{Drill: d, System: sys, Objectives: drills.Objectives{RPO: drills.Duration(time.Minute)}}},
			{Kind: drills.EvApplied, Change: &drills.Change{ID: "1"}, Effect: &drills.Effect{From: time.Unix(1, 0), To: time.Unix(1, 0), Proven: true}},
			{Kind: drills.EvMeasured, Canary: &c},
		})
		seen := map[string]drills.Judged{}
		for _, j := range rec.Expectations {
			seen[j.ID] = j
		}
		if j := seen["loss:c"]; j.Verdict != x.verdict || j.Cause != x.cause || !strings.Contains(j.Title, "reach every client") {
			t.Errorf("%+v: %+v", x.bound, j)
		}
		if t7 := rec.Times.T7; t7 != nil && t7.Source == "canary c" {
			t.Error("data that is stored nowhere was taken for reconciled")
		}
		if j := seen["rpo"]; j.Verdict != drills.NotMeasured {
			t.Errorf("a recovery point where nothing is stored: %+v", j)
		}
	}
}

// TestConsistency: a history without an order fails a drill that asks for one and is a serious finding in any; one that was
// not decided is never a pass.
func TestConsistency(t *testing.T) {
	t.Parallel()
	for verdict, want := range map[drills.Linearizability]struct {
		judged   drills.Verdict
		severity string
	}{
		drills.Linearizable:  {drills.Met, drills.SeverityInfo},
		drills.NotExplicable: {drills.NotMet, drills.SeveritySerious},
		drills.NotDecided:    {drills.Unclear, drills.SeverityWarning},
		"":                   {drills.NotMeasured, drills.SeverityWarning},
	} {
		m := drills.RegisterMeasured{
			Name: "reg", Verdict: verdict, Reads: 7, Writes: 8, Registers: 2, Picture: "register-reg.html", PictureSHA256: "0123456789abcdef",
			Illegal: []int{1}, Unexplained: []string{"Register 1 was 5."},
		}
		if verdict == "" {
			m.Error = "broke"
		}
		d := &drills.Drill{Expect: drills.Expect{Consistency: &drills.Consistency{Canary: "reg", AtLeast: "linearizable"}}}
		rec := drills.Fold([]drills.Event{
			{Kind: drills.EvOpened, Opened: &drills.Opened{Drill: d, System: &drills.System{}}},
			{Kind: drills.EvApplied, Change: &drills.Change{ID: "1"}, Effect: &drills.Effect{From: time.Unix(1, 0), To: time.Unix(1, 0), Proven: true}},
			{Kind: drills.EvMeasured, Register: &m},
		})
		i := slices.IndexFunc(rec.Expectations, func(j drills.Judged) bool { return j.ID == "consistency:reg" })
		if i < 0 || rec.Expectations[i].Verdict != want.judged {
			t.Errorf("%q: %+v", verdict, rec.Expectations)
		}
		k := slices.IndexFunc(rec.Findings, func(f drills.Finding) bool { return f.ID == "register:reg" })
		if k < 0 || rec.Findings[k].Severity != want.severity {
			t.Errorf("%q: %+v", verdict, rec.Findings)
		}
		if verdict == drills.NotExplicable && !strings.Contains(rec.Findings[k].Detail, "Register 1 was 5.") {
			t.Errorf("%+v", rec.Findings[k])
		}
	}
}

// TestDuplicatesAreBoundedWhereAsked: what must happen once fails the drill when it happened twice, and an unmeasured canary is
// no proof that it did not.
func TestDuplicatesAreBoundedWhereAsked(t *testing.T) {
	t.Parallel()
	most := 1
	for name, c := range map[string]struct {
		canary drills.CanaryMeasured
		want   drills.Verdict
	}{
		"as many as allowed": {drills.CanaryMeasured{Name: "c", Acked: 9, Duplicated: 1}, drills.Met},
		"one more":           {drills.CanaryMeasured{Name: "c", Acked: 9, Duplicated: 2}, drills.NotMet},
		"not measured":       {drills.CanaryMeasured{Name: "c", Error: "broke"}, drills.NotMeasured},
		"not there":          {drills.CanaryMeasured{Name: "d"}, drills.NotMeasured},
	} {
		d := &drills.Drill{Expect: drills.Expect{Loss: drills.Losses{{Canary: "c", MaxDuplicated: &most}}}}
		rec := drills.Fold([]drills.Event{
			{Kind: drills.EvOpened, Opened: &drills.Opened{Drill: d, System: &drills.System{}}},
			{Kind: drills.EvApplied, Change: &drills.Change{ID: "1"}, Effect: &drills.Effect{From: time.Unix(1, 0), To: time.Unix(1, 0), Proven: true}},
			{Kind: drills.EvMeasured, Canary: &c.canary},
		})
		i := slices.IndexFunc(rec.Expectations, func(j drills.Judged) bool { return j.ID == "loss:c" })
		if i < 0 || rec.Expectations[i].Verdict != c.want {
			t.Errorf("%s: %+v", name, rec.Expectations)
		}
	}
}
