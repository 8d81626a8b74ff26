package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

const (
	upOfExporter  = "up-of-exporter"
	missingMetric = "missing-metric:"
	memoryByZero  = "memory-divides-by-zero"
	sloDrift      = "slo-drift"

	// Of Alertmanager's file.
	unreachableRoute    = "unreachable-route"
	placeholderReceiver = "placeholder-receivers"
	danglingInhibition  = "inhibition-without-source"
)

// defectNames says which defects there are.
func defectNames() []string {
	return []string{upOfExporter, missingMetric + "<Alert>", memoryByZero, sloDrift, unreachableRoute, placeholderReceiver, danglingInhibition}
}

// drifted are the thresholds that GRUPO_GAD's rules really have, beside its SLOs: 5 % for 1 %, 0.5 s for 200 ms, 2 s for 500 ms.
func drifted() map[string][2]string {
	return map[string][2]string{
		"HighErrorRate": {"> 0.01", "> 0.05"}, "HighLatencyP95": {"> 0.2", "> 0.5"}, "CriticalLatencyP99": {"> 0.5", "> 2"},
	}
}

// spoil puts the named defects into a copy of rules. An unknown defect, an unknown alert and two defects
// on one rule are errors.
func spoil(rules []rule, defects []string) ([]rule, error) {
	spoiled := slices.Clone(rules)
	by := map[string]string{} // alert to the defect it has
	for _, d := range defects {
		hit, err := spoilOne(spoiled, d)
		if err != nil {
			return nil, err
		}
		for _, name := range hit {
			if other, taken := by[name]; taken {
				return nil, fmt.Errorf("defects %s and %s both change %s; choose one", other, d, name)
			}
			by[name] = d
		}
	}
	return spoiled, nil
}

// spoilOne changes rules in place and returns the names of those it changed.
func spoilOne(rules []rule, defect string) ([]string, error) {
	switch defect {
	case upOfExporter:
		return watchExporter(rules), nil
	case sloDrift:
		return drift(rules), nil
	case memoryByZero:
		return edit(rules, "RedisMemoryHigh", `(redis_memory_max_bytes{job="redis"} > 0)`, `redis_memory_max_bytes{job="redis"}`), nil
	case unreachableRoute, placeholderReceiver, danglingInhibition: // not of the rules
		return nil, nil
	}
	alert, ok := strings.CutPrefix(defect, missingMetric)
	if !ok {
		return nil, fmt.Errorf("no defect %q; there are %s", defect, strings.Join(defectNames(), ", "))
	}
	i := slices.IndexFunc(rules, func(r rule) bool { return r.Name == alert })
	if i < 0 {
		return nil, fmt.Errorf("defect %s: no alert %q; there are %s", defect, alert, strings.Join(alertNames(rules), ", "))
	}
	for _, m := range rules[i].Metrics {
		rules[i].Expr = regexp.MustCompile(`\b`+m+`\b`).ReplaceAllString(rules[i].Expr, "simulacro_missing_"+m)
	}
	return []string{alert}, nil
}

func watchExporter(rules []rule) (hit []string) {
	for i, r := range rules {
		if r.UpOf != "" {
			rules[i].Expr = fmt.Sprintf(`up{job=%q} == 0`, r.UpOf)
			hit = append(hit, r.Name)
		}
	}
	return hit
}

// edit replaces text in the expression of one rule.
func edit(rules []rule, name, old, by string) (hit []string) {
	for i, r := range rules {
		if r.Name == name {
			rules[i].Expr = strings.Replace(r.Expr, old, by, 1)
			hit = append(hit, name)
		}
	}
	return hit
}

func drift(rules []rule) (hit []string) {
	for name, d := range drifted() {
		hit = append(hit, edit(rules, name, d[0], d[1])...)
	}
	return hit
}
