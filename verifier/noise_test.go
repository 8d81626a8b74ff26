package verifier

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// backdrop makes the samples of a probe of a system whose probes fail by themselves at a rate: ten seconds of settling, then
// so long; fail says whether slot i of the time after settling fails besides.
func backdrop(r *rand.Rand, hz int, rate float64, length time.Duration, fail func(i int) bool) (ProbeMeta, []Sample, drills.Interval) {
	period := int64(time.Second) / int64(hz)
	settled := 10 * hz
	out := make([]Sample, settled+int(length.Seconds())*hz)
	for i := range out {
		at := testClock.Mono + int64(i)*period
		out[i] = Sample{Seq: int64(i), Due: at, Send: at, Done: at + 1e6}
		if r.Float64() < rate || fail(i-settled) {
			out[i].Class = Failed
		}
	}
	meta := ProbeMeta{Schema: ProbeSchema, Every: drills.Duration(period), Settle: drills.Duration(10 * time.Second), Mono: testClock.Mono, Wall: testClock.Wall}
	return meta, out, drills.Interval{From: testClock.Wall, To: testClock.Wall.Add(10 * time.Second)}
}

// A system with errors of its own shows no outage in a minute, although ten seconds of settling cannot tell its error rate
// from none. Taken as it was seen, the baseline would invent one in one or two of a hundred such drills.
func TestNoFalseAlarmAgainstAShortBaseline(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 1)) //nolint:gosec // the same drills every time
	for range 400 {
		meta, s, steady := backdrop(r, 20, 0.01, time.Minute, func(int) bool { return false })
		if m := measure(meta, s, steady); len(m.Outages) > 0 {
			t.Fatalf("an outage out of noise: baseline %g, %+v", m.Baseline, m.Outages)
		}
	}
}

// A strip of all good probes for ten seconds, at 20 a second against errors of 0.5 % that were there before, is a matter of
// luck: at any moment it has a chance of 0.995^200 = 37 %, and most recoveries it dates late or never. The window that is
// held against the baseline finds every one of them where it was.
func TestTheStripThatNeverRecovers(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 1)) //nolint:gosec // the same drills every time
	const drillsMade, down, hz = 60, 100, 20
	strip, ours := 0, 0
	for range drillsMade {
		meta, s, _ := backdrop(r, hz, 0.005, 25*time.Second, func(i int) bool { return i >= 0 && i < down })
		out := Outages(s, 0.995, BracketOptions{Clock: testClock, Period: meta.Every.D(), Settle: 10 * time.Second, Typical: time.Millisecond})
		truth := testClock.Time(s[10*hz+down].Send)
		if len(out) == 1 && out[0].End != nil && out[0].End.To.Sub(truth).Abs() < 500*time.Millisecond {
			ours++
		}
		allGood := true
		for _, v := range s[10*hz+down : 10*hz+down+10*hz] {
			allGood = allGood && v.Class == Good
		}
		if allGood {
			strip++
		}
	}
	t.Logf("recovered where it was: %d of %d by the window, %d by the strip", ours, drillsMade, strip)
	if ours < drillsMade*95/100 || strip > drillsMade*60/100 {
		t.Errorf("recovered where it was: %d of %d by the window, %d by the strip", ours, drillsMade, strip)
	}
}

// Against a baseline that was measured, not known, every recovery is found, and its interval holds it: ten seconds of settling in
// which nothing failed do not tell that nothing ever does, and held against that alone, one or two of a hundred recoveries
// would be dated seconds late, the first ten seconds after them being less good than the baseline seemed.
func TestRecoveryAgainstAShortBaseline(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 1)) //nolint:gosec // the same drills every time
	for _, hz := range []int{20, 50} {
		const down, made = 2, 150
		wide := 0
		for range made {
			meta, s, steady := backdrop(r, hz, 0.01, 40*time.Second, func(i int) bool { return i >= 0 && i < down*hz })
			truth := testClock.Time(s[(10+down)*hz].Send)
			m := measure(meta, s, steady)
			if len(m.Outages) != 1 || m.Outages[0].End == nil {
				t.Fatalf("%d a second, baseline %g: %+v", hz, m.Baseline, m.Outages)
			}
			end := *m.Outages[0].End
			if end.To.Before(truth) || end.From.After(truth.Add(500*time.Millisecond)) { // a failure close behind is taken for its end
				t.Errorf("%d a second, baseline %g: ended in %v to %v after the truth", hz, m.Baseline, end.From.Sub(truth), end.To.Sub(truth))
			}
			if end.To.Sub(end.From) > time.Second {
				wide++
			}
		}
		if wide == 0 || wide > made/10 {
			t.Errorf("%d a second: the interval was wide in %d of %d", hz, wide, made)
		}
	}
}

func TestUpperRate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		k, n int
		want float64
	}{ // exact: 1-0.05^(1/n); the others from R, binom.test(k, n, alternative = "less")
		{0, 1000, 0.002991}, {0, 200, 0.014867}, {1, 200, 0.023498}, {5, 100, 0.102253}, {10, 10, 1}, {0, 0, 1},
	} {
		if got := UpperRate(c.k, c.n, 0.95); math.Abs(got-c.want) > 2e-5 {
			t.Errorf("%d of %d: %.6f, want %.6f", c.k, c.n, got, c.want)
		}
	}
}
