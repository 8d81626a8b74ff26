package monitor

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/eevans-d/simulacro/drills"
)

// checkTimeout bounds each question.
const checkTimeout = 5 * time.Second

// Check implements drills.Preflight: Prometheus and Alertmanager and the sink answer, the identity query holds,
// the rules that the drill expects are loaded, and no alert is firing that would make the run meaningless.
// Metrics behind a rule are not evaluated: a rule on a metric that does not exist must be found out by the
// drill (it does not fire), not by refusing to run it.
func (m *Monitor) Check(ctx context.Context, d *drills.Drill) []drills.Check {
	fire, _ := expectAlerts(&d.Expect)
	if m.prom == nil {
		return m.undeclared(ctx, d, fire)
	}
	c := drills.Check{Name: "monitoring: prometheus answers", Expected: m.prom.base}
	if err := m.bounded(ctx, func(ctx context.Context) error { return m.prom.get(ctx, "/-/ready", nil) }); err != nil {
		c.Actual, c.Hint = err.Error(), "is Prometheus up, and is monitoring.prometheus its address inside the system?"
		return append([]drills.Check{c}, m.others(ctx)...)
	}
	c.OK, c.Actual = true, "ready"
	out := append([]drills.Check{c}, m.others(ctx)...)
	out = append(out, m.identity(ctx)...)
	out = append(out, m.ruleChecks(ctx, fire)...)
	out = append(out, m.alertChecks(ctx, d)...)
	return append(out, m.targetCheck(ctx))
}

func (m *Monitor) bounded(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return f(ctx)
}

// undeclared: without Prometheus nothing can be asked; what the drill needs of it is refused by name.
func (m *Monitor) undeclared(ctx context.Context, d *drills.Drill, fire []drills.AlertExpect) []drills.Check {
	out := m.others(ctx)
	var needs []string
	if len(fire) > 0 {
		needs = append(needs, "expect.alerts")
	}
	if slices.ContainsFunc(d.Require, func(r drills.Requirement) bool { return r.AlertsFiring != "" }) {
		needs = append(needs, "require alerts-firing")
	}
	if slices.ContainsFunc(d.Expect.During, func(w drills.During) bool { return w.PromQL != "" }) {
		needs = append(needs, "expect.during promql")
	}
	if m.cfg.Identity != nil {
		needs = append(needs, "identity promql")
	}
	if len(needs) > 0 {
		out = append(out, drills.Check{
			Name: "monitoring: prometheus declared", Expected: "for " + strings.Join(needs, ", "),
			Actual: "the system file declares none", Hint: "add monitoring.prometheus to the system file",
		})
	}
	return out
}

// others asks Alertmanager and the sink, where declared.
func (m *Monitor) others(ctx context.Context) []drills.Check {
	var out []drills.Check
	ask := func(name, base, hint string, f func(context.Context) error) {
		c := drills.Check{Name: name, Expected: base, OK: true, Actual: "ready"}
		if err := m.bounded(ctx, f); err != nil {
			c.OK, c.Actual, c.Hint = false, err.Error(), hint
		}
		out = append(out, c)
	}
	if m.am != nil {
		ask("monitoring: alertmanager answers", m.am.base, "is Alertmanager up, and is monitoring.alertmanager its address inside the system?",
			func(ctx context.Context) error { return m.am.get(ctx, "/-/ready", nil) })
	}
	if m.sink != nil {
		ask("monitoring: notification sink answers", m.sink.base, "is the sink up, and is monitoring.notified-by its address inside the system?",
			func(ctx context.Context) error { _, err := m.sink.notifications(ctx, time.Now()); return err })
	}
	return out
}

func (m *Monitor) identity(ctx context.Context) []drills.Check {
	id := m.cfg.Identity
	if id == nil {
		return nil
	}
	c := drills.Check{
		Name: "identity: promql", Expected: fmt.Sprintf("%s >= %g", id.PromQL, id.Min),
		Hint: "this Prometheus does not watch the system that the system file names; check monitoring.prometheus and identity.promql",
	}
	err := m.bounded(ctx, func(ctx context.Context) error {
		v, err := m.instant(ctx, id.PromQL)
		if err != nil {
			return err
		}
		lowest, n := math.Inf(1), 0
		for _, s := range v {
			lowest, n = min(lowest, float64(s.Value)), n+1
		}
		if n == 0 {
			return fmt.Errorf("no data")
		}
		c.Actual, c.OK = fmt.Sprintf("%g", lowest), lowest >= id.Min // NaN is not
		return nil
	})
	if err != nil {
		c.Actual = err.Error()
	}
	if c.OK {
		c.Hint = ""
	}
	return []drills.Check{c}
}

// instant evaluates a query now; a scalar is a vector of one.
func (m *Monitor) instant(ctx context.Context, q string) (model.Vector, error) {
	v, _, _, err := m.prom.api.Query(ctx, q, time.Now())
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case model.Vector:
		return v, nil
	case *model.Scalar:
		return model.Vector{{Value: v.Value, Timestamp: v.Timestamp}}, nil
	}
	return nil, fmt.Errorf("%s returns a %s, not a number", q, v.Type())
}

// alertChecks: with `require: {alerts-firing: none}` no alert but an allowed one may fire; and in every case none
// that the drill expects, because it could not fire again.
func (m *Monitor) alertChecks(ctx context.Context, d *drills.Drill) []drills.Check {
	fire, allow := expectAlerts(&d.Expect)
	strict := slices.ContainsFunc(d.Require, func(r drills.Requirement) bool { return r.AlertsFiring == "none" })
	if !strict && len(fire) == 0 {
		return nil
	}
	c := drills.Check{Name: "monitoring: no unexpected alert firing", Expected: "none", Actual: "none", OK: true}
	if !strict {
		c = drills.Check{Name: "monitoring: expected alerts not firing yet", Expected: "none of them", Actual: "none of them", OK: true}
	}
	inTheWay := func(name string) bool {
		expected := slices.ContainsFunc(fire, func(e drills.AlertExpect) bool { return e.Name == name })
		return expected || strict && !slices.Contains(allow, name)
	}
	began := time.Now()
	bad, err := m.firing(ctx, inTheWay)
	// Those of the drill before are on their way out: they only need time (docs/adr/0011).
	for first := bad; err == nil && len(bad) > 0 && time.Since(began) < m.cfg.Patience && drills.Wait(ctx, m.cfg.Poll); {
		if bad, err = m.firing(ctx, inTheWay); err == nil && len(bad) == 0 {
			c.Actual = fmt.Sprintf("none, after %s of waiting for %s", time.Since(began).Round(time.Second), strings.Join(first, ", "))
		}
	}
	switch {
	case err != nil:
		c.OK, c.Actual, c.Hint = false, err.Error(), "alerts must be readable from Prometheus"
	case len(bad) > 0:
		c.OK, c.Actual = false, strings.Join(bad, ", ")
		c.Hint = "wait until they are resolved, or list those that may fire under expect.alerts.allow"
	}
	return []drills.Check{c}
}

// firing names the alerts that fire and are in the way, sorted.
func (m *Monitor) firing(ctx context.Context, inTheWay func(name string) bool) ([]string, error) {
	var alerts []v1.Alert
	err := m.bounded(ctx, func(ctx context.Context) (err error) { alerts, err = m.prom.alerts(ctx); return })
	var out []string
	for _, a := range byKey(alerts) {
		if l := newLife(a); a.State == v1.AlertStateFiring && inTheWay(l.name) {
			out = append(out, l.String())
		}
	}
	slices.Sort(out)
	return out, err
}

// targetCheck never blocks: what is down is told, and Start emits it as a finding.
func (m *Monitor) targetCheck(ctx context.Context) drills.Check {
	c := drills.Check{Name: "monitoring: scrape targets", Expected: "all up", OK: true}
	err := m.bounded(ctx, func(ctx context.Context) error {
		ts, err := m.prom.targets(ctx)
		if err != nil {
			return err
		}
		down := downTargets(ts)
		c.Actual = fmt.Sprintf("%d of %d up", len(ts)-len(down), len(ts))
		if len(down) > 0 {
			c.Hint = "what they measure will be missing: " + strings.Join(down, "; ")
		}
		return nil
	})
	if err != nil {
		c.Actual = err.Error()
	}
	return c
}
