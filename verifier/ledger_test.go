package verifier

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/eevans-d/simulacro/drills"
)

// writes makes a ledger of one write every 20 ms, acknowledged 2 ms after sending: k acknowledged, f refused, i
// indeterminate, t throttled, o not sent.
func writes(s string) []Sample {
	var out []Sample
	for i, c := range s {
		at := testClock.Mono + int64(i)*int64(20*time.Millisecond)
		class := map[rune]Class{'k': Good, 'f': Failed, 'i': Timeout, 'o': Observer, 't': Throttled}[c]
		out = append(out, Sample{Seq: int64(i), Send: at, Done: at + int64(2*time.Millisecond), Class: class})
	}
	return out
}

func ledgerOf(story string, members ...Holding) *Ledger {
	l := &Ledger{Meta: CanaryMeta{Schema: CanarySchema, Name: "c", Kind: "redis", Mono: testClock.Mono, Wall: testClock.Wall}, Writes: writes(story)}
	if len(members) > 0 {
		l.Back = &holdings{From: testClock.Mono + 1e9, To: testClock.Mono + 2e9, Members: members}
	}
	return l
}

func slot(i int) drills.Interval {
	from := testClock.Time(testClock.Mono + int64(i)*int64(20*time.Millisecond))
	return drills.Interval{From: from, To: from.Add(2 * time.Millisecond)}
}

func TestSettle(t *testing.T) {
	t.Parallel()
	all := func(to int64) [][2]int64 { return [][2]int64{{0, to}} }
	type want struct {
		acked, failed, indeterminate, survived, lost, before, corrupt, dup, phantom int
		spans                                                                       [][3]int // from, to, writes
		point, newest                                                               int      // slots; newest -1: none
		err                                                                         bool
	}
	for name, c := range map[string]struct {
		story   string
		members []Holding
		want    want
	}{
		"nothing lost":                {"kkkkkkkkkk", []Holding{{Counts: true, Held: all(9)}}, want{acked: 10, survived: 10, point: 9, newest: -1}},
		"the tail lost":               {"kkkkkkkkkk", []Holding{{Counts: true, Held: all(5)}}, want{acked: 10, survived: 6, lost: 4, spans: [][3]int{{6, 9, 4}}, point: 5, newest: 9}},
		"a hole":                      {"kkkkkkkkkk", []Holding{{Counts: true, Held: [][2]int64{{0, 3}, {6, 9}}}}, want{acked: 10, survived: 8, lost: 2, before: 1, spans: [][3]int{{4, 5, 2}}, point: 3, newest: 5}},
		"two holes":                   {"kkkkkkkkkk", []Holding{{Counts: true, Held: [][2]int64{{0, 0}, {2, 7}}}}, want{acked: 10, survived: 7, lost: 3, before: 1, spans: [][3]int{{1, 1, 1}, {8, 9, 2}}, point: 0, newest: 9}},
		"everything lost":             {"kkk", []Holding{{Counts: true}}, want{acked: 3, lost: 3, before: 3, spans: [][3]int{{0, 2, 3}}, point: -1, newest: 2}},
		"unacknowledged do not count": {"kkfiokk", []Holding{{Counts: true, Held: [][2]int64{{0, 1}, {5, 6}}}}, want{acked: 4, failed: 1, indeterminate: 1, survived: 4, point: 6, newest: -1}},
		"an indeterminate one held":   {"kkikk", []Holding{{Counts: true, Held: all(4)}}, want{acked: 4, indeterminate: 1, survived: 4, point: 4, newest: -1}},
		"held by a replica":           {"kkkk", []Holding{{Counts: true, Held: all(1)}, {Counts: true, Held: all(3)}}, want{acked: 4, survived: 4, point: 3, newest: -1}},
		"held by a former primary":    {"kkkk", []Holding{{Counts: true, Held: all(1)}, {Held: all(3), Error: "x"}}, want{acked: 4, survived: 2, lost: 2, before: 2, spans: [][3]int{{2, 3, 2}}, point: 1, newest: 3}},
		"corrupt":                     {"kkkk", []Holding{{Counts: true, Held: [][2]int64{{0, 1}, {3, 3}}, Corrupt: []int64{2}}}, want{acked: 4, survived: 3, corrupt: 1, point: 1, newest: -1}},
		"corrupt on one member only":  {"kkkk", []Holding{{Counts: true, Held: all(3)}, {Counts: true, Corrupt: []int64{2}}}, want{acked: 4, survived: 4, corrupt: 1, point: 3, newest: -1}},
		"phantom and duplicated":      {"kk", []Holding{{Counts: true, Held: all(1), Phantom: 2, Duplicated: []int64{1}}, {Counts: true, Phantom: 2}}, want{acked: 2, survived: 2, dup: 1, phantom: 2, point: 1, newest: -1}},
		"no member to be read":        {"kk", []Holding{{Error: "x"}}, want{acked: 2, err: true}},
		"not read back":               {"kk", nil, want{acked: 2, err: true}},
		"never acknowledged":          {"ffii", []Holding{{Counts: true}}, want{failed: 2, indeterminate: 2, err: true}},
		"nothing written":             {"", []Holding{{Counts: true}}, want{err: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := ledgerOf(c.story, c.members...).Settle(drills.Timing{T0: drills.At(slot(5).From)})
			got := want{m.Acked, m.Failed, m.Indeterminate, m.Survived, m.Lost, m.LostBeforeT0, m.Corrupt, m.Duplicated, m.Phantom, nil, c.want.point, c.want.newest, m.Error != ""}
			for _, s := range m.Spans {
				got.spans = append(got.spans, [3]int{int(s.FromSeq), int(s.ToSeq), s.Writes})
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Error(diff)
			}
			if c.want.err {
				return
			}
			point := drills.At(slot(0).From)
			if c.want.point >= 0 {
				point = slot(c.want.point)
			}
			var newest drills.Interval
			if c.want.newest >= 0 {
				newest = slot(c.want.newest)
			}
			if m.Point != point || m.NewestLost != newest {
				t.Errorf("point %v want %v, newest lost %v want %v", m.Point, point, m.NewestLost, newest)
			}
		})
	}
}

// Writes overlap, and the order in which the store acknowledged them cannot be seen: a lost early one whose answer came
// late may have been acknowledged before or after those that were sent and answered meanwhile.
func TestSettleOrdersByAcknowledgement(t *testing.T) {
	t.Parallel()
	l := ledgerOf("kkkk", Holding{Counts: true, Held: [][2]int64{{1, 3}}})
	l.Writes[0].Done = l.Writes[2].Done + 1
	want := drills.Interval{From: slot(0).From, To: slot(2).To}
	if m := l.Settle(drills.Timing{}); m.Point != want || m.Lost != 1 {
		t.Errorf("point %v", m.Point)
	}
}

// Whatever is written and found: every acknowledged write has exactly one fate, the spans hold the lost ones, everything
// up to the point survived, the strip holds every write, and the raw file gives the same again.
func TestSettleProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		story := rapid.StringMatching(`[kkkkkfiot]{1,80}`).Draw(rt, "story")
		var members []Holding
		for range rapid.IntRange(1, 3).Draw(rt, "members") {
			h := Holding{Member: "m", Counts: rapid.Bool().Draw(rt, "counts")}
			var held []int64
			for i := range story {
				switch rapid.IntRange(0, 5).Draw(rt, "found") {
				case 0:
				case 1:
					h.Corrupt = append(h.Corrupt, int64(i))
				default:
					held = append(held, int64(i))
				}
			}
			h.Held = spans(held)
			members = append(members, h)
		}
		l := ledgerOf(story, members...)
		for i := range l.Writes {
			if l.Writes[i].Class == Good && rapid.Bool().Draw(rt, "has a position") {
				l.Writes[i].Position = "1:0/" + itoa(int64(i))
			}
		}
		if rapid.Bool().Draw(rt, "has a history") {
			l.Back.History = &walHistory{Began: []walBranch{{2, "0/7"}}, Why: "x"}
		}
		tm := drills.Timing{T0: drills.At(slot(10).From)}
		m := l.Settle(tm)
		if m.Sent != m.Acked+m.Failed+m.Indeterminate+m.Throttled || m.Sent+strings.Count(story, "o") != len(story) {
			rt.Fatalf("counts %+v", m)
		}
		total := 0
		for _, b := range m.Strip {
			total += b.Good + b.Bad + b.Ours
		}
		if total != m.Sent-m.Throttled {
			rt.Fatalf("strip holds %d of %d", total, m.Sent)
		}
		if m.Error == "" {
			corruptAcked := m.Acked - m.Survived - m.Lost
			inSpans := 0
			for _, s := range m.Spans {
				inSpans += s.Writes
			}
			if corruptAcked < 0 || corruptAcked > m.Corrupt || inSpans != m.Lost || m.LostBeforeT0 > m.Lost || (m.Lost > 0) != !m.NewestLost.IsZero() {
				rt.Fatalf("%+v", m)
			}
			for _, s := range m.Spans {
				if s.FirstAck.Before(m.Point.To) {
					rt.Fatalf("a loss at %v before the point %v", s.FirstAck, m.Point)
				}
			}
		}
		again, err := MeasureCanary(bytes.NewReader(rawOf(rt, l)), tm)
		again.SHA256 = ""
		if diff := cmp.Diff(m, again); err != nil || diff != "" {
			rt.Fatal(err, diff)
		}
	})
}

func rawOf(rt *rapid.T, l *Ledger) []byte {
	f := &memFile{}
	w, err := newLedgerWriter(f, l.Meta)
	if err != nil {
		rt.Fatal(err)
	}
	for _, s := range l.Writes {
		if err := w.write(s); err != nil {
			rt.Fatal(err)
		}
	}
	if err := w.back(*l.Back); err != nil {
		rt.Fatal(err)
	}
	if err := w.close(); err != nil {
		rt.Fatal(err)
	}
	return f.b.Bytes()
}

func TestSpans(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff([][2]int64{{1, 3}, {5, 5}, {7, 8}}, spans([]int64{1, 2, 3, 5, 7, 8})); diff != "" {
		t.Error(diff)
	}
	if spans(nil) != nil {
		t.Error("runs of nothing")
	}
}

func TestTableName(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 80) + "-END"
	for _, c := range []struct{ pattern, run, want string }{
		{"simulacro.canary_{run}", "20260102T030405-redis-kill-a1b2", "simulacro.canary_20260102t030405_redis_kill_a1b2"},
		{"canary_{run}", "a;drop table x", "simulacro.canary_a_drop_table_x"},
		{"s.c_{run}", long, "s.c_" + strings.Repeat("x", 57) + "_end"},
	} {
		got := tableName(c.pattern, c.run)
		_, table, _ := strings.Cut(got, ".")
		if got != c.want || len(table) > 63 {
			t.Errorf("%s of %s: %s, want %s", c.pattern, c.run, got, c.want)
		}
	}
}

func TestLeaderAndStep(t *testing.T) {
	t.Parallel()
	gone := standing{err: bytes.ErrTooLarge}
	for name, c := range map[string]struct {
		all    []standing
		lead   int
		one    bool
		inStep bool
	}{
		"in step":       {[]standing{{primary: true, offset: 10}, {linked: true, offset: 10}}, 0, true, true},
		"behind":        {[]standing{{primary: true, offset: 10}, {linked: true, offset: 9}}, 0, true, false},
		"not linked":    {[]standing{{primary: true, offset: 10}, {offset: 10}}, 0, true, false},
		"one away":      {[]standing{{primary: true, offset: 10}, gone}, 0, true, false},
		"two primaries": {[]standing{{primary: true, offset: 99, rank: 0}, {primary: true, offset: 10, rank: 1}}, 1, false, false},
		"two alike":     {[]standing{{primary: true, offset: 9}, {primary: true, offset: 10}}, 1, false, false},
		"none":          {[]standing{{linked: true}, gone}, -1, false, false},
	} {
		lead, one := leader(c.all)
		if lead != c.lead || one != c.one {
			t.Errorf("%s: leader %d, only one %v", name, lead, one)
		}
		if lead >= 0 && one && inStep(c.all, lead, c.all[lead].offset) != c.inStep {
			t.Errorf("%s: in step %v", name, !c.inStep)
		}
	}
}
