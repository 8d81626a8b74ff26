package monitor

import (
	"context"
	"errors"
	"fmt"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"

	"github.com/eevans-d/simulacro/drills"
)

// biggestMetrics is how many of the metrics with the most series are told.
const biggestMetrics = 5

// Facts is what the monitoring says of itself: targets, rules, labels, and how alerts are routed.
func (m *Monitor) Facts(ctx context.Context) (drills.MonitoringFacts, error) {
	var f drills.MonitoringFacts
	if m.prom == nil {
		return f, drills.Errorf(drills.Blocked, "add monitoring.prometheus to the system file", "the system file declares no Prometheus")
	}
	err := errors.Join(
		m.bounded(ctx, func(ctx context.Context) error { return m.targetFacts(ctx, &f) }),
		m.bounded(ctx, func(ctx context.Context) error { return m.ruleFacts(ctx, &f) }),
		m.bounded(ctx, func(ctx context.Context) error { return m.storeFacts(ctx, &f) }),
	)
	if m.am != nil {
		err = errors.Join(err, m.bounded(ctx, func(ctx context.Context) error { return m.routeFacts(ctx, &f) }))
	}
	return f, err
}

func (m *Monitor) targetFacts(ctx context.Context, f *drills.MonitoringFacts) error {
	ts, err := m.prom.targets(ctx)
	for _, t := range ts {
		f.Targets = append(f.Targets, drills.ScrapeTarget{
			Job: t.Labels["job"], Instance: t.Labels["instance"], Labels: t.Labels, Up: t.Health == string(v1.HealthGood),
			Error: t.LastError, Interval: time.Duration(t.ScrapeInterval),
		})
	}
	return err
}

func (m *Monitor) ruleFacts(ctx context.Context, f *drills.MonitoringFacts) error {
	res, err := m.prom.api.Rules(ctx, nil)
	for _, g := range res.Groups {
		for _, r := range g.Rules {
			a, ok := r.(v1.AlertingRule)
			if !ok {
				continue
			}
			labels := map[string]string{}
			for k, v := range a.Labels {
				labels[string(k)] = string(v)
			}
			f.Rules = append(f.Rules, drills.AlertRule{
				Name: a.Name, Query: a.Query, For: time.Duration(a.Duration * float64(time.Second)), Labels: labels,
				Health: string(a.Health), Error: a.LastError,
			})
		}
	}
	return err
}

func (m *Monitor) storeFacts(ctx context.Context, f *drills.MonitoringFacts) error {
	names, _, _, err := m.prom.api.LabelNames(ctx, nil, time.Time{}, time.Time{})
	if err != nil {
		return fmt.Errorf("ask for label names: %w", err)
	}
	for _, n := range names {
		f.Labels = append(f.Labels, string(n))
	}
	tsdb, err := m.prom.api.TSDB(ctx)
	if err != nil {
		return fmt.Errorf("ask for the store's statistics: %w", err)
	}
	f.Series, f.Biggest = tsdb.HeadStats.NumSeries, map[string]int{}
	for i, s := range tsdb.SeriesCountByMetricName {
		if i < biggestMetrics {
			f.Biggest[s.Name] = int(s.Value)
		}
	}
	return nil
}

func (m *Monitor) routeFacts(ctx context.Context, f *drills.MonitoringFacts) error {
	var status struct {
		Config struct {
			Original string `json:"original"`
		} `json:"config"`
	}
	err := m.am.get(ctx, "/api/v2/status", &status)
	f.AlertmanagerYAML = status.Config.Original
	return err
}

// Values evaluates a query now and returns one value per series; none is no data.
func (m *Monitor) Values(ctx context.Context, q string) ([]float64, error) {
	var out []float64
	err := m.bounded(ctx, func(ctx context.Context) error {
		v, err := m.instant(ctx, q)
		for _, s := range v {
			out = append(out, float64(s.Value))
		}
		return err
	})
	return out, err
}
