package monitor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
)

// Start implements drills.Observer: alerts that fire already become one finding, scrape targets that are down
// another, and every later step of an alert an event. It fails (code blocked) when Prometheus or the sink is
// declared and cannot be read: what is never seen to begin cannot be attributed.
func (m *Monitor) Start(ctx context.Context, emit func(drills.Event)) error {
	w := &watcher{poll: m.cfg.Poll, emit: emit, log: m.cfg.Log}
	var rules []alertRule
	if m.prom != nil {
		w.prom = m.prom
		var err error
		if rules, err = m.rules(ctx); err != nil {
			m.cfg.Log.Warn("rules cannot be read: firing intervals are as wide as the poll", zap.Error(err))
		}
		m.reportTargets(ctx, emit)
	}
	if m.sink != nil {
		w.sink = m.sink
	}
	if err := w.begin(ctx, rules); err != nil {
		return err
	}
	m.watch = w
	return nil
}

func (m *Monitor) rules(ctx context.Context) ([]alertRule, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*requestTimeout)
	defer cancel()
	rules, _, err := m.prom.rules(ctx)
	return rules, err
}

// reportTargets tells of targets that are down: what they measure will be missing from every query.
func (m *Monitor) reportTargets(ctx context.Context, emit func(drills.Event)) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	ts, err := m.prom.targets(ctx)
	if err != nil {
		m.cfg.Log.Warn("scrape targets cannot be read", zap.Error(err))
		return
	}
	if down := downTargets(ts); len(down) > 0 {
		emit(finding("scrape-targets-down", drills.SeverityWarning,
			fmt.Sprintf("%d of %d scrape targets were not up before the drill", len(down), len(ts)), strings.Join(down, "\n")))
	}
}

func downTargets(ts []target) []string {
	var down []string
	for _, t := range ts {
		if t.Health != "up" {
			down = append(down, strings.TrimSuffix(fmt.Sprintf("%s %s (%s): %s", t.ScrapePool, t.Labels["instance"], t.Health, t.LastError), ": "))
		}
	}
	return down
}

// Finish implements drills.Observer: it stops watching and returns the findings about the monitoring itself:
// where it was blind, and where an exporter was up while its service was down.
func (m *Monitor) Finish(ctx context.Context, t drills.Timing) ([]drills.Event, error) {
	if m.watch == nil {
		return nil, nil
	}
	out := m.watch.end()
	if m.prom == nil {
		return out, nil
	}
	evs, err := m.disagreements(ctx, runWindow(t, time.Now()))
	if err != nil {
		// The monitoring's own trouble, already told of as blindness where it lasted: never ours to fail on.
		m.cfg.Log.Warn("exporters and services cannot be compared", zap.Error(err))
		out = append(out, finding("monitoring-blind", drills.SeverityInfo,
			"Prometheus could not say whether exporters and services agreed", err.Error()))
	}
	out = append(out, evs...)
	return append(out, m.seen(ctx, seenWindow(t, time.Now()))...), nil
}

// seenWindow begins with the settle window: that a component was up before the fault has to be seen as well.
func seenWindow(t drills.Timing, now time.Time) drills.Interval {
	w := runWindow(t, now)
	if !t.Steady.From.IsZero() && t.Steady.From.Before(w.From) {
		w.From = t.Steady.From
	}
	return w
}

// runWindow is the time in which a fault may have shown in Prometheus: from T0 (or the opening) until now.
func runWindow(t drills.Timing, now time.Time) drills.Interval {
	from := t.T0.From
	if from.IsZero() {
		from = t.Opened
	}
	if from.IsZero() || from.After(now) {
		from = now.Add(-time.Minute)
	}
	return drills.Interval{From: from, To: now}
}

// Close drops idle connections. Call it after Windows.
func (m *Monitor) Close() {
	for _, e := range m.endpoints() {
		e.client.CloseIdleConnections()
	}
}

func (m *Monitor) endpoints() []*endpoint {
	var out []*endpoint
	if m.prom != nil {
		out = append(out, m.prom.endpoint)
	}
	if m.am != nil {
		out = append(out, m.am)
	}
	if m.sink != nil {
		out = append(out, m.sink.endpoint)
	}
	return out
}
