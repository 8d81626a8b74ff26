package load

import (
	"cmp"
	"slices"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// measured is the result, once everything has ended.
func (g *generator) measured(memory int64) drills.LoadMeasured {
	b, all := g.book, g.book.delivery.all()
	_, peak := b.held()
	expected, got := b.settled()
	m := drills.LoadMeasured{
		Engine: g.engine.name(), Wanted: g.args.Connections, Connected: peak,
		FailedDials: int(b.failedDials.Load()), DialErrors: b.counted(), Drops: int(b.drops.Load()), Reconnects: int(b.reconnects.Load()),
		Expected: expected, Received: got, Duplicated: b.duplicates.Load(),
		P50: at(all, 50), P95: at(all, 95), P99: at(all, 99),
		ConnectP50: b.connecting.at(50), ConnectP99: b.connecting.at(99),
		RampTook: drills.Duration(g.ramp), LagP99: g.lag.at(99), RSSBytes: memory, CPU: drills.Duration(cpuTime()), Series: g.series,
	}
	if all.TotalCount() > 0 {
		m.Max = drills.Duration(time.Duration(all.Max()) * time.Microsecond)
	}
	var late drills.Duration
	if g.pub != nil {
		m.Published, m.PublishFail = int(g.pub.sent.Load()), int(g.pub.failed.Load())
		late = g.pub.late.at(99)
	}
	m.Saturated = b.limits.saturated(g.args.Connections, m.LagP99.D(), late.D())
	return m
}

// counted lists the error texts, the most frequent first.
func (b *book) counted() []drills.CountedText {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []drills.CountedText
	for text, n := range b.errors {
		out = append(out, drills.CountedText{Text: text, Count: n})
	}
	slices.SortFunc(out, func(x, y drills.CountedText) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Text, y.Text))
	})
	return out
}

// firstHeld is when the first connection was held; zero when none was.
func (b *book) firstHeld() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.first.UTC()
}
