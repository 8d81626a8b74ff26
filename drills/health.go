package drills

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// HealthClaim is the check by which others (a proxy, an orchestrator, people) believe that a component is well, and what it
// says it looks at. One that stays good while a dependency is out is shallow: users are sent on to where nobody can serve them.
type HealthClaim struct {
	Probe  string   `json:"probe" yaml:"probe"`             // of kind http
	Of     []string `json:"of" yaml:"of"`                   // components that it looks at
	Within Duration `json:"within,omitempty" yaml:"within"` // how long it may take to notice; default 10s
}

// healthWithin is the default of HealthClaim.Within.
const healthWithin = 10 * time.Second

// shallowHealth are findings about health checks that stayed good while something that they claim to look at was out. That it
// was out is proven by a probe of the dependency itself, of its own kind: one that passes through other components would also
// fail for their sake.
func (f *folder) shallowHealth() {
	sys := f.rec.Opened.System
	if sys == nil || f.rec.Times.T0 == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(sys.Components)) {
		claim := sys.Components[name].Health
		if claim == nil {
			continue
		}
		for _, series := range sys.Series(claim.Probe) {
			health, ok := f.resultOf(series)
			for _, dep := range claim.Of {
				if ok && health.Error == "" {
					f.shallow(name, claim, health, sys.Components[dep])
				}
			}
		}
	}
}

// resultOf is what was measured of a probe.
func (f *folder) resultOf(probe string) (ProbeMeasured, bool) {
	i := slices.IndexFunc(f.rec.Probes, func(p ProbeMeasured) bool { return p.Name == probe })
	if i < 0 {
		return ProbeMeasured{}, false
	}
	return f.rec.Probes[i], true
}

func (f *folder) shallow(name string, claim *HealthClaim, health ProbeMeasured, dependency Component) {
	within := claim.Within.D()
	if within == 0 {
		within = healthWithin
	}
	for _, probe := range dependency.RecoveredMeans {
		p, ok := f.resultOf(probe)
		if !ok || p.Kind != dependency.Kind {
			continue
		}
		for _, o := range p.Outages {
			out, certain := certainlyOut(o, p)
			if !certain || out.From.Before(f.rec.Times.T0.From) || out.To.Sub(out.From) <= within || !health.stayedGood(out) {
				continue
			}
			f.find("shallow-health:"+name+":"+dependency.Name, SeverityWarning,
				fmt.Sprintf("The health check %s stayed good while %s was out", health.Name, dependency.Name),
				fmt.Sprintf("%s found %s out for at least %.1f s, from %s on; %s says that it looks at it, and may take %s to notice. "+
					"Whoever believes it goes on sending users to %s, who get errors. It should ask what it needs each time, with a short limit of its own.",
					p.Name, dependency.Name, out.To.Sub(out.From).Seconds(), clockAt(out.From), health.Name, within, name))
			return
		}
	}
}

// certainlyOut is the part of an outage about which there is no doubt: from the first bad probe to the last one.
func certainlyOut(o Outage, p ProbeMeasured) (Interval, bool) {
	out := Interval{From: o.Start.To, To: p.To}
	if o.End != nil {
		out.To = o.End.From
	}
	return out, o.Kind == Down && out.To.After(out.From)
}

// stayedGood tells whether the probe was watched all that time and had no outage in it, however short.
func (p ProbeMeasured) stayedGood(span Interval) bool {
	if p.Count.Good == 0 || p.From.After(span.From) || p.To.Before(span.To) {
		return false
	}
	return !slices.ContainsFunc(p.Outages, func(o Outage) bool {
		return !o.Start.From.After(span.To) && (o.End == nil || !o.End.To.Before(span.From))
	})
}
