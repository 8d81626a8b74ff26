package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

// objectives follows every SLO that names its rules or its dashboard from the objective to the metric, the rule and the picture.
func (a *audit) objectives(boards map[string]int) {
	for _, name := range sorted(a.System.Components) {
		for _, o := range a.System.Components[name].SLOs {
			if len(o.Rules) > 0 {
				a.objectiveRules(name, o)
			}
			if o.Dashboard != "" {
				a.objectiveDashboard(name, o, boards)
			}
		}
	}
}

func (a *audit) objectiveRules(component string, o drills.SLO) {
	d := drills.Diagnosis{What: "SLO " + component + "/" + o.ID, Level: drills.LevelOK, Topic: drills.TopicAlerts, Found: "watched by " + strings.Join(o.Rules, ", ")}
	var gone, mute, drift []string
	for _, name := range o.Rules {
		r, ok := a.rules[name]
		switch {
		case !ok:
			gone = append(gone, name)
		case a.broken[name]:
			mute = append(mute, name)
		default:
			if text := a.drift(o, r); text != "" {
				drift = append(drift, text)
			}
		}
	}
	switch {
	case len(gone) > 0:
		d.Level, d.Found = drills.LevelProblem, "no such rule is loaded: "+strings.Join(gone, ", ")
		d.Why, d.Mend = "nobody is told when "+o.Title+" is missed", "load it, or correct the SLO's `rules:`"
	case len(mute) > 0:
		d.Level, d.Found = drills.LevelProblem, "its rule cannot work: "+strings.Join(mute, ", ")
		d.Why, d.Mend = "nobody is told when "+o.Title+" is missed", "see the rule's own line"
	case len(drift) > 0:
		d.Level, d.Found = drills.LevelWarning, strings.Join(drift, "; ")
		d.Why, d.Mend = "people are told of another limit than the one that was promised", "align the rule with the objective"
	}
	a.add(d)
}

// drift compares the rule's threshold with the objective's. Both are seconds or shares, as in PromQL.
func (a *audit) drift(o drills.SLO, r drills.AlertRule) string {
	want := bounds(o)
	x, err := parse(r.Query)
	if err != nil || len(want) == 0 || len(x.comparisons) == 0 {
		return ""
	}
	var there []string
	for _, c := range x.comparisons {
		if slices.Contains(want, c.threshold) {
			return ""
		}
		there = append(there, fmt.Sprintf("%g", c.threshold))
	}
	return fmt.Sprintf("%s fires at %s, the objective is %g", r.Name, strings.Join(there, " or "), want[0])
}

// bounds are the numbers that a rule on this objective may compare with.
func bounds(o drills.SLO) []float64 {
	if o.Threshold != nil {
		return []float64{*o.Threshold}
	}
	var out []float64
	for _, d := range []drills.Duration{o.P95, o.P99} {
		if d > 0 {
			out = append(out, d.D().Seconds())
		}
	}
	for _, f := range []*float64{o.Max, o.Min} {
		if f != nil {
			out = append(out, *f)
		}
	}
	return out
}

func (a *audit) objectiveDashboard(component string, o drills.SLO, boards map[string]int) {
	d := drills.Diagnosis{What: "dashboard of " + component + "/" + o.ID, Level: drills.LevelOK, Topic: drills.TopicDashboards, Found: o.Dashboard}
	if _, ok := boards[o.Dashboard]; !ok {
		d.Level, d.Found = drills.LevelProblem, "there is no dashboard called "+o.Dashboard
		d.Why, d.Mend = "nobody can look at it during an outage", "add its JSON to monitoring.dashboards"
	}
	a.add(d)
}
