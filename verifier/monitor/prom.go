package monitor

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// promClient is Prometheus's API, plus the one field that the client library leaves out.
type promClient struct {
	*endpoint
	api v1.API
}

func newPromClient(e *endpoint) (*promClient, error) {
	c, err := api.NewClient(api.Config{Address: e.base, Client: e.client})
	if err != nil {
		return nil, err
	}
	return &promClient{endpoint: e, api: v1.NewAPI(c)}, nil
}

// target is an active scrape target.
type target struct {
	Labels         map[string]string `json:"labels"`
	ScrapePool     string            `json:"scrapePool"`
	ScrapeURL      string            `json:"scrapeUrl"`
	Health         string            `json:"health"`
	LastError      string            `json:"lastError"`
	ScrapeInterval model.Duration    `json:"scrapeInterval"`
	ScrapeTimeout  model.Duration    `json:"scrapeTimeout"`
}

// targets reads the active targets itself: the library's type has no scrape interval.
func (p *promClient) targets(ctx context.Context) ([]target, error) {
	var res struct {
		Data struct {
			Active []target `json:"activeTargets"`
		} `json:"data"`
	}
	err := p.get(ctx, "/api/v1/targets?state=active", &res)
	return res.Data.Active, err
}

// scrapes returns the shortest and the longest scrape interval; zero when there is no target.
func scrapes(ts []target) (shortest, longest time.Duration) {
	for _, t := range ts {
		d := time.Duration(t.ScrapeInterval)
		if d <= 0 {
			continue
		}
		if shortest == 0 || d < shortest {
			shortest = d
		}
		longest = max(longest, d)
	}
	return shortest, longest
}

// alertRule is one alerting rule as far as we need it.
type alertRule struct {
	Name, Query string
	For         time.Duration
}

// rules lists the alerting rules and the names of all rule groups.
func (p *promClient) rules(ctx context.Context) (alerts []alertRule, groups []string, err error) {
	res, err := p.api.Rules(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	for _, g := range res.Groups {
		groups = append(groups, g.Name)
		for _, r := range g.Rules {
			if a, ok := r.(v1.AlertingRule); ok {
				alerts = append(alerts, alertRule{Name: a.Name, Query: a.Query, For: time.Duration(a.Duration * float64(time.Second))})
			}
		}
	}
	slices.Sort(groups)
	return alerts, slices.Compact(groups), nil
}

// alerts implements alertSource.
func (p *promClient) alerts(ctx context.Context) ([]v1.Alert, error) {
	res, err := p.api.Alerts(ctx)
	return res.Alerts, err
}
