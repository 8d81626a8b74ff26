package scenario

import (
	"fmt"
	"regexp"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

var metricPattern = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)

// breakers checks how the breakers of a component can be seen.
func (d *document) breakers(path string, c *drills.Component, s *drills.System) {
	for name, b := range c.Breakers {
		p := join(path, name)
		d.name(p, name)
		if b.Of != "" {
			d.known(p+".of", "component", b.Of, keys(s.Components))
		}
		if b.Metrics == nil && b.Traffic == nil {
			d.add(p, "nothing says how this breaker is seen", "metrics: {from: …, urls: […], state: NAME}, traffic: {probe: NAME} or both")
		}
		if b.Traffic != nil && d.required(p+".traffic.probe", b.Traffic.Probe != "", "a probe of one instance that calls the dependency") {
			d.oneProbe(p+".traffic.probe", b.Traffic.Probe, s)
		}
		if b.Metrics != nil {
			d.breakerMetrics(p+".metrics", b.Metrics)
		}
	}
}

func (d *document) breakerMetrics(path string, m *drills.BreakerMetrics) {
	d.onePlace(path, "metrics are read from one place")
	d.from(path, m.From, false)
	fill(&m.Timeout, time.Second)
	if m.Every != 0 || d.has(path+".every") {
		d.between(path+".every", m.Every, 10*time.Millisecond, time.Minute)
	}
	d.between(path+".timeout", m.Timeout, time.Millisecond, time.Minute)
	d.required(path+".urls", len(m.URLs) > 0, "one for each instance: http://host:port/metrics")
	for i, u := range m.URLs {
		d.url(fmt.Sprintf("%s.urls[%d]", path, i), u, "http", "https")
		d.dsnSecret(fmt.Sprintf("%s.urls[%d]", path, i), u)
	}
	d.required(path+".state", m.State != "", "the gauge of the breaker's state")
	for key, name := range map[string]string{
		"state": m.State, "opened": m.Opened, "calls": m.Calls, "failures": m.Failures, "rejected": m.Rejected, "waited": m.Waited,
	} {
		if name != "" && !metricPattern.MatchString(name) {
			d.add(join(path, key), fmt.Sprintf("%q is not the name of a metric", name), "the name alone; labels go into `labels:`")
		}
	}
}

func (r *drillReader) breakerExpects(list []drills.BreakerExpect) {
	seen := map[string]bool{}
	for i, x := range list {
		path := fmt.Sprintf("expect.breakers[%d]", i)
		spec, known := r.knownBreaker(path, x)
		if known && seen[x.Name()] {
			r.add(path+".breaker", x.Name()+" is there twice", "put what you expect of it together")
		}
		seen[x.Name()] = true
		r.positive(path+".opens-within", x.OpensWithin)
		r.positive(path+".closes-within", x.ClosesWithin)
		r.known(path+".stays", "value", string(x.Stays), []string{string(drills.BreakerClosed)})
		for key, n := range map[string]*int{"max-trials": x.MaxTrials, "min-spared": x.MinSpared} {
			if n != nil && *n < 0 {
				r.add(join(path, key), "this cannot be negative", "")
			}
		}
		acts := x.OpensWithin > 0 || x.ClosesWithin > 0 || x.HalfOpen || x.MaxTrials != nil || x.MinSpared != nil
		switch {
		case !acts && x.Stays == "":
			r.add(path, "nothing is expected of it", "opens-within, closes-within, half-open, max-trials, min-spared or stays: closed")
		case acts && x.Stays != "":
			r.add(path+".stays", "it cannot stay closed and do something as well", "remove one")
		}
		r.countable(path, x, spec, known)
	}
}

func (r *drillReader) knownBreaker(path string, x drills.BreakerExpect) (drills.BreakerSpec, bool) {
	there := r.required(path+".component", x.Component != "", "whose breaker it is")
	if !r.required(path+".breaker", x.Breaker != "", "its name under `breakers:` of the component") || !there || !r.knownComponent(path+".component", x.Component) {
		return drills.BreakerSpec{}, false
	}
	all := r.sys.Components[x.Component].Breakers
	r.known(path+".breaker", "breaker", x.Breaker, keys(all))
	spec, ok := all[x.Breaker]
	return spec, ok
}

// countable: what is counted must be declared to be countable, or it would be zero for the wrong reason.
func (r *drillReader) countable(path string, x drills.BreakerExpect, spec drills.BreakerSpec, known bool) {
	if !known || spec.Metrics == nil {
		return
	}
	if x.MinSpared != nil && spec.Metrics.Rejected == "" {
		r.add(path+".min-spared", "nobody counts the calls that "+x.Name()+" refuses", "declare `rejected:` in the system file")
	}
	if x.MaxTrials != nil && spec.Metrics.Calls == "" {
		r.add(path+".max-trials", "nobody counts the calls that "+x.Name()+" lets through", "declare `calls:` in the system file")
	}
}
