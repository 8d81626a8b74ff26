package load

import (
	"cmp"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/eevans-d/simulacro/drills"
)

// measured is the result, once everything has ended.
func (g *generator) measured(held memory) drills.LoadMeasured {
	a := g.account
	_, peak, _ := a.held()
	expected, got, _ := a.settled()
	a.mu.Lock()
	defer a.mu.Unlock()
	all, arrival, lag, connects := a.delivery.histogram(), a.arrival.histogram(), a.lag.histogram(), a.connects.histogram()
	m := drills.LoadMeasured{
		Engine: g.engine, Wanted: g.args.Connections, Connected: peak,
		FailedDials: int(a.sum.Failed), DialErrors: counted(a.errors), Drops: int(a.sum.Drops), Cut: int(a.sum.Cut), Reconnects: int(a.sum.Reconnects),
		Expected: expected, Received: got, Duplicated: a.sum.Duplicated, Reordered: a.sum.Reordered,
		P50: at(all, 50), P95: at(all, 95), P99: at(all, 99),
		Arrived: quantiles(arrival), Reading: quantiles(lag),
		ConnectP50: at(connects, 50), ConnectP99: at(connects, 99),
		RampTook: drills.Duration(g.ramp), LagP99: g.lag.at(99), RSSBytes: held.rss, MemoryBytes: held.pss, CPU: drills.Duration(cpuTime()), Series: g.series,
		Storms: storms(a.log, a.base, g.args.Connections, a.clock.wall),
	}
	if all.TotalCount() > 0 {
		m.Max = drills.Duration(time.Duration(all.Max()) * time.Microsecond)
	}
	var late drills.Duration
	if g.pub != nil {
		m.Published, m.PublishFail = int(g.pub.sent.Load()), int(g.pub.failed.Load())
		late = g.pub.late.at(99)
	}
	for _, s := range a.shares {
		m.CPU += drills.Duration(s.last.CPU)
		g.limits.threads = max(g.limits.threads, s.last.Busy)
		if s.last.Note != "" {
			m.Note = s.last.Note
		}
	}
	g.limits.sockets, g.limits.tokens, g.limits.lost = a.sum.Sockets, a.sum.Tokens, len(a.lost)
	m.Saturated = g.limits.saturated(m.LagP99.D(), late.D(), m.Reading.P99.D())
	return m
}

// memory is what all processes of the load use together: resident pages added up, and with shared pages counted once.
type memory struct{ rss, pss int64 }

func (g *generator) memory() memory {
	m := memory{rss(), pss()}
	g.account.mu.Lock()
	defer g.account.mu.Unlock()
	for _, s := range g.account.shares {
		m.rss += s.last.RSS
		m.pss += s.last.PSS
	}
	return m
}

// quantiles of a histogram; zeros when nothing was recorded.
func quantiles(h *hdrhistogram.Histogram) drills.Quantiles {
	return drills.Quantiles{P50: at(h, 50), P95: at(h, 95), P99: at(h, 99)}
}

// counted lists the error texts, the most frequent first.
func counted(errors map[string]int) []drills.CountedText {
	var out []drills.CountedText
	for text, n := range errors {
		out = append(out, drills.CountedText{Text: text, Count: n})
	}
	slices.SortFunc(out, func(x, y drills.CountedText) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Text, y.Text))
	})
	return out
}
