package verifier

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// Measure computes what the record says of a probe from its raw file and the settle window, SHA256 included; Raw (the
// file's name) and the error of a prober that died are the caller's. Finish uses the same function of the same values,
// so `verify` must arrive at the same result.
func Measure(raw io.Reader, steady drills.Interval) (drills.ProbeMeasured, error) {
	in, digest := digesting(raw)
	meta, samples, err := ReadRaw(in)
	if err != nil {
		return drills.ProbeMeasured{}, err
	}
	m := measure(meta, samples, steady)
	m.SHA256 = digest()
	return m, nil
}

// MeasureSamples is Measure of samples that are at hand, without SHA256.
func MeasureSamples(meta ProbeMeta, samples []Sample, steady drills.Interval) drills.ProbeMeasured {
	return measure(meta, samples, steady)
}

// measure sorts samples by their send stamps and judges them.
func measure(meta ProbeMeta, samples []Sample, steady drills.Interval) drills.ProbeMeasured {
	clock := meta.clock()
	s := slices.Clone(samples)
	slices.SortStableFunc(s, func(a, b Sample) int { return bySendAt(a, b.Send) })
	all := s
	s = scheduled(all)
	out := drills.ProbeMeasured{
		Name: meta.Name, Kind: meta.Kind, Place: meta.Place, Every: meta.Every, Timeout: meta.Timeout,
		Baseline: 1, Realtime: meta.Realtime, Count: summarise(s).count,
		Burst: countOf(all, Burst), Cuts: countOf(all, Cut),
	}
	cell, cells := strip(s)
	out.Cell, out.Strip = drills.Duration(cell), cells
	if len(s) == 0 {
		out.Error = "no sample arrived: nothing was measured"
		return out
	}
	out.From, out.To = clock.Time(s[0].Send), clock.Time(s[len(s)-1].Send)
	base := summarise(s)
	opt := BracketOptions{Clock: clock, Period: meta.Every.D(), Settle: meta.Settle.D(), Share: meta.Share}
	if !steady.IsZero() {
		base = summarise(within(s, mono(clock, steady.From), mono(clock, steady.To)))
		opt.Held = heldAbove(base.good)
		if base.count.Good+base.count.Bad() > 0 {
			out.Baseline = base.share
			opt.Noise = noise(base.count.Bad(), base.count.Good+base.count.Bad())
		}
	}
	opt.Typical = base.p99.D()
	out.Outages = Outages(all, out.Baseline, opt)
	out.Late, out.LateMax = lateness(s)
	out.Gap = drills.Duration(gap(s))
	out.Error = void(s, meta)
	return out
}

// scheduled are the samples of the schedule: extra ones come thicker in an outage and would outweigh them.
func scheduled(samples []Sample) []Sample {
	return slices.DeleteFunc(slices.Clone(samples), func(s Sample) bool { return s.Origin != Scheduled })
}

func countOf(samples []Sample, o Origin) int {
	n := 0
	for _, s := range samples {
		if s.Origin == o {
			n++
		}
	}
	return n
}

func lateness(samples []Sample) (p99, most drills.Duration) {
	late := make([]time.Duration, len(samples))
	for i, s := range samples {
		late[i] = s.Late()
	}
	return drills.Duration(Quantile(late, 0.99)), drills.Duration(slices.Max(late))
}

// gap is the longest time between samples that say something: throttled and similar ones leave a hole too.
func gap(samples []Sample) time.Duration {
	last, most := samples[0].Send, int64(0)
	for _, s := range samples {
		if !s.Class.Ours() {
			most, last = max(most, s.Send-last), s.Send
		}
	}
	return time.Duration(max(most, samples[len(samples)-1].Send-last))
}

// voidWindow is the shortest stretch of samples that say nothing by which a measurement is void.
const voidWindow = time.Second

// void says in which stretch more than half of the samples were ours (throttled, unauthorised, malformed, observer), so
// that nothing is known of the system; empty when there is none.
func void(samples []Sample, meta ProbeMeta) string {
	width := max(voidWindow, 10*meta.Every.D())
	first, last, a, ours := -1, -1, 0, 0
	for b, s := range samples {
		if s.Class.Ours() {
			ours++
		}
		for s.Send-samples[a].Send > int64(width) {
			if samples[a].Class.Ours() {
				ours--
			}
			a++
		}
		if s.Send-samples[a].Send >= int64(width-2*meta.Every.D()) && 2*ours > b-a+1 {
			if first < 0 {
				first = a
			}
			last = b
		}
	}
	if first < 0 {
		return ""
	}
	clock := meta.clock()
	class, text := commonest(samples[first : last+1])
	return fmt.Sprintf("from %s to %s more than half of the probes were %s (%s): they say nothing about the system",
		clock.Time(samples[first].Send).Format("15:04:05.000"), clock.Time(samples[last].Send).Format("15:04:05.000"), class, text)
}

// commonest is the most frequent class and text among the samples that are ours.
func commonest(samples []Sample) (Class, string) {
	type key struct {
		class Class
		text  string
	}
	n := map[key]int{}
	var best key
	for _, s := range samples {
		k := key{s.Class, s.Text}
		if !s.Class.Ours() {
			continue
		}
		if n[k]++; n[k] > n[best] {
			best = k
		}
	}
	return best.class, best.text
}
