package scenario

import (
	"fmt"
	"slices"

	"github.com/eevans-d/simulacro/drills"
)

// honestStandard is the share of honest answers where only a time or a refusal is given.
const honestStandard = 0.99

func (r *drillReader) contract(c *drills.Contract) {
	const path = "expect.contract"
	if c.Window == [2]string{} {
		c.Window = [2]string{"T0", "lift"}
	}
	r.window(path+".window", c.Window)
	if c.Others == "" {
		c.Others = "finding"
	}
	r.positive(path+".blip", c.Blip)
	r.known(path+".others", "value", c.Others, []string{"finding", "fail"})
	if len(c.Answers) == 0 && len(c.MustWork) == 0 {
		r.add(path, "nothing is promised", "answers, must-work or both; what may be lost is no promise")
	}
	for i := range c.Answers {
		r.answers(fmt.Sprintf("%s.answers[%d]", path, i), c, i)
	}
	for i, name := range c.MustWork {
		p := fmt.Sprintf("%s.must-work[%d]", path, i)
		r.knownProbe(p, name)
		if slices.Contains(c.MayLose, name) {
			r.add(p, name+" may be lost as well", "it is either promised or not")
		}
		if slices.Index(c.MustWork, name) < i {
			r.add(p, name+" is there twice", "remove one")
		}
	}
	for i, name := range c.MayLose {
		r.knownProbe(fmt.Sprintf("%s.may-lose[%d]", path, i), name)
	}
}

func (r *drillReader) answers(path string, c *drills.Contract, i int) {
	a := &c.Answers[i]
	if r.required(path+".probe", a.Probe != "", "the probe whose answers are bounded") {
		r.knownProbe(path+".probe", a.Probe)
	}
	if slices.IndexFunc(c.Answers, func(b drills.Answers) bool { return b.Probe == a.Probe }) < i {
		r.add(path+".probe", a.Probe+" is there twice", "put its bounds together")
	}
	for key, d := range map[string]drills.Duration{"within": a.Within, "p50": a.P50, "p95": a.P95, "p99": a.P99} {
		r.positive(path+"."+key, d)
		r.patient(path+"."+key, a.Probe, d)
	}
	if a.Honest == 0 && (a.Within > 0 || len(a.Allowed) > 0) {
		a.Honest = honestStandard
	}
	if a.Honest == 0 && a.Success == 0 && a.P50 == 0 && a.P95 == 0 && a.P99 == 0 {
		r.add(path, "no bound is given", "within, honest, success, p50, p95 or p99")
	}
	if a.MinSamples < 0 {
		r.add(path+".min-samples", "this cannot be negative", "")
	}
	for k, s := range a.Allowed {
		r.required(fmt.Sprintf("%s.allowed[%d]", path, k), s != "", `the beginning of a refusal, such as "HTTP 503"`)
	}
}

// patient checks that a probe waits long enough for a bound to be judged: one that has given up does not know what would
// have come.
func (r *drillReader) patient(path, probe string, most drills.Duration) {
	if r.sys == nil || most == 0 {
		return
	}
	p, ok := r.sys.Probes[probe]
	if ok && p.Timeout < most {
		r.add(path, fmt.Sprintf("probe %s gives up after %s", probe, short(p.Timeout)), "raise its timeout in the system file, or ask for less")
	}
}
