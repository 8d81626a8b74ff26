package load

import (
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier/load/open"
)

// measured is the result, once everything has ended. purged says by flow what became of what it wrote.
func (g *openGenerator) measured(purged map[string]string) drills.LoadMeasured {
	results := g.engine.Results()
	held, _ := g.engine.Held()
	m := drills.LoadMeasured{
		Wanted: g.wanted(), Connected: held, RampTook: g.args.Ramp,
		Saturated: g.saturated(results), RSSBytes: rss(), CPU: drills.Duration(cpuTime()), Series: g.series,
	}
	sum := newHistogram()
	kinds := map[string]bool{}
	var names []string
	for i, r := range results {
		f := g.args.Flows[i]
		x := flowMeasured(f, r)
		x.Purge = purged[f.Name]
		if !kinds[x.Kind] {
			kinds[x.Kind], names = true, append(names, x.Kind)
		}
		m.Flows = append(m.Flows, x)
		m.Expected, m.Received = m.Expected+int64(x.Due), m.Received+int64(x.Count.Good)
		m.LagP99 = max(m.LagP99, x.LagP99)
		sum.Merge(r.Histogram)
	}
	m.Engine = "open model, " + strings.Join(names, " and ")
	m.P50, m.P95, m.P99 = at(sum, 50), at(sum, 95), at(sum, 99)
	if sum.TotalCount() > 0 {
		m.Max = drills.Duration(time.Duration(sum.Max()) * time.Microsecond)
	}
	return m
}

func flowMeasured(f drills.LoadFlow, r open.Result) drills.FlowMeasured {
	x := drills.FlowMeasured{
		Name: f.Name, Kind: kindsOf(f)[0], Users: f.Users, Rate: f.Rate, Achieved: r.Achieved, Connections: f.Connections, Pipeline: r.Batch,
		Due: int(r.Due), Count: classesOf(r.Count), Unserved: int(r.Count[open.Unserved.String()]),
		P50: drills.Duration(r.Latency.P50), P95: drills.Duration(r.Latency.P95), P99: drills.Duration(r.Latency.P99), Max: drills.Duration(r.Latency.Max),
		WaitP95: drills.Duration(r.Wait.P95), ServiceP50: drills.Duration(r.Service.P50), ServiceP95: drills.Duration(r.Service.P95), ServiceP99: drills.Duration(r.Service.P99),
		LagP99: drills.Duration(r.Lag), Backlog: int(r.Backlog), Histogram: encoded(r.Histogram),
	}
	for _, op := range r.Ops {
		x.Ops = append(x.Ops, drills.OpMeasured{
			Name: op.Name, Count: classesOf(op.Count), Unserved: int(op.Count[open.Unserved.String()]),
			P50: drills.Duration(op.Latency.P50), P95: drills.Duration(op.Latency.P95), P99: drills.Duration(op.Latency.P99),
		})
	}
	for _, t := range r.Texts {
		x.Errors = append(x.Errors, drills.CountedText{Text: t.Text, Count: int(t.Count)})
	}
	return x
}

func classesOf(c open.Counts) drills.Classes {
	n := func(class open.Class) int { return int(c[class.String()]) }
	return drills.Classes{
		Good: n(open.Good), Failed: n(open.Failed), Refused: n(open.Refused), Timeout: n(open.Timeout),
		Throttled: n(open.Throttled), Unauthorised: n(open.Unauthorised), Malformed: n(open.Malformed), Observer: n(open.Observer),
	}
}

// encoded is a histogram as other tools read it; empty when there is nothing in it.
func encoded(h *hdrhistogram.Histogram) string {
	if h.TotalCount() == 0 {
		return ""
	}
	b, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return ""
	}
	return string(b)
}
