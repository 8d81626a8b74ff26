package monitor

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/eevans-d/simulacro/drills"
)

// Prometheus refuses more points in one series.
const maxPoints = 11000

// assumedScrape is used when Prometheus does not say how often it scrapes; the result says so.
const assumedScrape = 15 * time.Second

// queryTimeout bounds one range query.
const queryTimeout = 15 * time.Second

// Windows implements drills.Windower: one query event for every window whose During has PromQL. A query that
// fails, or has no series, says so in its result (no data): it is never a pass, and never an error of the run.
func (m *Monitor) Windows(ctx context.Context, ws []drills.NamedWindow) ([]drills.Event, error) {
	var out []drills.Event
	var res resolution
	for _, w := range ws {
		if w.During.PromQL == "" {
			continue
		}
		if m.prom != nil && res.step == 0 {
			res = m.resolution(ctx)
		}
		r := m.query(ctx, w, res)
		out = append(out, drills.Event{At: time.Now().UTC(), Kind: drills.EvQuery, Query: &r})
	}
	return out, ctx.Err()
}

// resolution is how finely Prometheus sees, and how we know.
type resolution struct {
	step time.Duration
	text string
}

func (m *Monitor) resolution(ctx context.Context) resolution {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	ts, err := m.prom.targets(ctx)
	lo, hi := scrapes(ts)
	switch {
	case err != nil || lo == 0:
		return resolution{assumedScrape, fmt.Sprintf("scrape interval not known, %s assumed", assumedScrape)}
	case lo == hi:
		return resolution{lo, fmt.Sprintf("scraped every %s", lo)}
	}
	return resolution{lo, fmt.Sprintf("scraped every %s to %s", lo, hi)}
}

func (m *Monitor) query(ctx context.Context, w drills.NamedWindow, res resolution) drills.QueryResult {
	out := drills.QueryResult{Title: w.During.Title, Query: w.During.PromQL, Window: w.Window}
	switch {
	case m.prom == nil:
		out.NoData, out.Error = true, "no Prometheus is declared in the system file"
	case w.Window.From.IsZero() || w.Window.To.Before(w.Window.From):
		out.NoData, out.Error = true, "the run did not reach this window"
	default:
		m.evaluate(ctx, &out, res)
	}
	return out
}

func (m *Monitor) evaluate(ctx context.Context, out *drills.QueryResult, res resolution) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	step := stepOver(out.Window, res.step)
	out.Step, out.Resolution = drills.Duration(step), res.text
	v, warnings, _, err := m.prom.api.QueryRange(ctx, out.Query, v1.Range{Start: out.Window.From, End: out.Window.To, Step: step})
	if err != nil {
		out.NoData, out.Error = true, err.Error()
		return
	}
	matrix, ok := v.(model.Matrix)
	if !ok {
		out.NoData, out.Error = true, fmt.Sprintf("the query returns a %s, not a range of numbers", v.Type())
		return
	}
	summarise(matrix, out)
	if len(warnings) > 0 {
		out.Resolution += "; warning: " + strings.Join(warnings, "; ")
	}
}

// stepOver is the scrape step, but a window shorter than it is asked at both ends and a very long one within
// Prometheus's limit.
func stepOver(w drills.Interval, scrape time.Duration) time.Duration {
	length := w.To.Sub(w.From)
	step := min(scrape, max(length, time.Millisecond))
	return max(step, (length / (maxPoints - 1)).Round(time.Millisecond)).Round(time.Millisecond)
}

// summarise takes the extremes over all series. NaN is no data: a ratio of nothing to nothing says nothing.
// An infinity is kept as the largest number there is, since the record's JSON has no infinity.
func summarise(matrix model.Matrix, out *drills.QueryResult) {
	var last model.Time
	var infinite bool
	for _, s := range matrix {
		for _, p := range s.Values {
			v := float64(p.Value)
			if math.IsNaN(v) {
				continue
			}
			if math.IsInf(v, 0) {
				infinite, v = true, math.Copysign(math.MaxFloat64, v)
			}
			if out.Samples == 0 {
				out.Min, out.Max, out.Last, last = v, v, v, p.Timestamp
			}
			out.Samples++
			out.Min, out.Max = min(out.Min, v), max(out.Max, v)
			if p.Timestamp > last {
				last, out.Last = p.Timestamp, v
			} else if p.Timestamp == last {
				out.Last = max(out.Last, v) // of several series, the highest at the end
			}
		}
	}
	out.NoData = out.Samples == 0
	if len(matrix) > 1 {
		out.Resolution += fmt.Sprintf("; %d series, extremes over all", len(matrix))
	}
	if infinite {
		out.Resolution += "; infinite values shown as the largest number"
	}
}
