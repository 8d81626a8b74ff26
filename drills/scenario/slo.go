package scenario

import (
	"slices"
	"strconv"

	"github.com/eevans-d/simulacro/drills"
)

// seenBy checks how Prometheus sees a component.
func (d *document) seenBy(path string, x *drills.SeenBy, s *drills.System) {
	if x == nil {
		return
	}
	d.required(path+".service", x.Service != "", "PromQL that is 1 or more while the component serves, such as 'min(redis_up)'")
	if s.Monitoring.Prometheus == nil {
		d.add(path, "the system declares no Prometheus that could be asked", "add monitoring.prometheus or remove this")
	}
}

// slos checks a component's service level objectives.
func (d *document) slos(path string, list []drills.SLO, s *drills.System) {
	for i, o := range list {
		p := path + "[" + strconv.Itoa(i) + "]"
		if d.required(p+".id", o.ID != "", "a name of its own, such as api-p95") {
			d.name(p+".id", o.ID)
		}
		if slices.IndexFunc(list, func(x drills.SLO) bool { return x.ID == o.ID }) < i && o.ID != "" {
			d.add(p+".id", o.ID+" is there twice", "give one of them another id")
		}
		d.required(p+".title", o.Title != "", "one line that a report can show")
		d.slo(p, o, s)
		if s.Monitoring.Prometheus == nil && len(o.Rules) > 0 {
			d.add(p+".rules", "the system declares no Prometheus that has rules", "add monitoring.prometheus or remove this")
		}
	}
}

func (d *document) slo(path string, o drills.SLO, s *drills.System) {
	ways := 0
	for _, given := range []bool{o.Probe != "", o.PromQL != "", o.NotMeasured != ""} {
		if given {
			ways++
		}
	}
	d.positive(path+".p95", o.P95)
	d.positive(path+".p99", o.P99)
	switch {
	case ways != 1:
		d.add(path, "exactly one of probe, promql and not-measured is needed", "not-measured says why nothing here can measure it")
	case o.Probe != "":
		d.oneProbe(path+".probe", o.Probe, s)
		if o.Over != "" {
			d.oneProbe(path+".over", o.Over, s)
		}
		d.unused(path, "this is for promql", "max", "min")
		if o.Success == 0 && o.P95 == 0 && o.P99 == 0 {
			d.add(path, "no bound is given", "success, p95 or p99")
		}
	case o.PromQL != "":
		d.unused(path, "this is for probes", "success", "p95", "p99", "over")
		switch {
		case o.Max == nil && o.Min == nil:
			d.add(path, "no bound is given", "max, min or both")
		case o.Max != nil && o.Min != nil && *o.Min > *o.Max:
			d.add(path+".min", "no value is at least min and at most max", "min is above max")
		}
		if s.Monitoring.Prometheus == nil {
			d.add(path+".promql", "the system declares no Prometheus", "add monitoring.prometheus")
		}
	}
}

// sloExpect checks `expect: slos:`.
func (r *drillReader) sloExpect(x *drills.SLOExpect) {
	const path = "expect.slos"
	if r.required(path+".phases", len(x.Phases) > 0, oneOf(drills.SLOPhases())) {
		r.names(path+".phases", "phase", x.Phases, drills.SLOPhases())
	}
	for i, c := range x.Components {
		r.knownComponent(path+".components["+itoa(i)+"]", c)
	}
	if r.sys == nil || len(x.Components) > 0 {
		return
	}
	if c, ok := r.sys.Components[r.drill.Component]; ok && len(c.SLOs) == 0 {
		r.add(path, "the system file declares no SLOs for "+c.Name, "declare `slos:` there, or name other components")
	}
}
