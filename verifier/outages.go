package verifier

import (
	"math"
	"slices"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// BracketOptions are what Outages needs to know beside the samples.
type BracketOptions struct {
	Clock   drills.Clock  // maps stamps to wall time
	Period  time.Duration // of the probe
	Settle  time.Duration // recovery.for: how long the share must be back at the baseline
	Share   float64       // a stated share that counts as recovered; 0: the baseline's own
	Noise   float64       // failure rate that steady state may have (see noise); 0: the baseline's, taken as known
	Typical time.Duration // ordinary latency (p99 of the baseline), see start
	Held    time.Duration // a slower answer was held back; 0: unknown, no freeze is looked for
}

// ordinary is the quantile up to which failures in a recovery window count as the baseline's own noise.
const ordinary = 0.999

// Outages finds the outages in a probe's samples (any order) and brackets their ends; base is the share of good probes
// in steady state. Pure. The rules (MEASUREMENT section 5, DESIGN section 5):
//
//   - Samples classed ours (throttled, unauthorised, malformed, observer) say nothing and are left out; the hole they
//     leave widens the brackets.
//   - An outage begins where a detector sees the failure rate rise beyond what the baseline's may be (see detector and
//     noise), or with a freeze.
//   - It ends at the first answer from which a window of length Settle has no more failures than the baseline's own noise
//     (99.9 % quantile of the binomial) and no new alarm; flapping inside Settle is one outage. No such window: no end.
//     The baseline as seen decides, since it is the stricter; what it may be as well (noise) can only move the end's lower bound
//     to an earlier first answer: a short baseline does not tell errors that were always there from a recovery that is not one.
//   - Start = [send of the last good, send of the first bad + its time in flight]: the last good one was answered, so
//     the system was up when it was sent; the first bad one failed, so the system went down before it would have been
//     answered. The time in flight is at most Typical plus the prober's own lateness, and at most until it failed.
//   - End = [send of the last bad, first answer]. In a freeze requests are held and answered together at its end: the
//     held ones were sent while it was still frozen, so the last of their sends bounds the end from below (see also
//     lastHeld) and the earliest of their answers from above.
//   - Whether there is an outage, and at which slots of the schedule, is decided by scheduled samples alone. Burst samples
//     then narrow the two edges, between the slots on either side of them (see burst). A cut of the idle connection within
//     the beginning's interval is its best estimate (Began); it never narrows the interval, since a service may stop
//     answering before its connections break, and after.
func Outages(samples []Sample, base float64, opt BracketOptions) []drills.Outage {
	f := newFinder(samples, base, opt)
	var out []drills.Outage
	for at := 0; ; {
		first, alarm, ok := f.begin(at)
		if !ok {
			return out
		}
		last, ended := f.end(first)
		if !ended || last >= alarm { // else it was back at the baseline before the evidence was complete: noise
			out = append(out, f.outage(first, last, ended))
		}
		if !ended {
			return out
		}
		at = last + 1
	}
}

// finder holds the judged samples, ordered by send.
type finder struct {
	opt    BracketOptions
	s      []Sample // of the schedule
	extra  []Sample // of bursts
	cuts   []Sample
	ice    []bool  // part of a freeze
	noise  float64 // failure rate beyond which an outage begins
	target float64 // failure rate that a recovery window is held against: as seen, which is stricter
}

func newFinder(samples []Sample, base float64, opt BracketOptions) *finder {
	f := &finder{opt: opt, noise: failureRate(base), target: failureRate(base)}
	if opt.Noise > 0 {
		f.noise = opt.Noise
	}
	for _, s := range samples {
		switch {
		case s.Origin == Cut:
			f.cuts = append(f.cuts, s)
		case s.Class.Ours():
		case s.Origin == Burst:
			f.extra = append(f.extra, s)
		default:
			f.s = append(f.s, s)
		}
	}
	for _, list := range [][]Sample{f.s, f.extra} {
		slices.SortStableFunc(list, func(a, b Sample) int { return bySendAt(a, b.Send) })
	}
	f.ice = frozen(f.s, opt.Held, opt.Period)
	if opt.Share > 0 {
		f.target = failureRate(opt.Share)
	}
	return f
}

func (f *finder) bad(i int) bool { return f.s[i].Class.Bad() || f.ice[i] }

// begin finds the first bad sample of the next outage at or after index from, and the sample that made it one.
func (f *finder) begin(from int) (first, alarm int, ok bool) {
	d := newDetector(f.noise)
	for i := from; i < len(f.s); i++ {
		if first, alarm, ok := d.add(i, f.bad(i)); ok {
			return first, alarm, true
		}
	}
	return 0, 0, false
}

// end finds the last bad sample of the outage that begins at first. False: it has not ended.
func (f *finder) end(first int) (last int, ended bool) {
	last = first
	for j := first + 1; j < len(f.s); j++ {
		if f.bad(j) {
			last = j
			continue
		}
		if over, ok := f.recovered(j); ok {
			return f.straggler(last, j, over), true
		}
	}
	return last, false
}

// recovered tells whether the window that starts at sample j is back at the baseline, and where it ends.
func (f *finder) recovered(j int) (int, bool) {
	until := f.s[j].Send + int64(f.opt.Settle)
	if f.s[len(f.s)-1].Send < until-int64(f.opt.Period)*3/2 {
		return 0, false // not observed for long enough
	}
	want := int(f.opt.Settle / max(f.opt.Period, time.Microsecond))
	limit := f.allowed(want)
	d := newDetector(f.target)
	k, bad := j, 0
	for ; k < len(f.s) && f.s[k].Send < until; k++ {
		if f.bad(k) {
			bad++
		}
		if _, _, alarm := d.add(k, f.bad(k)); alarm || bad > limit {
			return 0, false
		}
	}
	n := k - j
	return k, 2*n >= want && bad <= f.allowed(n)
}

func (f *finder) allowed(n int) int {
	if f.opt.Share > 0 {
		return int(math.Floor(float64(n)*(1-f.opt.Share) + 1e-9))
	}
	return binomialQuantile(n, f.target, ordinary)
}

// straggler moves the last bad sample past a lone answer among the last failures: the most likely change point is where
// the sum of the detector's scores is greatest.
func (f *finder) straggler(last, j, over int) int {
	score := newCusum(f.target, (1+f.target)/2)
	sum, best := 0.0, 0.0
	for k := j; k < over; k++ {
		if !f.bad(k) {
			sum += score.good
			continue
		}
		if sum += score.bad; sum > best {
			best, last = sum, k
		}
	}
	return last
}

func (f *finder) outage(first, last int, ended bool) drills.Outage {
	out := drills.Outage{Start: f.start(first), Samples: last - first + 1, Kind: drills.Down}
	out.Began = f.began(out.Start)
	slow := 0
	for i := first; i <= last; i++ {
		if f.bad(i) {
			out.Bad++
		}
		if f.s[i].Class == Slow {
			slow++
		}
	}
	switch {
	case f.ice[last]:
		out.Kind = drills.Frozen
	case 2*slow > out.Bad:
		out.Kind = drills.SlowBy
	}
	if ended {
		end := f.finish(last)
		if at := f.earliest(first, last); at < last {
			end.From = f.finish(at).From
		}
		out.End = &end
	}
	return out
}

// earliest is the last bad sample of an outage were the baseline as noisy as it may be; last where a share is stated.
func (f *finder) earliest(first, last int) int {
	if f.opt.Share > 0 || f.noise <= f.target {
		return last
	}
	noisy := *f
	noisy.target = f.noise
	if at, ended := noisy.end(first); ended {
		return min(at, last)
	}
	return last
}

// start brackets the beginning: see Outages.
func (f *finder) start(first int) drills.Interval {
	s := f.s[first]
	from := s.Send
	for i := first - 1; i >= 0; i-- {
		if !f.bad(i) {
			from = f.s[i].Send
			break
		}
	}
	from, s = f.burstStart(from, s)
	to := min(s.Done, s.Send+int64(f.opt.Typical)+int64(s.Late()))
	return f.interval(from, max(from, to))
}

// finish brackets the end: see Outages.
func (f *finder) finish(last int) drills.Interval {
	to := int64(math.MaxInt64)
	for i := last; i >= 0 && f.ice[i]; i-- {
		if held(f.s[i], f.opt.Held) {
			to = min(to, f.s[i].Done)
		}
	}
	for i := last + 1; i < len(f.s) && f.s[i].Send < to; i++ {
		if !f.bad(i) {
			to = min(to, f.s[i].Done)
		}
	}
	from := int64(math.MinInt64)
	for i := last; i >= 0 && from == math.MinInt64; i-- {
		if f.bad(i) && f.s[i].Send < to {
			from = f.s[i].Send
		}
	}
	if f.ice[last] {
		from = max(from, f.lastHeld(last, to))
	}
	from, to = f.burstEnd(from, to)
	return f.interval(min(from, to), to)
}

// lastHeld is when the last request was sent that a freeze held for so short that its latency alone does not show it: sent
// before the freeze's first answer, and not answered before that although ordinary answers take less (99 % of them).
func (f *finder) lastHeld(last int, to int64) int64 {
	sent := int64(math.MinInt64)
	for i := last + 1; i < len(f.s) && f.s[i].Send < to-int64(f.opt.Typical); i++ {
		if f.s[i].Done >= to {
			sent = f.s[i].Send
		}
	}
	return sent
}

func (f *finder) interval(from, to int64) drills.Interval {
	return drills.Interval{From: f.opt.Clock.Time(from), To: f.opt.Clock.Time(to)}
}
