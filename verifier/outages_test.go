package verifier

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/eevans-d/simulacro/drills"
)

var testClock = drills.Clock{Mono: 1_000_000, Wall: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}

const testPeriod = 50 * time.Millisecond

// story makes samples of a 20 Hz probe from letters: g good, f failed, r refused, t timeout, s slow, 4 throttled,
// u unauthorised, m malformed, o observer, h held (answered at the next capital H's moment), l late (answered after
// 60 ms), . a missed slot.
func story(s string) []Sample {
	letters := map[byte]Class{'g': Good, 'f': Failed, 'r': Refused, 't': Timeout, 's': Slow, '4': Throttled, 'u': Unauthorised, 'm': Malformed, 'o': Observer, 'h': Good, 'H': Good, 'l': Good}
	var out []Sample
	for i := range len(s) {
		if s[i] == '.' {
			continue
		}
		at := testClock.Mono + int64(i)*int64(testPeriod)
		v := Sample{Seq: int64(i), Due: at, Send: at, Done: at + int64(time.Millisecond), Class: letters[s[i]]}
		switch s[i] {
		case 't':
			v.Done = at + int64(250*time.Millisecond)
		case 'l':
			v.Done = at + int64(60*time.Millisecond)
		case 'h', 'H':
			end := i + strings.IndexByte(s[i:], 'H')
			v.Done = testClock.Mono + int64(end)*int64(testPeriod) + int64(30*time.Millisecond)
		}
		out = append(out, v)
	}
	return out
}

func g(n int) string { return strings.Repeat("g", n) }

func storyOptions() BracketOptions {
	return BracketOptions{Clock: testClock, Period: testPeriod, Settle: time.Second, Typical: 2 * time.Millisecond, Held: 20 * time.Millisecond}
}

func TestOutages(t *testing.T) {
	t.Parallel()
	type want struct {
		kind      drills.OutageKind
		lo, hi    int // slots of the last good before and of the first bad
		last, end int // slots of the last bad and of the first good after; -1: no end
		bad       int
	}
	for name, c := range map[string]struct {
		story string
		base  float64
		want  []want
	}{
		"nothing":                        {g(60), 1, nil},
		"one failure is noise":           {g(30) + "f" + g(30), 1, nil},
		"two failures are noise":         {g(30) + "ff" + g(30), 1, nil},
		"a streak of three":              {g(30) + "rrr" + g(30), 1, []want{{drills.Down, 29, 30, 32, 33, 3}}},
		"three at a half per cent":       {g(30) + "rrr" + g(30), 0.995, []want{{drills.Down, 29, 30, 32, 33, 3}}},
		"three at five per cent":         {g(30) + "rrr" + g(30), 0.95, nil},
		"seven at five per cent":         {g(30) + "rrrrrrr" + g(30), 0.95, []want{{drills.Down, 29, 30, 36, 37, 7}}},
		"every third of a second":        {g(30) + "fggfggfggfgg" + g(30), 1, []want{{drills.Down, 29, 30, 39, 40, 4}}},
		"stray failure before":           {g(10) + "f" + g(12) + "rrrrr" + g(30), 0.995, []want{{drills.Down, 22, 23, 27, 28, 5}}},
		"three of four":                  {g(30) + "rrgr" + g(30), 1, []want{{drills.Down, 29, 30, 33, 34, 3}}},
		"three at one per cent":          {g(30) + "rrr" + g(30), 0.99, nil},
		"four at one per cent":           {g(30) + "rrrr" + g(30), 0.99, []want{{drills.Down, 29, 30, 33, 34, 4}}},
		"late, each by itself":           {g(30) + "llllllllll" + g(30), 1, nil},
		"a hiccup and a failure":         {g(30) + "hHgf" + g(30), 1, nil},
		"a lone answer inside":           {g(30) + "rrrrgrrrr" + g(30), 1, []want{{drills.Down, 29, 30, 38, 39, 8}}},
		"a lone answer near the end":     {g(30) + "rrrrgrr" + g(30), 1, []want{{drills.Down, 29, 30, 36, 37, 6}}},
		"flapping within the window":     {g(30) + "rrrr" + g(10) + "rrrr" + g(30), 1, []want{{drills.Down, 29, 30, 47, 48, 8}}},
		"two outages":                    {g(30) + "rrrr" + g(25) + "tttt" + g(30), 1, []want{{drills.Down, 29, 30, 33, 34, 4}, {drills.Down, 58, 59, 62, 63, 4}}},
		"not over":                       {g(30) + "rrrr" + g(10), 1, []want{{drills.Down, 29, 30, 33, -1, 4}}},
		"from the beginning":             {"rrrrr" + g(30), 1, []want{{drills.Down, 0, 0, 4, 5, 5}}},
		"noise after recovery":           {g(30) + "rrrr" + g(8) + "f" + g(40), 0.995, []want{{drills.Down, 29, 30, 33, 34, 4}}},
		"slow":                           {g(30) + "ssss" + g(30), 1, []want{{drills.SlowBy, 29, 30, 33, 34, 4}}},
		"throttled is no outage":         {g(30) + "44444444" + g(30), 1, nil},
		"ours of every kind":             {g(30) + "44uummoo" + g(30), 1, nil},
		"ours widen the brackets":        {g(30) + "uurrroo" + g(30), 1, []want{{drills.Down, 29, 32, 34, 37, 3}}},
		"missed slots widen":             {g(30) + "..rrr..." + g(30), 1, []want{{drills.Down, 29, 32, 34, 38, 3}}},
		"a freeze below the timeout":     {g(30) + "hhhH" + g(30), 1, nil},
		"two held are a hiccup":          {g(30) + "hH" + g(30), 1, nil},
		"a freeze above the timeout":     {g(30) + "tttthhhhH" + g(30), 1, []want{{drills.Frozen, 29, 30, 38, -2, 9}}},
		"a gap too long to have settled": {g(30) + "rrrr" + "g" + strings.Repeat(".", 18) + g(2), 1, []want{{drills.Down, 29, 30, 33, -1, 4}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := Outages(story(c.story), c.base, storyOptions())
			if len(got) != len(c.want) {
				t.Fatalf("%d outages %+v, want %d", len(got), got, len(c.want))
			}
			at := func(slot int, plus time.Duration) time.Time {
				return testClock.Time(testClock.Mono + int64(slot)*int64(testPeriod) + int64(plus))
			}
			for i, w := range c.want {
				o := got[i]
				if o.Kind != w.kind || o.Bad != w.bad || !o.Start.From.Equal(at(w.lo, 0)) || o.Start.To.Before(at(w.hi, 0)) || o.Start.To.After(at(w.hi, 2*time.Millisecond)) {
					t.Errorf("outage %d: %s, %d bad, start %v", i, o.Kind, o.Bad, o.Start)
				}
				switch {
				case w.end == -1:
					if o.End != nil {
						t.Errorf("outage %d ends %v, want no end", i, *o.End)
					}
				case o.End == nil:
					t.Errorf("outage %d has no end", i)
				case w.end == -2: // all held are answered 30 ms after the last was sent
					if !o.End.From.Equal(at(w.last, 0)) || !o.End.To.Equal(at(w.last, 30*time.Millisecond)) {
						t.Errorf("outage %d ends %v", i, *o.End)
					}
				case !o.End.From.Equal(at(w.last, 0)) || !o.End.To.Equal(at(w.end, time.Millisecond)):
					t.Errorf("outage %d ends %v", i, *o.End)
				}
			}
		})
	}
}

// The last requests of a freeze wait for less than what counts as held; that they were not answered before its end shows
// that it still lasted when they were sent.
func TestTheLastRequestsOfAFreeze(t *testing.T) {
	t.Parallel()
	opt := storyOptions()
	opt.Held = 100 * time.Millisecond // of hhhhH, two are below
	got := Outages(story(g(28)+"tthhhhH"+g(30)), 1, opt)
	last := testClock.Time(testClock.Mono + 34*int64(testPeriod))
	if len(got) != 1 || got[0].Kind != drills.Frozen || got[0].Bad != 5 || !got[0].End.From.Equal(last) || !got[0].End.To.Equal(last.Add(30*time.Millisecond)) {
		t.Errorf("%+v, want an end between %s and 30 ms later", got, last)
	}
}

// Few enough failures for the window, but a streak of them: the system is not back yet.
func TestASecondStreakWithinTheWindow(t *testing.T) {
	t.Parallel()
	opt := storyOptions()
	opt.Settle = 10 * time.Second
	got := Outages(story(g(30)+"rrrr"+g(100)+"rrr"+g(250)), 1, opt)
	if len(got) != 1 || got[0].Bad != 7 || got[0].End == nil || !got[0].End.From.Equal(testClock.Time(testClock.Mono+136*int64(testPeriod))) {
		t.Errorf("%+v", got)
	}
}

func TestOutagesWithAStatedShare(t *testing.T) {
	t.Parallel()
	limping := g(30) + strings.Repeat("r", 20) + strings.Repeat("gggggggggf", 8) // 90 % for four seconds
	opt := storyOptions()
	if got := Outages(story(limping), 1, opt); len(got) != 1 || got[0].End != nil {
		t.Errorf("against the baseline it has not recovered, got %+v", got)
	}
	opt.Share = 0.9
	got := Outages(story(limping), 1, opt)
	if len(got) == 0 || got[0].End == nil || !got[0].End.From.Equal(testClock.Time(testClock.Mono+49*int64(testPeriod))) {
		t.Errorf("against 90 %% it has recovered after slot 49, got %+v", got)
	}
}

// world is a server with one outage of a known length, probed as the agent probes it.
type world struct {
	kind            string // refuse | blackhole | freeze
	period, timeout time.Duration
	down, up, until int64
	phase           int64
	rtt             func() int64
	late            func() int64
}

func (w world) samples() []Sample {
	var out []Sample
	for n := int64(0); ; n++ {
		due := w.phase + n*int64(w.period)
		send := due + w.late()
		if send > w.until {
			return out
		}
		out = append(out, w.probe(n, due, send))
	}
}

func (w world) probe(n, due, send int64) Sample {
	rtt := w.rtt()
	s := Sample{Seq: n, Due: due, Send: send, Done: send + rtt}
	if s.Done <= w.down || send >= w.up {
		return s
	}
	switch w.kind {
	case "refuse":
		s.Class = Refused
		if send < w.down {
			s.Class, s.Done = Failed, w.down+1
		}
	case "blackhole":
		s.Class, s.Done = Timeout, send+int64(w.timeout)
	case "freeze":
		s.Done = w.up + rtt
		if s.Done-send > int64(w.timeout) {
			s.Class, s.Done = Timeout, send+int64(w.timeout)
		}
	}
	return s
}

// Whatever the kind of outage, its length, the probe's period, phase and lateness: exactly one outage is found and the
// truth lies within its brackets, which are as narrow as the period allows.
func TestBracketsHoldTheTruth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		period := time.Duration(rapid.SampledFrom([]int{10, 20, 50, 100}).Draw(rt, "period ms")) * time.Millisecond
		timeout := time.Duration(rapid.SampledFrom([]int{100, 250, 1000}).Draw(rt, "timeout ms")) * time.Millisecond
		maxRTT := rapid.Int64Range(1e5, 5e6).Draw(rt, "max rtt")
		maxLate := rapid.SampledFrom([]int64{0, 1e6, int64(period) / 2}).Draw(rt, "max late")
		rnd := rapid.Custom(func(rt *rapid.T) int64 { return rapid.Int64Range(0, 1<<20).Draw(rt, "r") })
		down := int64(3e9) + rapid.Int64Range(0, 1e9).Draw(rt, "down")
		length := int64(5*period) + 25e6 + maxLate + rapid.Int64Range(0, 4e9).Draw(rt, "length")
		kind := rapid.SampledFrom([]string{"refuse", "blackhole", "freeze"}).Draw(rt, "kind")
		if kind == "freeze" { // a shorter one is no outage
			length += int64(timeout)
		}
		w := world{
			kind: kind, period: period, timeout: timeout,
			down: down, up: down + length, until: down + length + 4e9, phase: rapid.Int64Range(0, int64(period)).Draw(rt, "phase"),
		}
		seed := rnd.Draw(rt, "seed")
		next := func(limit int64) int64 {
			seed = (seed*6364136223846793005 + 1442695040888963407) & (1<<62 - 1)
			return (seed >> 20) % (limit + 1)
		}
		w.rtt = func() int64 { return maxRTT/2 + next(maxRTT/2) }
		w.late = func() int64 { return next(maxLate) }
		opt := BracketOptions{Clock: testClock, Period: period, Settle: 2 * time.Second, Typical: time.Duration(maxRTT), Held: 20 * time.Millisecond}
		samples := w.samples()
		got := Outages(samples, 1, opt)
		if len(got) != 1 || got[0].End == nil {
			rt.Fatalf("%d outages: %+v", len(got), got)
		}
		o := got[0]
		inside := func(i drills.Interval, at int64) bool {
			x := testClock.Time(at)
			return !x.Before(i.From) && !x.After(i.To)
		}
		if !inside(o.Start, w.down) || !inside(*o.End, w.up) {
			rt.Fatalf("truth %v to %v, brackets %v and %v", testClock.Time(w.down), testClock.Time(w.up), o.Start, *o.End)
		}
		slack := 2*period + time.Duration(2*maxLate+2*maxRTT)
		if w.kind == "freeze" {
			slack += min(timeout, 2*period) // with fewer than two held answers the end is only known to the timeout
			if timeout < 4*period {
				slack += timeout
			}
		}
		if o.Start.To.Sub(o.Start.From) > slack || o.End.To.Sub(o.End.From) > slack {
			rt.Fatalf("brackets wider than %v: %v, %v", slack, o.Start, *o.End)
		}
		if w.kind == "freeze" && timeout >= 4*period && o.Kind != drills.Frozen {
			rt.Fatalf("a freeze was taken for %s", o.Kind)
		}
	})
}

// The baseline's own noise makes no outage, and samples of ours never do, whatever their pattern.
func TestNoiseAndOursMakeNoOutage(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(100, 600).Draw(rt, "n")
		ours := []byte("4umo")
		b := []byte(strings.Repeat("g", n))
		judged, lastBad := 0, -200
		for i := range b {
			k := rapid.IntRange(0, 99).Draw(rt, "what")
			switch {
			case k < 40:
				b[i] = ours[k%4]
			case k == 99 && judged-lastBad > 100: // lone failures
				b[i], lastBad = 'f', judged
			}
			if k >= 40 {
				judged++
			}
		}
		if got := Outages(story(string(b)), 0.995, storyOptions()); len(got) != 0 {
			rt.Fatalf("%s\n%+v", b, got)
		}
	})
}

func TestMeasureVoidAndGap(t *testing.T) {
	t.Parallel()
	meta := ProbeMeta{Schema: ProbeSchema, Name: "p", Every: drills.Duration(testPeriod), Settle: drills.Duration(time.Second), Mono: testClock.Mono, Wall: testClock.Wall}
	for name, c := range map[string]struct {
		story string
		void  bool
		gap   time.Duration
	}{
		"clean":                 {g(60), false, 50 * time.Millisecond},
		"throttled for long":    {g(30) + strings.Repeat("4", 30) + g(30), true, 31 * 50 * time.Millisecond},
		"throttled for a blink": {g(30) + strings.Repeat("4", 5) + g(30), false, 6 * 50 * time.Millisecond},
		"every third":           {g(30) + strings.Repeat("4gg", 30) + g(30), false, 100 * time.Millisecond},
		"two of five":           {g(30) + strings.Repeat("44ggg", 20) + g(30), false, 150 * time.Millisecond},
		"two of three":          {g(30) + strings.Repeat("44g", 20) + g(30), true, 150 * time.Millisecond},
		"throttled to the end":  {g(30) + strings.Repeat("4", 40), true, 40 * 50 * time.Millisecond},
		"a stall is no void":    {g(30) + strings.Repeat(".", 40) + g(30), false, 41 * 50 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := measure(meta, story(c.story), drills.Interval{})
			if (m.Error != "") != c.void || m.Gap.D() != c.gap {
				t.Errorf("error %q, gap %v", m.Error, m.Gap)
			}
			if c.void && !strings.Contains(m.Error, "throttled") {
				t.Errorf("the error does not say why: %q", m.Error)
			}
		})
	}
	if m := measure(meta, nil, drills.Interval{}); m.Error == "" {
		t.Error("no samples must be an error")
	}
}

// The steady state decides what is noise and what is held back.
func TestMeasureUsesTheSettleWindow(t *testing.T) {
	t.Parallel()
	meta := ProbeMeta{Schema: ProbeSchema, Every: drills.Duration(testPeriod), Settle: drills.Duration(time.Second), Mono: testClock.Mono, Wall: testClock.Wall}
	noisy := strings.Repeat("gggf", 60)
	steady := drills.Interval{From: testClock.Wall, To: testClock.Wall.Add(10 * time.Second)}
	if m := measure(meta, story(noisy+noisy), steady); m.Baseline > 0.8 || len(m.Outages) != 0 {
		t.Errorf("a noisy system has a noisy baseline: %v %+v", m.Baseline, m.Outages)
	}
	if m := measure(meta, story(g(200)+noisy), steady); m.Baseline != 1 || len(m.Outages) != 1 {
		t.Errorf("noise after a clean baseline is an outage: %v %+v", m.Baseline, m.Outages)
	}
	if m := measure(meta, story(g(220)+"tthhhhH"+g(40)), steady); len(m.Outages) != 1 || m.Outages[0].Kind != drills.Frozen || m.Outages[0].Bad != 7 {
		t.Errorf("a freeze longer than the timeout: %+v", m.Outages)
	}
	if m := measure(meta, story(g(20)+"hhhhH"+g(200)+"tthhhhH"+g(40)), steady); len(m.Outages) != 0 {
		t.Errorf("what the baseline showed is no freeze: %+v", m.Outages)
	}
}
