package verifier

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/eevans-d/simulacro/drills"
)

// acked is one acknowledged write: sent at a millisecond, acknowledged one later, by a server.
func acked(seq, at int64, server string) Sample {
	from := testClock.Mono + at*int64(time.Millisecond)
	return Sample{Seq: seq, Send: from, Done: from + int64(time.Millisecond), Class: Good, Text: server}
}

func msBetween(from, to int64) drills.Interval {
	at := func(n int64) time.Time { return testClock.Time(testClock.Mono + n*int64(time.Millisecond)) }
	return drills.Interval{From: at(from), To: at(to)}
}

func splitLedger(name, connection string, held [][2]int64, ws ...Sample) *Ledger {
	return &Ledger{
		Meta:   CanaryMeta{Schema: CanarySchema, Name: name, Kind: "redis", Connection: connection, Mono: testClock.Mono, Wall: testClock.Wall},
		Writes: ws,
		Back: &holdings{From: testClock.Mono + 9e9, To: testClock.Mono + 10e9, Members: []Holding{
			{Member: "one", Address: "1:1", Role: "replica", Counts: true, Held: held}, {Member: "two", Address: "2:1", Role: "primary", Counts: true, Held: held},
		}},
	}
}

// A partition: the canary that follows goes to two at 100 ms; the pinned one is acknowledged by one until 140 ms, refused from
// 150 ms on, and finds that nothing written since 95 ms has survived.
func TestSplitAtAPartition(t *testing.T) {
	t.Parallel()
	app := splitLedger("app", "persistent", [][2]int64{{0, 9}}, acked(0, 0, "1:1"), acked(1, 50, "1:1"), acked(2, 100, "2:1"), acked(3, 200, "2:1"))
	refused := acked(8, 150, "")
	refused.Class, refused.Text = Failed, "READONLY"
	pinned := splitLedger("pinned", "pinned", [][2]int64{{0, 1}, {5, 5}}, acked(0, 10, "1:1"), acked(1, 60, "1:1"),
		acked(2, 95, "1:1"), acked(3, 100, "1:1"), acked(4, 101, "1:1"), acked(5, 120, "1:1"), acked(6, 140, "1:1"), refused)
	got := settleSplit("redis", []*Ledger{app, pinned})
	want := []drills.SplitPair{{
		Old: "one", New: "two", From: msBetween(100, 101), To: msBetween(140, 141), Acked: 3, AtMost: 4, Survived: 1, Lost: 2,
		Watched: true, Refused: msBetween(140, 151),
	}}
	if d := cmp.Diff(want, got.Pairs); d != "" || got.Error != "" {
		t.Errorf("%s (-want +got):\n%s", got.Error, d)
	}
	if len(got.Servers) != 2 || got.Servers[0].Server != "one" || got.Servers[0].Writes != 9 || got.Servers[0].Lost != 4 || got.Servers[1].Writes != 2 {
		t.Errorf("%+v", got.Servers)
	}
	again, err := MeasureSplit("redis", rawsOf(t, app, pinned))
	if d := cmp.Diff(got, again); err != nil || d != "" {
		t.Errorf("from the raw files: %v\n%s", err, d)
	}
}

func rawsOf(t *testing.T, ls ...*Ledger) []io.Reader {
	var out []io.Reader
	for _, l := range ls {
		f := &memFile{}
		w, err := newLedgerWriter(f, l.Meta)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range l.Writes {
			_ = w.write(s)
		}
		if err := w.back(*l.Back); err != nil {
			t.Fatal(err)
		}
		_ = w.close()
		out = append(out, bytes.NewReader(f.b.Bytes()))
	}
	return out
}

// A switchover, and the way back: the old primary acknowledges nothing while the new one does. Coming back later is no split.
func TestSplitWithoutOverlap(t *testing.T) {
	t.Parallel()
	all := [][2]int64{{0, 99}}
	app := splitLedger("app", "persistent", all, acked(0, 0, "1:1"), acked(1, 100, "2:1"), acked(2, 200, "2:1"), acked(3, 300, "1:1"))
	got := settleSplit("redis", []*Ledger{app})
	if len(got.Pairs) != 1 || got.Pairs[0].Acked+got.Pairs[0].AtMost != 0 || got.Pairs[0].Watched {
		t.Errorf("%+v", got)
	}
	pinned := splitLedger("pinned", "pinned", all, acked(0, 10, "1:1"))
	if got = settleSplit("redis", []*Ledger{app, pinned}); !got.Pairs[0].Watched || got.Pairs[0].Acked != 0 {
		t.Errorf("%+v", got)
	}
	app.Back = nil
	if got = settleSplit("redis", []*Ledger{app, pinned}); got.Error == "" || got.Pairs != nil {
		t.Errorf("not read back: %+v", got)
	}
	silent := splitLedger("app", "persistent", all, acked(0, 0, ""))
	if got = settleSplit("redis", []*Ledger{silent}); got.Error == "" {
		t.Errorf("nobody says who: %+v", got)
	}
}

// Whatever the order: the true number of writes that the old primary acknowledged after the new one's first lies in
// [Acked, AtMost], the true instants of acknowledgement being anywhere in each write's flight.
func TestSplitProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var old, now []Sample
		first := int64(1 << 62)
		var olds []int64
		for i := range rapid.IntRange(1, 40).Draw(rt, "writes") {
			send := rapid.Int64Range(0, 500).Draw(rt, "send")
			flight := rapid.Int64Range(1, 60).Draw(rt, "flight")
			at := send + rapid.Int64Range(0, flight).Draw(rt, "ack")
			w := Sample{Seq: int64(i), Send: testClock.Mono + send, Done: testClock.Mono + send + flight, Class: Good}
			if rapid.Bool().Draw(rt, "by the old one") {
				w.Text = "1:1"
				old, olds = append(old, w), append(olds, at)
			} else {
				w.Text = "2:1"
				now, first = append(now, w), min(first, at)
			}
		}
		if len(old) == 0 || len(now) == 0 {
			return
		}
		now = append(now, Sample{Seq: 99, Send: testClock.Mono + 1000, Done: testClock.Mono + 1001, Class: Good, Text: "2:1"})
		old = append(old, Sample{Seq: 98, Send: testClock.Mono - 10, Done: testClock.Mono - 9, Class: Good, Text: "1:1"})
		true_ := 0
		for _, at := range olds {
			if at >= first {
				true_++
			}
		}
		m := settleSplit("x", []*Ledger{splitLedger("p", "pinned", nil, old...), splitLedger("a", "persistent", nil, now...)})
		p := m.Pairs[0]
		if p.Old != "one" || true_ < p.Acked || true_ > p.AtMost || p.Lost != p.Acked {
			rt.Fatalf("true %d, %+v", true_, p)
		}
	})
}
