package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments"
)

// systemDiagnoses look at the engine, the members, their roles and the monitoring; a dead engine ends the list.
func (a *app) systemDiagnoses(ctx context.Context, sys *drills.System, active bool) []drills.Diagnosis {
	s, err := a.openSession(ctx, sys, "doctor")
	if err != nil {
		return []drills.Diagnosis{{Part: "engine", What: "reachable", Level: drills.LevelProblem, Found: err.Error()}}
	}
	defer s.close()
	out := []drills.Diagnosis{s.engineDiagnosis(ctx)}
	t, err := s.mux.Topology(ctx)
	if err != nil {
		return append(out, drills.Diagnosis{Part: "system", What: "members", Level: drills.LevelProblem, Found: err.Error()})
	}
	out = append(out, memberDiagnoses(sys, t)...)
	out = append(out, connectionDiagnoses(sys, t)...)
	out = append(out, redundancyDiagnoses(sys, t)...)
	out = append(out, s.patroniDiagnoses(ctx, t)...)
	out = append(out, s.backupDiagnoses(ctx, t)...)
	out = append(out, s.certificateDiagnoses(ctx, t)...)
	out = append(out, faultDiagnosis(t, s.impossible()))
	for _, p := range s.preflights() {
		out = append(out, fromChecks("system", p.Check(ctx, &drills.Drill{Environments: []string{sys.Environment}}))...)
	}
	m, err := s.monitor(nil)
	if err != nil {
		return append(out, drills.Diagnosis{Part: "monitoring", What: "configuration", Level: drills.LevelProblem, Found: err.Error()})
	}
	out = append(out, fromChecks("monitoring", m.Check(ctx, &drills.Drill{}))...)
	out = append(out, auditMonitoring(ctx, sys, m)...)
	return append(out, s.truthDiagnoses(ctx, m, active)...)
}

func (s *session) engineDiagnosis(ctx context.Context) drills.Diagnosis {
	d := drills.Diagnosis{Part: "engine", What: "reachable", Level: drills.LevelOK}
	facts := s.engine.Facts(ctx)
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(facts)) {
		parts = append(parts, k+"="+facts[k])
	}
	d.Found = strings.Join(parts, " ")
	return d
}

func sortedComponents(sys *drills.System) []string { return slices.Sorted(maps.Keys(sys.Components)) }

func memberDiagnoses(sys *drills.System, t drills.Topology) []drills.Diagnosis {
	var out []drills.Diagnosis
	for _, name := range slices.Sorted(maps.Keys(sys.Components)) {
		members, v := t.Of(name), t.Views[name]
		d := drills.Diagnosis{Part: "system", What: "component " + name, Level: drills.LevelOK, Found: fmt.Sprintf("%d of %d running", int(v.Facts["running"].Number), len(members))}
		if sys.Components[name].Roles != nil {
			d.Found += fmt.Sprintf(", %d primary, %d replicas", len(v.Primaries), int(v.Facts["replicas"].Number))
		}
		switch {
		case len(members) == 0:
			d.Level, d.Why, d.Mend = drills.LevelProblem, "a component without members cannot be drilled", "check members.select and whether the system is up"
		case v.Disagreement != "":
			d.Level, d.Found = drills.LevelProblem, d.Found+"; "+v.Disagreement
		case int(v.Facts["running"].Number) < len(members):
			d.Level, d.Why = drills.LevelWarning, "redundancy is already gone"
		}
		out = append(out, d)
	}
	return out
}

// redundancyDiagnoses say what would be left of a component with roles if its primary went now: replicas that are in step, and
// a control plane that can still decide.
func redundancyDiagnoses(sys *drills.System, t drills.Topology) []drills.Diagnosis {
	var out []drills.Diagnosis
	for _, name := range sortedComponents(sys) {
		if sys.Components[name].Roles == nil {
			continue
		}
		v := t.Views[name]
		d := drills.Diagnosis{Part: "system", What: "failover of " + name, Level: drills.LevelOK}
		quorum, known := v.Facts["quorum"]
		lag, lagKnown := v.Facts["lag"]
		replicas := int(v.Facts["replicas"].Number)
		d.Found = fmt.Sprintf("quorum %s, %d replicas follow", cmp.Or(quorum.Word, "not known"), replicas)
		if lagKnown {
			d.Found += fmt.Sprintf(", the slowest %.1f s behind", lag.Number)
		}
		switch {
		case !known:
			d.Level, d.Why = drills.LevelNotChecked, "nobody of its control plane answered"
		case quorum.Word != "ok":
			d.Level, d.Why, d.Mend = drills.LevelProblem, "without a quorum nobody can take over", "bring back what votes: Sentinels, or the configuration store"
		case replicas == 0:
			d.Level, d.Why, d.Mend = drills.LevelProblem, "there is nobody who could take over", "bring a replica back and let it catch up"
		case lagKnown && lag.Number > failoverLag.Seconds():
			d.Level, d.Why, d.Mend = drills.LevelWarning, "whoever takes over would lack what it has not received", "look at the replica's log, its disk and the network to the primary"
		}
		out = append(out, d)
	}
	return out
}

// impossible says which faults the engine's host cannot do, and why.
func (s *session) impossible() map[string]string {
	out := map[string]string{}
	if why := s.engine.CanThrottle(); why != "" {
		out["disk-latency"] = why
	}
	return out
}

// failoverLag is how far behind the slowest replica may be before the doctor speaks of it.
const failoverLag = 10 * time.Second

// faultDiagnosis says which faults this runtime can do, by their verbs and by what its host can.
func faultDiagnosis(t drills.Topology, impossible map[string]string) drills.Diagnosis {
	var can, cannot []string
	kinds := experiments.All()
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		ok := true
		for _, verb := range kinds[name].Info.Verbs {
			ok = ok && slices.Contains(t.Verbs, drills.Op{Verb: verb}.Prefix())
		}
		switch why := impossible[name]; {
		case ok && why == "":
			can = append(can, name)
		case ok:
			cannot = append(cannot, name+" (not possible here because "+why+")")
		default:
			cannot = append(cannot, name)
		}
	}
	d := drills.Diagnosis{Part: "host", What: "faults", Level: drills.LevelOK, Found: strings.Join(can, " ")}
	if len(cannot) > 0 {
		d.Level, d.Why = drills.LevelWarning, "cannot be done here: "+strings.Join(cannot, " ")
	}
	return d
}

func fromChecks(part string, checks []drills.Check) []drills.Diagnosis {
	var out []drills.Diagnosis
	for _, c := range checks {
		d := drills.Diagnosis{Part: part, What: c.Name, Level: drills.LevelOK, Found: c.Actual}
		if !c.OK {
			d.Level, d.Mend = drills.LevelProblem, c.Hint
			if c.Expected != "" {
				d.Why = "expected " + c.Expected
			}
		}
		out = append(out, d)
	}
	return out
}
