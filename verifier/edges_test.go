package verifier

import (
	"slices"
	"testing"
	"time"
)

// feed hands a story to a live follower in the order in which the probes ended, and returns the edges.
func feed(l *live, s []Sample) []string {
	byDone := slices.Clone(s)
	slices.SortStableFunc(byDone, func(a, b Sample) int { return int(a.Done - b.Done) })
	var out []string
	for _, v := range byDone {
		if e := l.add(v); e != nil {
			slot := e.Since.Sub(testClock.Wall) / testPeriod
			out = append(out, itoa(int64(slot))+" "+map[bool]string{true: "good", false: e.Class}[e.Good])
		}
	}
	return out
}

func TestLiveEdges(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		story string
		base  float64
		want  []string
	}{
		"good all along":           {g(40), 1, nil},
		"noise":                    {g(10) + "f" + g(20) + "f" + g(10), 0.995, nil},
		"refused and back":         {g(10) + "rrrrr" + g(20), 1, []string{"10 refused", "15 good"}},
		"timeouts end out of turn": {g(10) + "tttttttt" + g(20), 1, []string{"10 timeout", "18 good"}},
		"back only for a moment":   {g(10) + "rrrr" + g(5) + "rrrr" + g(20), 1, []string{"10 refused", "23 good"}},
		"throttled":                {g(10) + "44444" + g(20), 1, []string{"12 throttled", "15 good"}},
		"a blink of ours":          {g(10) + "44" + g(20), 1, nil},
		"throttled, then down":     {g(10) + "4444rrrr" + g(20), 1, []string{"12 throttled", "14 refused", "18 good"}},
		"a noisy baseline":         {g(10) + "rrr" + g(20), 0.9, nil},
		"two outages":              {g(10) + "rrrr" + g(15) + "ffff" + g(15), 1, []string{"10 refused", "14 good", "29 failed", "33 good"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLive("p", testClock)
			l.baseline(failureRate(c.base))
			if got := feed(l, story(c.story)); !slices.Equal(got, c.want) {
				t.Errorf("edges %q, want %q", got, c.want)
			}
		})
	}
}

// With one probe a second, half a second of good answers is at least three of them.
func TestLiveEdgesOfASlowProbe(t *testing.T) {
	t.Parallel()
	l := newLive("p", testClock)
	var edges int
	for i, c := range []Class{Good, Good, Refused, Refused, Refused, Good, Good, Good} {
		at := testClock.Mono + int64(i)*int64(time.Second)
		if e := l.add(Sample{Send: at, Done: at + 1, Class: c}); e != nil {
			edges++
			if e.Good && i != 7 {
				t.Errorf("good again after %d answers", i-4)
			}
		}
	}
	if edges != 2 {
		t.Errorf("%d edges", edges)
	}
}

// An answer that comes after the failures but was sent before them is no sign of recovery.
func TestLiveEdgesIgnoreAnswersFromBefore(t *testing.T) {
	t.Parallel()
	l := newLive("p", testClock)
	at := func(i int) int64 { return testClock.Mono + int64(i)*int64(testPeriod) }
	for i := 1; i < 5; i++ {
		l.add(Sample{Send: at(i), Done: at(i) + 1, Class: Refused})
	}
	l.add(Sample{Send: at(0), Done: at(6), Class: Good})
	for i := 6; ; i++ {
		if e := l.add(Sample{Send: at(i), Done: at(i) + 1, Class: Good}); e != nil {
			if !e.Good || !e.Since.Equal(testClock.Time(at(6))) || i < 16 {
				t.Errorf("edge at %d: %+v", i, e)
			}
			return
		}
	}
}
