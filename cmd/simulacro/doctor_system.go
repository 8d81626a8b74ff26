package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments"
)

// systemDiagnoses look at the engine, the members, their roles and the monitoring; a dead engine ends the list.
func (a *app) systemDiagnoses(ctx context.Context, sys *drills.System) []diagnosis {
	s, err := a.openSession(ctx, sys, "doctor")
	if err != nil {
		return []diagnosis{{Part: "engine", What: "reachable", Level: "problem", Found: err.Error()}}
	}
	defer s.close()
	out := []diagnosis{s.engineDiagnosis(ctx)}
	t, err := s.mux.Topology(ctx)
	if err != nil {
		return append(out, diagnosis{Part: "system", What: "members", Level: "problem", Found: err.Error()})
	}
	out = append(out, memberDiagnoses(sys, t)...)
	out = append(out, faultDiagnosis(t))
	for _, p := range s.preflights() {
		out = append(out, fromChecks("system", p.Check(ctx, &drills.Drill{Environments: []string{sys.Environment}}))...)
	}
	m, err := s.monitor(nil)
	if err != nil {
		return append(out, diagnosis{Part: "monitoring", What: "configuration", Level: "problem", Found: err.Error()})
	}
	out = append(out, fromChecks("monitoring", m.Check(ctx, &drills.Drill{}))...)
	set, err := m.RuleSet(ctx)
	if err != nil {
		return append(out, diagnosis{Part: "monitoring", What: "alert rules", Level: "warning", Found: err.Error(), Why: "without alerts nobody learns of an outage"})
	}
	return append(out, diagnosis{Part: "monitoring", What: "alert rules", Level: "ok", Found: set})
}

func (s *session) engineDiagnosis(ctx context.Context) diagnosis {
	d := diagnosis{Part: "engine", What: "reachable", Level: "ok"}
	facts := s.engine.Facts(ctx)
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(facts)) {
		parts = append(parts, k+"="+facts[k])
	}
	d.Found = strings.Join(parts, " ")
	return d
}

func memberDiagnoses(sys *drills.System, t drills.Topology) []diagnosis {
	var out []diagnosis
	for _, name := range slices.Sorted(maps.Keys(sys.Components)) {
		members, v := t.Of(name), t.Views[name]
		d := diagnosis{Part: "system", What: "component " + name, Level: "ok", Found: fmt.Sprintf("%d of %d running", int(v.Facts["running"].Number), len(members))}
		if sys.Components[name].Roles != nil {
			d.Found += fmt.Sprintf(", %d primary, %d replicas", len(v.Primaries), int(v.Facts["replicas"].Number))
		}
		switch {
		case len(members) == 0:
			d.Level, d.Why, d.Mend = "problem", "a component without members cannot be drilled", "check members.select and whether the system is up"
		case v.Disagreement != "":
			d.Level, d.Found = "problem", d.Found+"; "+v.Disagreement
		case int(v.Facts["running"].Number) < len(members):
			d.Level, d.Why = "warning", "redundancy is already gone"
		}
		out = append(out, d)
	}
	return out
}

// faultDiagnosis says which faults this runtime can do, by their verbs.
func faultDiagnosis(t drills.Topology) diagnosis {
	var can, cannot []string
	kinds := experiments.All()
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		ok := true
		for _, verb := range kinds[name].Info.Verbs {
			ok = ok && slices.Contains(t.Verbs, drills.Op{Verb: verb}.Prefix())
		}
		if ok {
			can = append(can, name)
		} else {
			cannot = append(cannot, name)
		}
	}
	d := diagnosis{Part: "host", What: "faults", Level: "ok", Found: strings.Join(can, " ")}
	if len(cannot) > 0 {
		d.Level, d.Why = "warning", "cannot be done here: "+strings.Join(cannot, " ")
	}
	return d
}

func fromChecks(part string, checks []drills.Check) []diagnosis {
	var out []diagnosis
	for _, c := range checks {
		d := diagnosis{Part: part, What: c.Name, Level: "ok", Found: c.Actual}
		if !c.OK {
			d.Level, d.Mend = "problem", c.Hint
			if c.Expected != "" {
				d.Why = "expected " + c.Expected
			}
		}
		out = append(out, d)
	}
	return out
}
