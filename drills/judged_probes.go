package drills

import "maps"

// Bystander is how seldom at least a probe is sent that a drill does not judge by: often enough to see who else suffers and
// for how long, seldom enough that the observer does not take the machine from what it observes.
const Bystander = Duration(500_000_000) // 500 ms

// Judges tells which probes the drill judges by: recovery, steady state, bounds, contracts, objectives of the drilled
// component, breakers that are watched and stop conditions.
func (d *Drill) Judges(sys *System) map[string]bool {
	out := map[string]bool{}
	add := func(names ...string) {
		for _, n := range names {
			out[n] = true
		}
	}
	c := sys.Components[d.Component]
	add(c.RecoveredMeans...)
	add(d.Recovery.Probes...)
	for name := range d.SteadyState.Probes {
		add(name)
	}
	for _, o := range c.SLOs {
		add(o.Probe, o.Over)
	}
	for _, w := range d.Expect.During {
		add(w.Probe)
	}
	if x := d.Expect.Contract; x != nil {
		add(x.MustWork...)
		add(x.MayLose...)
		for _, a := range x.Answers {
			add(a.Probe)
		}
	}
	for _, x := range d.Expect.Breakers {
		if b, ok := sys.Components[x.Component].Breakers[x.Breaker]; ok && b.Traffic != nil {
			add(b.Traffic.Probe)
		}
	}
	if x := d.Expect.SLOs; x != nil {
		for _, name := range x.Components {
			for _, o := range sys.Components[name].SLOs {
				add(o.Probe, o.Over)
			}
		}
	}
	for _, s := range d.StopConditions {
		if s.Probe != nil {
			add(s.Probe.Name)
		}
	}
	delete(out, "")
	return out
}

// ProbesFor are the system's probes as the drill needs them: those that it does not judge by are sent at most every Bystander.
func (d *Drill) ProbesFor(sys *System) map[string]ProbeSpec {
	out := maps.Clone(sys.Probes)
	judged := d.Judges(sys)
	for name, p := range out {
		if !judged[name] {
			p.Every = max(p.Every, Bystander)
			out[name] = p
		}
	}
	return out
}
