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
)

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
	if defect == upOfExporter {
		return watchExporter(rules), nil
	}
	alert, ok := strings.CutPrefix(defect, missingMetric)
	if !ok {
		return nil, fmt.Errorf("no defect %q; there are %s and %s<Alert>", defect, upOfExporter, missingMetric)
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
