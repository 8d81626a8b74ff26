package verifier

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/eevans-d/simulacro/drills"
)

const streamKey = "simulacro:run-1:s:entries"

func (r *redisTrio) stream(t *testing.T, retries int, files *memSamples) *Canary {
	return NewCanary(CanaryConfig{
		Name: "events", Run: "run-1", Launcher: &inProcess{t: t}, Samples: files, Members: r.members,
		Spec: drills.CanarySpec{
			Kind: "redis-stream", Via: "sentinel", Sentinels: []string{r.sentinel.addr()}, Master: "m", Every: ms(5),
			Timeout: ms(400), Keys: "simulacro:{run}:s:*", Retries: retries, Purge: true,
		},
	})
}

// What becomes of acknowledged entries is told apart, on every member, and the ids are kept.
func TestStreamTellsFatesApart(t *testing.T) {
	t.Parallel()
	r, files := newRedisTrio(t), newMemSamples()
	c := r.stream(t, 0, files)
	r.one.loseTwoChangeOne()
	if err := c.Start(t.Context(), func(drills.Event) {}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "some entries", func() bool { return r.one.entries(streamKey) > 20 })
	r.one.set(func() {
		r.one.streams[streamKey] = append(r.one.streams[streamKey], fakeEntry{"18-0", []string{"n", "999999", "v", "x"}}, fakeEntry{"18-1", []string{"x", "y"}})
		r.one.streams["simulacro:run-2:s:entries"] = []fakeEntry{{"1-1", nil}}
	})
	if err := c.ReadBack(t.Context(), drills.Timing{}); err != nil {
		t.Fatal(err)
	}
	m := finished(t, c, drills.Timing{})
	if m.Error != "" || m.Lost != 2 || m.Corrupt != 1 || m.Phantom != 2 || m.Duplicated != 0 || m.Reordered != 0 || m.Survived != m.Acked-3 || len(m.Members) != 3 || m.Members[2].Found != m.Survived {
		t.Errorf("%+v", m)
	}
	if p := m.Positions; p == nil || !strings.HasPrefix(p.NewestAcked, "17-") || p.NewestSurviving != p.NewestAcked || p.NewestLost >= p.NewestAcked || p.Point >= p.NewestLost {
		t.Errorf("positions %+v", m.Positions)
	}
	if left := r.one.keys(); !m.Purged || r.one.entries(streamKey)+r.two.entries(streamKey) != 0 || r.one.entries("simulacro:run-2:s:entries") != 1 {
		t.Errorf("purge %q, left %v", m.PurgeProof, left)
	}
	again, err := MeasureCanary(bytes.NewReader(files.bytes(m.Raw)), drills.Timing{})
	again.Raw = m.Raw
	if diff := cmp.Diff(m, again); err != nil || diff != "" {
		t.Errorf("recomputed: %v\n%s", err, diff)
	}
}

// A write that was stored and never answered is there twice once it is tried again; without retries it is indeterminate.
func TestStreamRetries(t *testing.T) {
	t.Parallel()
	for retries, want := range map[int][2]int{0: {0, 2}, 1: {2, 0}} { // duplicated, indeterminate
		r := newRedisTrio(t)
		c := r.stream(t, retries, newMemSamples())
		once := map[string]bool{"5": true, "9": true}
		r.one.set(func() {
			r.one.swallow = func(seq string) bool { hit := once[seq]; delete(once, seq); return hit }
		})
		if err := c.Start(t.Context(), func(drills.Event) {}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "some entries", func() bool { return r.one.entries(streamKey) > 30 })
		if err := c.ReadBack(t.Context(), drills.Timing{}); err != nil {
			t.Fatal(err)
		}
		m := finished(t, c, drills.Timing{})
		if got := [2]int{m.Duplicated, m.Indeterminate}; got != want || m.Lost+m.Corrupt+m.Phantom+m.Reordered != 0 || m.Survived != m.Acked {
			t.Errorf("%d retries: duplicated and indeterminate %v, want %v: %+v", retries, got, want, m)
		}
	}
}

func TestDisorder(t *testing.T) {
	t.Parallel()
	all := map[int64]Sample{}
	for _, w := range writes("kkkikk") {
		all[w.Seq] = w
	}
	slow := all[4] // under way together with 5
	slow.Done = all[5].Send + 1
	all[4] = slow
	for name, c := range map[string]struct {
		order []int64
		want  int
	}{
		"in order":                         {[]int64{0, 1, 2, 3, 4, 5}, 0},
		"two swapped":                      {[]int64{0, 2, 1, 3}, 1},
		"the first one last":               {[]int64{1, 2, 0}, 1},
		"one far ahead":                    {[]int64{5, 0, 1, 2}, 3},
		"an indeterminate one may be late": {[]int64{0, 1, 2, 4, 3}, 0},
		"nothing may overtake one that came after": {[]int64{3, 2}, 1},
		"at the same time, either way":             {[]int64{5, 4}, 0},
		"unknown numbers":                          {[]int64{99, 0}, 0},
	} {
		if got := disorder(spans(c.order), all); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// Whatever the order: writes that did not overlap are counted exactly when an earlier one in the log was sent later, and
// none is counted in an order in which they could have been applied.
func TestDisorderProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 30).Draw(rt, "n")
		all := map[int64]Sample{}
		seqs := make([]int64, n)
		applied := map[int64]int64{}
		for i := range n {
			seq := int64(i)
			send := rapid.Int64Range(0, 1000).Draw(rt, "send")
			took := rapid.Int64Range(1, 50).Draw(rt, "took")
			seqs[i], all[seq] = seq, Sample{Seq: seq, Send: send, Done: send + took, Class: Good}
			applied[seq] = send + rapid.Int64Range(0, took).Draw(rt, "applied")
		}
		legal := slices.Clone(seqs)
		slices.SortStableFunc(legal, func(a, b int64) int { return int(applied[a] - applied[b]) })
		if got := disorder(spans(legal), all); got != 0 {
			rt.Fatalf("%d of a legal order", got)
		}
		mixed := rapid.Permutation(seqs).Draw(rt, "order")
		want := 0
		for i, b := range mixed {
			if slices.ContainsFunc(mixed[:i], func(a int64) bool { return all[a].Send > all[b].Done }) {
				want++
			}
		}
		if got := disorder(spans(mixed), all); got != want {
			rt.Fatalf("%d, want %d", got, want)
		}
	})
}

func TestStreamCannotWrite(t *testing.T) {
	t.Parallel()
	r := newRedisTrio(t)
	r.one.set(func() { r.one.refuse = "NOPERM this user has no permissions to run the 'xadd' command" })
	if err := r.stream(t, 1, newMemSamples()).Start(t.Context(), func(drills.Event) {}); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("start: %v", err)
	}
}

// At a failover the entries that only the old primary had are lost, the point is the last one before them.
func TestStreamAtAFailover(t *testing.T) {
	t.Parallel()
	r := newRedisTrio(t)
	c := r.stream(t, 1, newMemSamples())
	if err := c.Start(t.Context(), func(drills.Event) {}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "entries", func() bool { return r.two.entries(streamKey) > 20 })
	before := time.Now()
	r.one.set(func() { r.one.replicas = nil }) // cut off, and still acknowledging
	eventually(t, "entries on the old primary alone", func() bool { return r.one.entries(streamKey) > r.two.entries(streamKey)+10 })
	r.failover()
	held := r.two.entries(streamKey)
	eventually(t, "entries on the new primary", func() bool { return r.two.entries(streamKey) > held+10 })
	r.rejoin()
	r.one.set(func() {
		r.two.set(func() { r.one.streams = map[string][]fakeEntry{streamKey: slices.Clone(r.two.streams[streamKey])} })
	})
	tm := drills.Timing{T0: drills.At(before)}
	if err := c.ReadBack(t.Context(), tm); err != nil {
		t.Fatal(err)
	}
	m := finished(t, c, tm)
	if m.Error != "" || m.Lost < 10 || m.Lost+m.Survived != m.Acked || m.Corrupt+m.Phantom+m.Reordered != 0 || len(m.Spans) != 1 {
		t.Errorf("%+v", m)
	}
	if p := m.Positions; p == nil || p.NewestLost == "" || p.Point == "" || m.Point.To.After(m.Spans[0].FirstAck) {
		t.Errorf("%+v, point %v", p, m.Point)
	}
}
