package audit

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

// alertRules evaluates every loaded rule dry: do its metrics exist, has it data, is it a number?
func (a *audit) alertRules() {
	if len(a.Facts.Rules) == 0 {
		a.add(drills.Diagnosis{
			What: "alert rules", Level: drills.LevelProblem, Found: "none is loaded", Topic: drills.TopicAlerts,
			Why: "nobody learns of an outage", Mend: "check rule_files in Prometheus's configuration",
		})
	}
	for _, name := range sorted(a.rules) {
		a.rule(a.rules[name])
	}
}

func (a *audit) rule(r drills.AlertRule) {
	d := drills.Diagnosis{What: "rule " + r.Name, Level: drills.LevelOK, Topic: drills.TopicAlerts}
	x, err := parse(r.Query)
	if err != nil {
		d.Level, d.Found = drills.LevelNotChecked, "its expression could not be read: "+err.Error()
		a.add(d)
		return
	}
	if r.Health == "err" {
		d.Level, d.Found, d.Why = drills.LevelProblem, "Prometheus cannot evaluate it: "+r.Error, "it never fires"
		a.fail(r, d)
		return
	}
	if missing := a.missing(x); len(missing) > 0 && !x.absent {
		d.Level, d.Found = drills.LevelProblem, "stands on what nobody exposes: "+strings.Join(missing, ", ")
		d.Why, d.Mend = "it can never fire", "correct the name, or have it exposed; `curl …/metrics` of the target shows what there is"
		a.fail(r, d)
		return
	}
	if a.divides(r, x, d) || a.watchesExporter(x, d) {
		return
	}
	d.Found = a.reading(x)
	if d.Found == "" {
		d.Level, d.Found = drills.LevelNotChecked, "no data for it now; its metrics exist"
		d.Why = "it can fire once there are series with these labels"
	}
	a.add(d)
}

func (a *audit) fail(r drills.AlertRule, d drills.Diagnosis) {
	a.broken[r.Name] = true
	a.add(d)
}

// missing lists the selectors whose metric has no series at all. A metric that exists but not with these labels yet, such as an
// error counter, is not missing.
func (a *audit) missing(x expression) []string {
	var out []string
	for _, s := range x.selectors {
		query := s.text
		if s.metric != "" {
			query = fmt.Sprintf("{__name__=%q}", s.metric)
		}
		vs, err := a.Ask(a.ctx, "count("+query+")")
		if err == nil && len(vs) == 0 && !slices.Contains(out, named(s)) {
			out = append(out, named(s))
		}
	}
	return out
}

func named(s selector) string {
	if s.metric != "" {
		return s.metric
	}
	return s.text
}

// divides tells of a denominator that is zero now: x/0 is infinite and above every threshold.
func (a *audit) divides(r drills.AlertRule, x expression, d drills.Diagnosis) bool {
	for _, right := range x.divisors {
		zero, err := a.Ask(a.ctx, "count(("+right+") == 0)")
		if err != nil || len(zero) == 0 || zero[0] == 0 {
			continue
		}
		for _, c := range x.comparisons {
			vs, err := a.Ask(a.ctx, c.left)
			if err != nil || !slices.ContainsFunc(vs, func(v float64) bool { return math.IsInf(v, 0) }) {
				continue
			}
			d.Level, d.Found = drills.LevelProblem, "divides by zero now: "+right
			d.Why = "the result is infinite, so it fires although nothing is wrong"
			d.Mend = "divide by (" + right + " > 0)"
			a.fail(r, d)
			return true
		}
	}
	return false
}

// watchesExporter tells of a rule that stands on `up` of an exporter alone: it is silent while the exporter lives and the
// service is dead.
func (a *audit) watchesExporter(x expression, d drills.Diagnosis) bool {
	exporters := a.exporterJobs()
	for _, s := range x.selectors {
		if s.metric != "up" || s.job == "" || exporters[s.job] == "" {
			return false
		}
	}
	if len(x.selectors) == 0 {
		return false
	}
	c := exporters[x.selectors[0].job]
	d.Level, d.Found = drills.LevelProblem, fmt.Sprintf("watches the exporter of %s, not the service: up{job=%q}", c, x.selectors[0].job)
	d.Why = "the exporter answers its scrape while the service is dead, so it does not fire"
	d.Mend = "ask what the exporter says of the service: " + a.System.Components[c].SeenBy.Service
	a.add(d)
	return true
}

// exporterJobs are the jobs that see a component through another process, with the component.
func (a *audit) exporterJobs() map[string]string {
	out := map[string]string{}
	for _, name := range sorted(a.System.Components) {
		seen := a.System.Components[name].SeenBy
		if seen == nil || seen.Exporter == "" {
			continue
		}
		x, err := parse(seen.Exporter)
		if err != nil || exposesItself(a.System.Components[name]) {
			continue
		}
		for _, s := range x.selectors {
			if s.metric == "up" && s.job != "" {
				out[s.job] = name
			}
		}
	}
	return out
}

// exposesItself tells whether a component exposes its metrics itself, as services over HTTP and WebSocket do: then `up` is
// about the same process.
func exposesItself(c drills.Component) bool {
	return !slices.Contains([]string{"redis", "postgres"}, c.Kind)
}

// reading says what the compared sides are now, and at what they fire.
func (a *audit) reading(x expression) string {
	var out []string
	for _, c := range x.comparisons {
		vs, err := a.Ask(a.ctx, c.left)
		if err != nil || len(vs) == 0 {
			continue
		}
		out = append(out, fmt.Sprintf("%s now, fires at %s %g", span(vs), c.op, c.threshold))
	}
	if len(out) == 0 && x.absent {
		return "looks for absence"
	}
	return strings.Join(out, "; ")
}

// span is one value, or the smallest and the largest.
func span(vs []float64) string {
	lo, hi := slices.Min(vs), slices.Max(vs)
	if lo == hi || math.IsNaN(lo) {
		return fmt.Sprintf("%.4g", lo)
	}
	return fmt.Sprintf("%.4g to %.4g", lo, hi)
}
