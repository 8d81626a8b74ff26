package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// load makes Prometheus and Alertmanager read their files again and returns when Prometheus evaluates the
// chosen rules and no others.
func load(ctx context.Context, c choice, prometheus, alertmanager string) error {
	if err := reload(ctx, prometheus); err != nil {
		return err
	}
	if alertmanager != "" {
		if err := reload(ctx, alertmanager); err != nil {
			return err
		}
	}
	var err error
	for tick := time.NewTicker(200 * time.Millisecond); ; {
		if err = loaded(ctx, c, prometheus); err == nil {
			tick.Stop()
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return fmt.Errorf("the rules were sent but are not in force: %w", err)
		}
	}
}

func reload(ctx context.Context, base string) error {
	_, err := ask(ctx, http.MethodPost, base+"/-/reload")
	return err
}

// loaded is nil when the only rule-set series is the one of c.
func loaded(ctx context.Context, c choice, prometheus string) error {
	body, err := ask(ctx, http.MethodGet, prometheus+"/api/v1/query?query="+url.QueryEscape(ruleSetMetric))
	if err != nil {
		return err
	}
	var answer struct {
		Data struct {
			Result []struct{ Metric map[string]string }
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("%s does not answer like Prometheus: %w", prometheus, err)
	}
	r := answer.Data.Result
	if len(r) != 1 || r[0].Metric["set"] != c.set.Name || r[0].Metric["defect"] != c.defectLabel() {
		return fmt.Errorf("prometheus has %s %v, want set %s with defects %s", ruleSetMetric, r, c.set.Name, orNone(c.defectLabel()))
	}
	return nil
}

func ask(ctx context.Context, method, at string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, at, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: %s %s", method, at, res.Status, body)
	}
	return body, nil
}
