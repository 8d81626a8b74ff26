package drills

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// SLO is one service level objective of a component: bounds on a probe, on what a probe takes longer than another one
// (what lies between them adds), or on PromQL; or the reason why nothing here can measure it.
type SLO struct {
	ID          string   `json:"id" yaml:"id"`
	Title       string   `json:"title" yaml:"title"`
	Probe       string   `json:"probe,omitempty" yaml:"probe"`
	Over        string   `json:"over,omitempty" yaml:"over"`     // latency bounds are on the difference of the two probes' quantiles
	PromQL      string   `json:"promql,omitempty" yaml:"promql"` // evaluated over each phase
	Success     Share    `json:"success,omitempty" yaml:"success"`
	P95         Duration `json:"p95,omitempty" yaml:"p95"` // strictly below
	P99         Duration `json:"p99,omitempty" yaml:"p99"` // strictly below
	Max         *float64 `json:"max,omitempty" yaml:"max"` // promql, at most
	Min         *float64 `json:"min,omitempty" yaml:"min"` // promql, at least
	NotMeasured string   `json:"not-measured,omitempty" yaml:"not-measured"`
	Source      Source   `json:"source,omitzero" yaml:"source"`

	// Who watches it: the doctor checks that they can.
	Rules     []string `json:"rules,omitempty" yaml:"rules"`         // alert rules, by name
	Threshold *float64 `json:"threshold,omitempty" yaml:"threshold"` // that their expressions should have; default the bound, in seconds or as a share
	Dashboard string   `json:"dashboard,omitempty" yaml:"dashboard"` // title of the dashboard that shows it
}

// Phases of a run for which SLOs are stated, as SLOResult and `expect: slos: {phases: …}` name them.
const (
	PhaseSteady   = "steady"
	PhaseFault    = "fault"
	PhaseRecovery = "recovery"
)

// SLOPhases lists them in the order of a run.
func SLOPhases() []string { return []string{PhaseSteady, PhaseFault, PhaseRecovery} }

// SLOResult is one objective in one phase of a run. NotMeasured is no data, never a pass.
type SLOResult struct {
	Component string  `json:"component"`
	ID        string  `json:"id"`
	Title     string  `json:"title"`
	Phase     string  `json:"phase"`
	Target    string  `json:"target,omitempty"`
	Actual    string  `json:"actual"`
	Verdict   Verdict `json:"verdict"`
	Why       string  `json:"why,omitempty"`
	Source    string  `json:"source,omitempty"`
}

// Least numbers of samples for a statement about a share or the 95 % quantile, and about the 99 % quantile: with fewer the
// quantile is the largest one under another name.
const (
	sloSamples    = 20
	sloSamplesP99 = 100
)

func phaseTitle(phase string) string { return "phase:" + phase }

func sloTitle(component, id, phase string) string { return "slo:" + component + "/" + id + "@" + phase }

// slos evaluates every declared objective in every phase that the run reached.
func (f *folder) slos() []SLOResult {
	sys := f.rec.Opened.System
	if sys == nil || f.rec.Times.T0 == nil {
		return nil
	}
	var out []SLOResult
	for _, name := range slices.Sorted(maps.Keys(sys.Components)) {
		for _, o := range sys.Components[name].SLOs {
			for _, phase := range SLOPhases() {
				out = append(out, f.slo(name, o, phase))
			}
		}
	}
	return out
}

func (f *folder) slo(component string, o SLO, phase string) SLOResult {
	if o.PromQL != "" {
		return f.querySLO(o.result(component, phase), o)
	}
	find := func(probe string) *WindowStat {
		i := slices.IndexFunc(f.windows, func(w WindowStat) bool { return w.Title == phaseTitle(phase) && w.Probe == probe })
		if i < 0 {
			return nil
		}
		return &f.windows[i]
	}
	return o.onProbes(o.result(component, phase), find)
}

func (o SLO) result(component, phase string) SLOResult {
	return SLOResult{
		Component: component, ID: o.ID, Title: o.Title, Phase: phase, Target: o.target(), Actual: "no data", Verdict: NotMeasured,
		Why: o.NotMeasured, Source: strings.TrimSpace(o.Source.Document + " " + o.Source.Clause),
	}
}

func (o SLO) target() string {
	var out []string
	if o.Success > 0 {
		out = append(out, shareText(o.Success))
	}
	for _, x := range []struct {
		name string
		d    Duration
	}{{"p95", o.P95}, {"p99", o.P99}} {
		if x.d > 0 {
			out = append(out, x.name+" < "+x.d.String())
		}
	}
	if o.Min != nil {
		out = append(out, fmt.Sprintf(">= %g", *o.Min))
	}
	if o.Max != nil {
		out = append(out, fmt.Sprintf("<= %g", *o.Max))
	}
	return strings.Join(out, ", ")
}

// onProbes judges a probe's window. Latency is of good answers; where more than 5 % (1 %) were bad, the 95 % (99 %) quantile
// of all requests is one that never came, so the objective is missed whatever the good ones took.
func (o SLO) onProbes(r SLOResult, find func(string) *WindowStat) SLOResult {
	if o.NotMeasured != "" {
		return r
	}
	w := find(o.Probe)
	if w == nil || w.Count.Good+w.Count.Bad() < sloSamples {
		r.Why = fmt.Sprintf("fewer than %d samples of %s", sloSamples, o.Probe)
		return r
	}
	p95, p99 := w.P95, w.P99
	if o.Over != "" {
		base := find(o.Over)
		if base == nil || base.Count.Good < sloSamples {
			r.Why = fmt.Sprintf("fewer than %d good samples of %s", sloSamples, o.Over)
			return r
		}
		p95, p99 = max(0, p95-base.P95), max(0, p99-base.P99)
	}
	n := w.Count.Good + w.Count.Bad()
	r.Actual = fmt.Sprintf("%.2f%% of %d good, p95 %s, p99 %s", w.Share*100, n, ms(p95), ms(p99))
	bad := 1 - w.Share
	switch {
	case w.Share < float64(o.Success):
		return r.missed(fmt.Sprintf("%d of %d failed", w.Count.Bad(), n))
	case o.P99 > 0 && n < sloSamplesP99:
		r.Why = fmt.Sprintf("%d samples, p99 needs %d", n, sloSamplesP99)
		return r
	case o.P95 > 0 && (p95 >= o.P95 || bad > 0.05):
		return r.missed(latencyMiss("p95", p95, o.P95, bad))
	case o.P99 > 0 && (p99 >= o.P99 || bad > 0.01):
		return r.missed(latencyMiss("p99", p99, o.P99, bad))
	}
	r.Verdict = Met
	return r
}

func latencyMiss(name string, got, limit Duration, bad float64) string {
	if got >= limit {
		return fmt.Sprintf("%s was %s", name, ms(got))
	}
	return fmt.Sprintf("%.1f%% of all requests had no good answer, so their %s has no value", bad*100, name)
}

func (r SLOResult) missed(why string) SLOResult {
	r.Verdict, r.Why = NotMet, why
	return r
}

// querySLO judges the extremes of a query over a phase.
func (f *folder) querySLO(r SLOResult, o SLO) SLOResult {
	i := slices.IndexFunc(f.queries, func(q QueryResult) bool { return q.Title == sloTitle(r.Component, o.ID, r.Phase) })
	if i < 0 || f.queries[i].NoData || f.queries[i].Error != "" {
		r.Why = "the query had no data"
		if i >= 0 && f.queries[i].Error != "" {
			r.Why = f.queries[i].Error
		}
		return r
	}
	q := f.queries[i]
	r.Actual = fmt.Sprintf("%.4g to %.4g over %d points", q.Min, q.Max, q.Samples)
	switch {
	case o.Max != nil && q.Max > *o.Max:
		return r.missed(fmt.Sprintf("it rose to %.4g", q.Max))
	case o.Min != nil && q.Min < *o.Min:
		return r.missed(fmt.Sprintf("it fell to %.4g", q.Min))
	}
	r.Verdict = Met
	return r
}

// sloWindows are the queries that SLOs ask over the phases.
func sloWindows(s *System, phases []NamedWindow) []NamedWindow {
	var out []NamedWindow
	for _, name := range slices.Sorted(maps.Keys(s.Components)) {
		for _, o := range s.Components[name].SLOs {
			for _, w := range phases {
				if phase, ok := strings.CutPrefix(w.During.Title, phaseTitle("")); ok && o.PromQL != "" {
					out = append(out, NamedWindow{During: During{Title: sloTitle(name, o.ID, phase), PromQL: o.PromQL}, Window: w.Window})
				}
			}
		}
	}
	return out
}

// SteadySLOs judges a component's probe SLOs on the settle window, before anything is injected.
func SteadySLOs(s *System, component string, bs []Baseline) []SLOResult {
	var out []SLOResult
	for _, o := range s.Components[component].SLOs {
		if o.Probe == "" || o.NotMeasured != "" {
			continue
		}
		out = append(out, o.onProbes(o.result(component, PhaseSteady), func(probe string) *WindowStat {
			i := slices.IndexFunc(bs, func(b Baseline) bool { return b.Probe == probe })
			if i < 0 {
				return nil
			}
			b := bs[i]
			return &WindowStat{Probe: probe, Count: b.Count, Share: b.Share, P50: b.P50, P95: b.P95, P99: b.P99}
		}))
	}
	return out
}

// SLOExpect makes the SLOs of some phases an expectation. Those that nothing here can measure are left out.
type SLOExpect struct {
	Phases     []string `json:"phases" yaml:"phases"`                   // of steady, fault, recovery
	Components []string `json:"components,omitempty" yaml:"components"` // default: the drilled one
}

func (f *folder) judgeSLOs(now time.Time) []Judged {
	x := f.drill.Expect.SLOs
	if x == nil {
		return nil
	}
	components := x.Components
	if len(components) == 0 {
		components = []string{f.drill.Component}
	}
	var out []Judged
	for _, r := range f.slos() {
		if !slices.Contains(components, r.Component) || !slices.Contains(x.Phases, r.Phase) || f.unmeasurable(r) {
			continue
		}
		j := Judged{
			ID: sloTitle(r.Component, r.ID, r.Phase), Title: fmt.Sprintf("%s, in the %s phase", r.Title, r.Phase), Target: r.Target,
			Actual: r.Actual, Verdict: r.Verdict, Cause: "slo", Source: r.Source, Why: r.Why,
		}
		if !now.IsZero() {
			j.Verdict, j.Actual, j.Why = Pending, "not decided yet", ""
		} else if r.Verdict == NotMet {
			j.Why = fmt.Sprintf("SLO missed in the %s phase: %s: %s", r.Phase, r.Title, r.Why)
		}
		out = append(out, j)
	}
	return out
}

// unmeasurable tells whether the system file itself says that nothing can measure it.
func (f *folder) unmeasurable(r SLOResult) bool {
	return slices.ContainsFunc(f.rec.Opened.System.Components[r.Component].SLOs, func(o SLO) bool { return o.ID == r.ID && o.NotMeasured != "" })
}

// sloFindings are one finding per phase and component with missed SLOs. In the fault phase that is what the fault is for.
func (f *folder) sloFindings() {
	for _, phase := range SLOPhases() {
		missed := map[string][]string{}
		for _, r := range f.rec.SLOs {
			if r.Phase == phase && r.Verdict == NotMet {
				missed[r.Component] = append(missed[r.Component], fmt.Sprintf("%s (%s): %s", r.Title, r.Target, r.Why))
			}
		}
		severity := SeverityWarning
		if phase == PhaseFault {
			severity = SeverityInfo
		}
		for _, c := range slices.Sorted(maps.Keys(missed)) {
			f.find("slo-missed:"+c+"@"+phase, severity, fmt.Sprintf("%d SLO(s) of %s were missed in the %s phase", len(missed[c]), c, phase), strings.Join(missed[c], "; "))
		}
	}
}
