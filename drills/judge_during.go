package drills

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

func (f *folder) judgeDuring(now time.Time) []Judged {
	var out []Judged
	for _, d := range f.drill.Expect.During {
		j := Judged{ID: "during:" + d.Title, Title: d.Title, Cause: "during"}
		switch {
		case !now.IsZero():
			j.Verdict, j.Actual = Pending, "not decided yet"
		case d.Probe != "":
			j = f.judgeProbeWindow(j, d)
		default:
			j = f.judgeQuery(j, d)
		}
		out = append(out, j)
	}
	return out
}

func (f *folder) judgeProbeWindow(j Judged, d During) Judged {
	i := slices.IndexFunc(f.windows, func(w WindowStat) bool { return w.Title == d.Title && w.Probe == d.Probe })
	if i < 0 || f.windows[i].Count.Total() == 0 {
		j.Verdict, j.Actual, j.Why = NotMeasured, "not measured", "the window was not reached"
		return j
	}
	w := f.windows[i]
	j.Actual = fmt.Sprintf("%.2f%% of %d, p95 %s, p99 %s", w.Share*100, w.Count.Good+w.Count.Bad(), w.P95.D().Round(time.Millisecond), w.P99.D().Round(time.Millisecond))
	j.Target = strings.TrimSpace(fmt.Sprintf("%s %s", shareText(d.Success), latencyText(d)))
	switch {
	case w.Count.Good+w.Count.Bad() < d.MinSamples:
		j.Verdict, j.Why = Unclear, fmt.Sprintf("only %d samples, %d are needed", w.Count.Good+w.Count.Bad(), d.MinSamples)
	case w.Share < float64(d.Success), d.P95 > 0 && w.P95 >= d.P95, d.P99 > 0 && w.P99 >= d.P99:
		j.Verdict, j.Why = NotMet, fmt.Sprintf("%s: %s", d.Title, j.Actual)
	default:
		j.Verdict = Met
	}
	return j
}

func shareText(s Share) string {
	if s == 0 {
		return ""
	}
	return fmt.Sprintf(">= %g%%", float64(s)*100)
}

func latencyText(d During) string {
	var out []string
	if d.P95 > 0 {
		out = append(out, "p95 < "+d.P95.String())
	}
	if d.P99 > 0 {
		out = append(out, "p99 < "+d.P99.String())
	}
	return strings.Join(out, ", ")
}

func (f *folder) judgeQuery(j Judged, d During) Judged {
	i := slices.IndexFunc(f.queries, func(q QueryResult) bool { return q.Title == d.Title })
	if i < 0 || f.queries[i].NoData || f.queries[i].Error != "" {
		j.Verdict, j.Actual, j.Why = Unclear, "no data", "the query had no data"
		if d.NoData == "fail" {
			j.Verdict = NotMet
		}
		return j
	}
	q := f.queries[i]
	j.Actual = fmt.Sprintf("%g to %g over %d points", q.Min, q.Max, q.Samples)
	j.Verdict = Met
	if d.Max != nil {
		j.Target = fmt.Sprintf("<= %g", *d.Max)
	}
	if (d.Max != nil && q.Max > *d.Max) || (d.Min != nil && q.Min < *d.Min) {
		j.Verdict, j.Why = NotMet, fmt.Sprintf("%s: %s", d.Title, j.Actual)
		return j
	}
	return f.unseen(j, q.Window.From, q.Window.To, BlindPrometheus) // what lies before the gap fills it in Prometheus's answer
}
