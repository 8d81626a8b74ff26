package drills

import (
	"strings"
	"testing"
)

// verbPlan plans one change of a verb on each target.
type verbPlan string

func (v verbPlan) Plan(s Scene) ([]Change, error) {
	var out []Change
	for _, m := range s.Targets {
		out = append(out, Change{Class: ClassHeals, Do: Op{Verb: string(v), Target: m.ID}})
	}
	return out, nil
}

// keep-healthy is about members that a fault takes away. Load takes none away, and may go to all.
func TestLoadKeepsEveryMember(t *testing.T) {
	t.Parallel()
	top := Topology{
		Verbs:   []string{"load", "unit"},
		Groups:  map[string][]string{"api": {"a", "b"}},
		Members: []Member{{ID: "a", Name: "api-1", Component: "api", State: "running"}, {ID: "b", Name: "api-2", Component: "api", State: "running"}},
	}
	sys := &System{Components: map[string]Component{"api": {KeepHealthy: 1}}}
	step := Step{ID: "s", Target: Target{Component: "api", Pick: "all"}, Plan: verbPlan("load.open")}
	if ps, err := PlanStep(step, sys, top, "run", nil); err != nil || len(ps.Targets) != 2 {
		t.Errorf("load on all: %d targets, %v", len(ps.Targets), err)
	}
	step.Plan = verbPlan("unit.kill")
	if _, err := PlanStep(step, sys, top, "run", nil); err == nil || !strings.Contains(err.Error(), "would leave 0 running members of api") {
		t.Errorf("a kill of all: %v", err)
	}
	step.Target.Pick = "one"
	if _, err := PlanStep(step, sys, top, "run", nil); err != nil {
		t.Errorf("a kill of one: %v", err)
	}
}
