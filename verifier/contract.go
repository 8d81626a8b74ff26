package verifier

import (
	"cmp"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// windowStat is what the record says of a probe over one window. Windows and MeasureWindows both use it.
func windowStat(samples []Sample, w drills.WindowStat, asked *drills.Answers) drills.WindowStat {
	sum := summarise(samples)
	w.Count, w.Share, w.P50, w.P95, w.P99, w.Degraded = sum.count, sum.share, sum.p50, sum.p95, sum.p99, nil
	if asked != nil {
		w.Degraded = contractStat(samples, *asked)
	}
	return w
}

// MeasureWindows counts a probe's windows anew from its raw file: what the journal says of them must follow from it.
func MeasureWindows(raw io.Reader, was []drills.WindowStat) ([]drills.WindowStat, error) {
	meta, samples, err := ReadRaw(raw)
	if err != nil {
		return nil, err
	}
	out := make([]drills.WindowStat, 0, len(was))
	for _, w := range was {
		var asked *drills.Answers
		if w.Degraded != nil {
			asked = &w.Degraded.Asked
		}
		in := sentIn(samples, mono(meta.clock(), w.Window.From), mono(meta.clock(), w.Window.To))
		out = append(out, windowStat(in, w, asked))
	}
	return out, nil
}

// sentIn are the samples of the schedule, in any order, that were sent in [from, to).
func sentIn(samples []Sample, from, to int64) []Sample {
	var in []Sample
	for _, v := range samples {
		if v.Origin == Scheduled && v.Send >= from && v.Send < to {
			in = append(in, v)
		}
	}
	return in
}

// contractStat counts what a contract is judged by.
func contractStat(samples []Sample, asked drills.Answers) *drills.ContractStat {
	out := &drills.ContractStat{Asked: asked}
	said := map[drills.Said]int{}
	slowest := map[drills.Said]time.Duration{}
	var took []time.Duration
	for _, s := range samples {
		k := drills.Said{Class: s.Class.String(), Text: s.Text}
		said[k]++
		slowest[k] = max(slowest[k], s.Latency())
		inTime := asked.Within == 0 || s.Latency() <= asked.Within.D()
		allowed := refusedAs(s, asked.Allowed)
		switch {
		case s.Class == Good && inTime:
			out.InTime++
		case allowed && inTime:
			out.Honest++
		}
		if allowed || s.Class == Good || s.Class == Slow || s.Class == Timeout {
			took = append(took, s.Latency())
		}
	}
	for k, n := range said {
		k.Count, k.Slowest = n, drills.Duration(slowest[k])
		out.Said = append(out.Said, k)
	}
	slices.SortFunc(out.Said, func(a, b drills.Said) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Text, b.Text))
	})
	slices.Sort(took)
	out.P50, out.P95, out.P99 = quantileBounds(took, 0.50), quantileBounds(took, 0.95), quantileBounds(took, 0.99)
	return out
}

// refusedAs tells whether a bad answer begins like one of those that are allowed.
func refusedAs(s Sample, allowed []string) bool {
	return s.Class.Bad() && slices.ContainsFunc(allowed, func(a string) bool { return strings.HasPrefix(s.Text, a) })
}

// quantileBounds brackets the q-quantile between two order statistics of sorted values, each a one-sided 95 % bound:
// P[X(l) > quantile] = P[Bin(n, q) < l] and P[X(u) < quantile] = P[Bin(n, q) >= u] (David and Nagaraja, Order
// Statistics, 3rd ed., 7.1). Too few values leave Hi at zero.
func quantileBounds(sorted []time.Duration, q float64) drills.Quantile {
	n := len(sorted)
	if n == 0 {
		return drills.Quantile{}
	}
	out := drills.Quantile{At: drills.Duration(Quantile(sorted, q))}
	if l := binomialQuantile(n, q, 0.05); l > 0 {
		out.Lo = drills.Duration(sorted[l-1])
	}
	if u := binomialQuantile(n, q, 0.95) + 1; u <= n {
		out.Hi = drills.Duration(sorted[u-1])
	}
	return out
}
