package scenario

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

// conditionPattern is an operator with a number or a duration, or one word: ">= 2", "< 1s", "ok".
var conditionPattern = regexp.MustCompile(`^(?:(?:>=|<=|==|>|<)\s*-?[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h)?|[a-z][a-z0-9-]*)$`)

func (r *drillReader) requirements() {
	for i, q := range r.drill.Require {
		path := fmt.Sprintf("require[%d]", i)
		if q.Component == "" {
			if r.has(path + ".alerts-firing") {
				r.known(path+".alerts-firing", "value", q.AlertsFiring, []string{"none"})
			}
			continue
		}
		path = join(path, q.Component)
		if len(q.Conditions) == 0 {
			r.add(path, "no condition is given", `such as {replicas: ">= 2", lag: "< 1s"}`)
		}
		known := r.knownComponent(path, q.Component)
		for fact, c := range q.Conditions {
			r.name(join(path, fact), fact)
			if !conditionPattern.MatchString(strings.TrimSpace(c)) {
				r.add(join(path, fact), fmt.Sprintf("%q is not a condition", c), `such as ">= 2", "< 1s" or "ok"`)
			}
			if known && fact != "running" && r.sys.Components[q.Component].Roles == nil {
				r.add(join(path, fact), "nobody knows this about "+q.Component, "without `roles:` in the system file only `running` is known")
			}
		}
	}
}

func (r *drillReader) expect() {
	e := &r.drill.Expect
	if x := e.RoleMoved; x != nil {
		r.roleMoved(x)
	}
	if e.RTA != nil {
		r.needed("expect.rta.max", e.RTA.Max, "such as 30s")
	}
	if e.Rejoin != nil {
		r.needed("expect.rejoin.within", e.Rejoin.Within, "such as 60s, counted from the lift")
	}
	for i := range e.Loss {
		r.loss(r.boundPath("expect.loss", i), &e.Loss[i])
		if slices.Contains(e.Loss[:i].Canaries(), e.Loss[i].Canary) {
			r.add(r.boundPath("expect.loss", i)+".canary", "this canary is bounded twice", "put both bounds into one entry")
		}
	}
	if e.Consistency != nil {
		r.consistency(e.Consistency)
	}
	if e.Alerts != nil {
		r.alerts(e.Alerts)
	}
	for i := range e.During {
		r.during(fmt.Sprintf("expect.during[%d]", i), &e.During[i])
	}
	for i := range e.Load {
		r.load(r.boundPath("expect.load", i), &e.Load[i])
		if slices.ContainsFunc(e.Load[:i], func(b drills.LoadBound) bool { return b.Step == e.Load[i].Step }) {
			r.add(r.boundPath("expect.load", i)+".step", "this step is bounded twice", "put both bounds into one entry")
		}
	}
	for i, x := range e.Reaped {
		r.reaped(fmt.Sprintf("expect.reaped[%d]", i), x)
	}
	if e.Contract != nil {
		r.contract(e.Contract)
	}
	if e.Restore != nil {
		r.restore(e.Restore)
	}
	if e.SLOs != nil {
		r.sloExpect(e.SLOs)
	}
	r.breakerExpects(e.Breakers)
}

func (r *drillReader) roleMoved(x *drills.RoleMoved) {
	const path = "expect.role-moved"
	if r.required(path+".component", x.Component != "", "whose role moves") && r.knownComponent(path+".component", x.Component) {
		r.role(path+".role", x.Component, x.Role)
	}
	if r.required(path+".role", x.Role != "", "such as primary") {
		r.known(path+".role", "role", x.Role, roles())
	}
	r.needed(path+".within", x.Within, "such as 30s, counted from T0")
	if x.While == "" {
		x.While = drills.AnyTime
	}
	r.while(path+".while", x.While)
}

// boundPath is where a bound stands: the key itself where there is no list.
func (r *drillReader) boundPath(key string, i int) string {
	if p := fmt.Sprintf("%s[%d]", key, i); r.has(p) {
		return p
	}
	return key
}

func (r *drillReader) loss(path string, x *drills.Loss) {
	if r.required(path+".canary", x.Canary != "", "the canary whose losses are bounded") && r.sys != nil {
		r.known(path+".canary", "canary", x.Canary, keys(r.sys.Canaries))
	}
	if x.MaxWrites == nil && x.MaxAge == 0 && x.MaxDuplicated == nil && x.MaxReordered == nil {
		r.add(path, "no bound is given", "max-writes, max-age, max-duplicated, max-reordered or several")
	}
	for key, n := range map[string]*int{"max-writes": x.MaxWrites, "max-duplicated": x.MaxDuplicated, "max-reordered": x.MaxReordered} {
		if n != nil && *n < 0 {
			r.add(path+"."+key, "fewer than none cannot be", "0 means that none may be")
		}
	}
	r.positive(path+".max-age", x.MaxAge)
	if r.sys == nil {
		return
	}
	c, ok := r.sys.Canaries[x.Canary]
	switch {
	case !ok:
	case x.MaxAge > 0 && !c.IsStored():
		r.add(path+".max-age", x.Canary+" stores nothing, so its losses have no age", "max-writes bounds the messages that did not reach every client")
	case x.MaxReordered != nil && !c.IsOrdered():
		r.add(path+".max-reordered", "the order of the writes of "+x.Canary+" cannot be seen", "name a canary of kind redis-stream or websocket")
	}
}

func (r *drillReader) consistency(x *drills.Consistency) {
	const path = "expect.consistency"
	if x.AtLeast == "" {
		x.AtLeast = "linearizable"
	}
	r.known(path+".at-least", "consistency", x.AtLeast, []string{"linearizable"})
	if !r.required(path+".canary", x.Canary != "", "the register canary whose history is judged") || r.sys == nil {
		return
	}
	if c, ok := r.sys.Canaries[x.Canary]; ok && !c.IsRegister() {
		r.add(path+".canary", x.Canary+" has no history of reads and writes", "name a canary of kind redis-register or postgres-register")
	} else if !ok {
		r.known(path+".canary", "canary", x.Canary, keys(r.sys.Canaries))
	}
}

func (r *drillReader) alerts(a *drills.Alerts) {
	const path = "expect.alerts"
	seen := map[string]bool{}
	for i, f := range a.Fire {
		p := fmt.Sprintf("%s.fire[%d]", path, i)
		r.required(p+".name", f.Name != "", "the alert's name in the rules")
		r.needed(p+".within", f.Within, "such as 30s, counted from T0")
		r.positive(p+".notified-within", f.NotifiedWithin)
		r.positive(p+".resolved-within", f.ResolvedWithin)
		if f.Name != "" && seen[f.Name] {
			r.add(p+".name", f.Name+" is there twice", "remove one")
		}
		seen[f.Name] = true
	}
	for i, name := range a.Allow {
		if seen[name] {
			r.add(fmt.Sprintf("%s.allow[%d]", path, i), name+" must fire already", "remove it from allow")
		}
	}
	if a.Others == "" {
		a.Others = "any"
	}
	r.known(path+".others", "value", a.Others, []string{"none", "any"})
	if r.sys != nil && r.sys.Monitoring.Prometheus == nil && (len(a.Fire) > 0 || a.Others == "none") {
		r.add(path, "the system declares no Prometheus, so no alert can be seen", "add monitoring.prometheus to the system file, or remove this")
	}
}

func (r *drillReader) during(path string, x *drills.During) {
	r.required(path+".title", x.Title != "", "one line that a report can show")
	if r.required(path+".window", x.Window != [2]string{}, "[T0, T0+15s]") {
		r.window(path+".window", x.Window)
	}
	r.positive(path+".p95", x.P95)
	r.positive(path+".p99", x.P99)
	switch {
	case (x.Probe == "") == (x.PromQL == ""):
		r.add(path, "exactly one of probe and promql is needed", "")
	case x.Probe != "":
		r.knownProbe(path+".probe", x.Probe)
		r.unused(path, "this is for promql", "max", "min", "no-data")
		if x.Success == 0 && x.P95 == 0 && x.P99 == 0 {
			r.add(path, "no bound is given", "success, p95 or p99")
		}
	default:
		r.unused(path, "this is for probes", "success", "p95", "p99")
		r.promql(path, x)
	}
	if x.MinSamples < 0 {
		r.add(path+".min-samples", "this cannot be negative", "")
	}
}

func (r *drillReader) promql(path string, x *drills.During) {
	switch {
	case x.Max == nil && x.Min == nil:
		r.add(path, "no bound is given", "max, min or both")
	case x.Max != nil && x.Min != nil && *x.Min > *x.Max:
		r.add(path+".min", "no value is at least min and at most max", "min is above max")
	}
	if x.NoData == "" {
		x.NoData = "inconclusive"
	}
	r.known(path+".no-data", "value", x.NoData, []string{"inconclusive", "fail"})
	if r.sys != nil && r.sys.Monitoring.Prometheus == nil {
		r.add(path+".promql", "the system declares no Prometheus", "add monitoring.prometheus to the system file")
	}
}

// window checks the two ends of a window, and their order where both hang on the same instant.
func (r *drillReader) window(path string, w [2]string) {
	var ends [2]drills.Anchor
	for i, s := range w {
		a, err := drills.ParseAnchor(s)
		if err != nil {
			r.complain(path+"["+itoa(i)+"]", err)
			return
		}
		ends[i] = a
	}
	if ends[0].Name == ends[1].Name && ends[0].Offset >= ends[1].Offset {
		r.add(path, "the window ends before it begins", "[T0, T0+15s]")
	}
}

func (r *drillReader) load(path string, x *drills.LoadBound) {
	ids := []string{}
	for i, s := range r.drill.Method {
		ids = append(ids, s.ID)
		if s.ID != x.Step {
			continue
		}
		verbs := r.kinds[s.Fault].Info.Verbs
		if len(verbs) > 0 && !slices.ContainsFunc(verbs, func(v string) bool { return v == "load" || strings.HasPrefix(v, "load.") }) {
			r.add(path+".step", fmt.Sprintf("step %s (method[%d]) makes no load", s.ID, i), "name the step of a load fault")
		}
	}
	if r.required(path+".step", x.Step != "", "the id of the step that makes the load") {
		r.known(path+".step", "step", x.Step, ids)
	}
	if x.Connected == 0 && x.Delivered == 0 && x.P95 == 0 && x.P99 == 0 && x.Drops == nil && x.Reconnected == 0 && x.BackWithin == 0 && x.Rate == 0 && x.Success == 0 && x.Throttled == nil && len(x.Flows) == 0 {
		r.add(path, "no bound is given", "connected, delivered, rate, success, p95, p99, max-drops, reconnected, back-within, max-throttled or flows")
	}
	for i, b := range x.Flows {
		at := path + ".flows[" + itoa(i) + "]"
		r.required(at+".flow", b.Flow != "", "the name of a flow of the step")
		if b.Rate == 0 && b.Success == 0 && b.P95 == 0 && b.P99 == 0 {
			r.add(at, "no bound is given", "rate, success, p95 or p99")
		}
		r.positive(at+".p95", b.P95)
		r.positive(at+".p99", b.P99)
	}
	r.positive(path+".p95", x.P95)
	r.positive(path+".p99", x.P99)
	r.positive(path+".back-within", x.BackWithin)
}
