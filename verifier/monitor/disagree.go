package monitor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/eevans-d/simulacro/drills"
)

// serviceUp are the metrics by which exporters say that the service behind them is up.
const serviceUp = `{__name__=~"redis_up|pg_up|mysql_up|haproxy_up|memcached_up"}`

// split is one exporter that was up while its service was down.
type split struct {
	metric   string
	instance string
	down     int // samples with up == 1 and the service's metric == 0
	of       int // samples of both
	from, to time.Time
}

// disagreements compares up{} with redis_up, pg_up, … over the window. up says that the exporter answered, which
// is all that a literal rule on up can ever notice.
func (m *Monitor) disagreements(ctx context.Context, w drills.Interval) ([]drills.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	step := stepOver(w, m.resolution(ctx).step)
	up, err := m.matrix(ctx, "up", w, step)
	if err != nil {
		return nil, err
	}
	service, err := m.matrix(ctx, serviceUp, w, step)
	if err != nil {
		return nil, err
	}
	splits := compare(up, service)
	if len(splits) == 0 {
		return nil, nil
	}
	rules, _, err := m.prom.rules(ctx)
	if err != nil {
		return nil, err
	}
	return describeSplits(splits, rules), nil
}

func (m *Monitor) matrix(ctx context.Context, q string, w drills.Interval, step time.Duration) (model.Matrix, error) {
	v, _, _, err := m.prom.api.QueryRange(ctx, q, v1.Range{Start: w.From, End: w.To, Step: step})
	if err != nil {
		return nil, err
	}
	matrix, ok := v.(model.Matrix)
	if !ok {
		return nil, fmt.Errorf("%s: a %s, not a range", q, v.Type())
	}
	return matrix, nil
}

// compare pairs the series by job and instance, and their samples by time.
func compare(up, service model.Matrix) []split {
	exporter := map[string]map[model.Time]bool{}
	for _, s := range up {
		at := map[model.Time]bool{}
		for _, p := range s.Values {
			at[p.Timestamp] = p.Value == 1
		}
		exporter[pair(s.Metric)] = at
	}
	var out []split
	for _, s := range service {
		d := split{metric: string(s.Metric[model.MetricNameLabel]), instance: string(s.Metric[model.InstanceLabel])}
		for _, p := range s.Values {
			alive, ok := exporter[pair(s.Metric)][p.Timestamp]
			if !ok {
				continue
			}
			d.of++
			if alive && p.Value == 0 {
				d.count(p.Timestamp.Time())
			}
		}
		if d.down > 0 {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b split) int { return strings.Compare(a.metric+a.instance, b.metric+b.instance) })
	return out
}

func (d *split) count(at time.Time) {
	if d.down == 0 {
		d.from = at
	}
	d.down++
	d.to = at
}

func pair(m model.Metric) string {
	return string(m[model.JobLabel]) + "\x00" + string(m[model.InstanceLabel])
}

// describeSplits makes one finding per metric: a warning if no loaded rule looks at the metric, since then the
// outage could not be noticed; otherwise for information.
func describeSplits(splits []split, rules []alertRule) []drills.Event {
	var out []drills.Event
	for group := range slices.Values(metricsOf(splits)) {
		var lines []string
		for _, d := range splits {
			if d.metric == group {
				lines = append(lines, fmt.Sprintf("%s: up==1 while %s==0 in %d of %d samples, %s–%s", d.instance, d.metric, d.down, d.of, clock(d.from), clock(d.to)))
			}
		}
		severity, watched := drills.SeverityWarning, "no loaded rule looks at "+group
		if i := slices.IndexFunc(rules, func(r alertRule) bool { return strings.Contains(r.Query, group) }); i >= 0 {
			severity, watched = drills.SeverityInfo, fmt.Sprintf("the rule %s looks at %s", rules[i].Name, group)
		}
		out = append(out, finding("exporter-up-service-down", severity,
			fmt.Sprintf("The exporter was up while its service was down (up==1, %s==0): a literal up{} rule would never fire", group),
			strings.Join(append(lines, watched), "\n")))
	}
	return out
}

func metricsOf(splits []split) []string {
	var out []string
	for _, d := range splits {
		out = append(out, d.metric)
	}
	return slices.Compact(out) // splits are sorted by metric
}
