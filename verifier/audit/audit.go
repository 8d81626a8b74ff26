package audit

import (
	"context"
	"maps"
	"slices"

	"github.com/eevans-d/simulacro/drills"
)

// Input is what an audit looks at.
type Input struct {
	System *drills.System
	Facts  drills.MonitoringFacts
	// Ask evaluates PromQL now and returns one value per series; none is no data.
	Ask func(ctx context.Context, promql string) ([]float64, error)
	// Dashboards are the files that the system declares, by path.
	Dashboards map[string][]byte
}

const part = "monitoring"

// Run asks everything and returns one diagnosis per thing that was looked at.
func Run(ctx context.Context, in Input) []drills.Diagnosis {
	a := &audit{Input: in, ctx: ctx, rules: map[string]drills.AlertRule{}, broken: map[string]bool{}}
	for _, r := range in.Facts.Rules {
		a.rules[r.Name] = r
	}
	a.targets()
	a.labels()
	a.alertRules()
	boards := a.dashboards()
	a.objectives(boards)
	a.routing()
	return a.out
}

// audit collects diagnoses.
type audit struct {
	Input
	ctx    context.Context //nolint:containedctx // one audit is one call of Run
	rules  map[string]drills.AlertRule
	broken map[string]bool // rules that cannot fire
	out    []drills.Diagnosis
}

func (a *audit) add(d drills.Diagnosis) {
	d.Part = part
	a.out = append(a.out, d)
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// plural is "1 rule", "2 rules".
func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return itoa(n) + " " + word + "s"
}
