package scenario

import (
	"fmt"

	"github.com/eevans-d/simulacro/drills"
)

func (r *drillReader) stopConditions() {
	for i, c := range r.drill.StopConditions {
		path := fmt.Sprintf("stop-conditions[%d]", i)
		if n := conditions(c); n != 1 {
			if !r.troubled(path) {
				r.add(path, fmt.Sprintf("a stop condition has exactly one condition, this has %d", n), "probe, alert, outage or time; one list item each")
			}
			continue
		}
		if c.Probe != nil {
			if r.required(path+".probe.name", c.Probe.Name != "", "which probe") {
				r.knownProbe(path+".probe.name", c.Probe.Name)
			}
			r.needed(path+".probe.bad", c.Probe.Bad, "for how long, such as 60s")
		}
		if c.Alert != nil {
			r.required(path+".alert.severity", c.Alert.Severity != "", "such as critical")
			r.known(path+".alert.not-in", "value", c.Alert.NotIn, []string{"expect"})
		}
		r.truncation(path, c)
	}
}

func conditions(c drills.StopCondition) int {
	n := 0
	for _, set := range []bool{c.Probe != nil, c.Alert != nil, c.Outage != 0, c.Time != 0} {
		if set {
			n++
		}
	}
	return n
}

// troubled tells whether something below the path is wrong already, so that counting there would only confuse.
func (r *drillReader) troubled(path string) bool {
	for p := range r.spoilt {
		if len(p) >= len(path) && p[:len(path)] == path {
			return true
		}
	}
	return false
}

// limitOf is the length of outage or run at which the condition stops; zero for alerts.
func limitOf(c drills.StopCondition) drills.Duration {
	if c.Probe != nil {
		return c.Probe.Bad
	}
	return c.Outage + c.Time
}

// truncation: a run that stops before the objective is over cannot show that the objective is met, only that it is not
// missed by then. Such a stop must say so. Once one says so, longer ones add nothing.
func (r *drillReader) truncation(path string, c drills.StopCondition) {
	limit := limitOf(c)
	if r.sys == nil || limit == 0 || c.ObjectiveTruncated {
		return
	}
	rto := r.sys.ObjectivesOf(r.drill.Component, r.opt.Profile).RTO
	if limit >= rto {
		return
	}
	for _, o := range r.drill.StopConditions {
		if o.ObjectiveTruncated && limitOf(o) > 0 && limitOf(o) <= limit {
			return
		}
	}
	r.add(path, fmt.Sprintf("this stops after %s, before the RTO of %s is over", short(limit), short(rto)),
		"add objective-truncated: true, so that the report says so, or stop later")
}
