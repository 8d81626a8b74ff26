package monitor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

// RuleSetMetric is the recording rule by which a rule set names itself: simulacro_rule_set{set="…"} 1.
const RuleSetMetric = "simulacro_rule_set"

// RuleSet says which alert rules are loaded: the name that the set gives itself, else the names of its groups.
// Empty without Prometheus.
func (m *Monitor) RuleSet(ctx context.Context) (string, error) {
	if m.prom == nil {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	v, err := m.instant(ctx, RuleSetMetric)
	if err != nil {
		return "", fmt.Errorf("ask for the loaded rule set: %w", err)
	}
	var sets []string
	for _, s := range v {
		if set := string(s.Metric["set"]); set != "" {
			sets = append(sets, set)
		}
	}
	if len(sets) > 0 {
		slices.Sort(sets)
		return strings.Join(slices.Compact(sets), ", "), nil
	}
	_, groups, err := m.prom.rules(ctx)
	if err != nil {
		return "", fmt.Errorf("ask for the loaded rules: %w", err)
	}
	return strings.Join(groups, ", "), nil
}

// ruleChecks: some rules are loaded, and each expected alert is one of them.
func (m *Monitor) ruleChecks(ctx context.Context, fire []drills.AlertExpect) []drills.Check {
	if len(fire) == 0 {
		return nil
	}
	set := drills.Check{Name: "monitoring: rule set", Expected: "loaded"}
	name, err := m.RuleSet(ctx)
	var rules []alertRule
	if err == nil {
		rules, err = m.rules(ctx)
	}
	switch {
	case err != nil:
		set.Actual, set.Hint = err.Error(), "rules must be readable from Prometheus"
		return []drills.Check{set}
	case len(rules) == 0:
		set.Actual, set.Hint = "no alerting rule", "check rule_files in Prometheus's configuration"
	default:
		set.OK, set.Actual = true, name
	}
	names := map[string]bool{}
	for _, r := range rules {
		names[r.Name] = true
	}
	out := []drills.Check{set}
	for _, e := range fire {
		out = append(out, ruleCheck(e.Name, names))
	}
	return out
}

func ruleCheck(want string, names map[string]bool) drills.Check {
	c := drills.Check{Name: "monitoring: rule " + want, Expected: "loaded", OK: names[want], Actual: "loaded"}
	if c.OK {
		return c
	}
	var there []string
	for n := range names {
		there = append(there, n)
	}
	slices.Sort(there)
	c.Actual, c.Hint = "no rule of this name", "rules that are loaded: "+strings.Join(there, ", ")
	return c
}
