package drills

import (
	"fmt"
	"slices"
	"strings"
)

// oursLimit is the share of a probe's samples that may say nothing about the system (throttled, unauthorised, …) before
// the measurement is void.
const oursLimit = 0.05

// verdict is the outcome by the one precedence: blocked > invalid > fail (decided before a stop) > aborted > inconclusive > pass.
// A dirty run never passes.
func (f *folder) verdict() (Outcome, string, string) {
	if why := f.blocked(); why != "" {
		return BlockedRun, "blocked", why
	}
	if cause, why := f.invalid(); why != "" {
		return Invalid, cause, why
	}
	if j := f.firstWith(NotMet); j != nil {
		return Fail, j.Cause, j.Why
	}
	if s := f.rec.Stop; s != nil {
		return Aborted, string(s.Cause), s.Reason
	}
	if j := f.firstWith(Unclear, NotMeasured, Pending); j != nil {
		return Inconclusive, j.ID, j.Title + ": " + orText(j.Why, j.Actual)
	}
	if f.rec.Dirty {
		return Inconclusive, "residue", "Something of ours was left behind: " + f.rec.Residue[0].What
	}
	return Pass, "", f.passSentence()
}

func orText(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (f *folder) passSentence() string {
	s := "Every objective and expectation was met"
	if n := len(f.deviations()); n > 0 {
		s += fmt.Sprintf(", with %d finding(s) to look at", n)
	}
	return s
}

func (f *folder) deviations() []Finding {
	return slices.DeleteFunc(slices.Clone(f.rec.Findings), func(x Finding) bool { return x.Severity == SeverityInfo })
}

// blocked gives every reason at once; only a run in which nothing was injected can be blocked.
func (f *folder) blocked() string {
	if len(f.rec.Faults) > 0 {
		return ""
	}
	var why []string
	for _, c := range f.rec.Checks {
		if !c.OK {
			why = append(why, strings.TrimSuffix(c.Name+": "+c.Actual, ": "))
		}
	}
	return strings.Join(why, "; ")
}

// invalid: the fault had no proven effect, or measuring broke. Nothing can then be said about the system.
func (f *folder) invalid() (string, string) {
	if cause, why := f.observerFault(); why != "" {
		return cause, why
	}
	if len(f.rec.Faults) == 0 {
		if f.rec.Stop == nil {
			return "nothing-injected", "Nothing was injected"
		}
		return "", ""
	}
	for _, x := range f.rec.Faults {
		if f.rec.Stop != nil && x.Effect == nil {
			continue // stopped before the effect could be proven: aborted, not invalid
		}
		switch {
		case x.Error != "":
			return "not-effective", fmt.Sprintf("Fault %s on %s failed: %s", x.Change.Fault, x.Change.Member, x.Error)
		case x.Effect == nil || !x.Effect.Proven:
			return "not-effective", fmt.Sprintf("Fault %s on %s had no proven effect", x.Change.Fault, x.Change.Member)
		}
	}
	return f.loadFault()
}

// observerFault finds a probe that died or whose samples mostly say nothing about the system.
func (f *folder) observerFault() (string, string) {
	names := RecoveryProbes(f.drill, f.rec.Opened.System)
	for _, p := range f.rec.Probes {
		if !slices.Contains(names, p.Name) {
			continue
		}
		if cause, why := oursText(p.Name, p.Count); why != "" {
			return cause, why
		}
		if p.Error != "" {
			return "probe-died", fmt.Sprintf("Probe %s broke: %s", p.Name, p.Error)
		}
	}
	for _, b := range f.rec.Baselines {
		if _, used := f.drill.SteadyState.Probes[b.Probe]; used || slices.Contains(names, b.Probe) {
			if cause, why := oursText(b.Probe, b.Count); why != "" {
				return cause, why
			}
		}
	}
	return "", ""
}

func oursText(name string, c Classes) (string, string) {
	if c.Total() == 0 || float64(c.Ours()) <= oursLimit*float64(c.Total()) {
		return "", ""
	}
	switch max(c.Throttled, c.Unauthorised, c.Malformed, c.Observer) {
	case c.Throttled:
		return "probe-throttled", fmt.Sprintf("Probe %s was throttled by its target (429): that is our rate, not an outage", name)
	case c.Unauthorised:
		return "probe-unauthorised", fmt.Sprintf("Probe %s was not let in: check its credentials in the system file", name)
	case c.Malformed:
		return "probe-malformed", fmt.Sprintf("Probe %s asks what its target does not understand: check it in the system file", name)
	}
	return "probe-observer", fmt.Sprintf("Probe %s could not send: the prober, not the system, was at fault", name)
}

func (f *folder) firstWith(vs ...Verdict) *Judged {
	for _, v := range vs {
		for i, j := range f.rec.Expectations {
			if j.Verdict == v && !f.excused(j) {
				return &f.rec.Expectations[i]
			}
		}
	}
	return nil
}

// excused: where a thing never happened because of a miss that is already named, its own lack of data decides nothing;
// an alert cannot resolve that never fired, and who recovered it has no answer without a recovery.
func (f *folder) excused(j Judged) bool {
	if j.Verdict == NotMet {
		return false
	}
	return f.rec.Stop == nil && j.ID == "recovered-by" && j.Verdict == NotMeasured
}

// findings adds what follows from the measurements themselves, on a pass too.
func (f *folder) findings() {
	for _, c := range f.rec.Canaries {
		if c.Lost > 0 && c.IsStored() {
			f.rec.Findings = append(f.rec.Findings, Finding{
				ID: "lost-writes:" + c.Name, Severity: SeveritySerious,
				Title:  fmt.Sprintf("%d acknowledged canary writes of %s were lost", c.Lost, c.Name),
				Detail: fmt.Sprintf("%d of them were acknowledged before the fault, %d after; %d acknowledged in all. Canary writes are not business records.", c.LostBeforeT0, c.Lost-c.LostBeforeT0, c.Acked),
			})
		}
		if !c.Purged && c.Error == "" && c.Sent > 0 && c.IsStored() {
			f.rec.Findings = append(f.rec.Findings, Finding{ID: "canary-not-purged:" + c.Name, Severity: SeverityWarning, Title: "The canary data of " + c.Name + " could not be shown to be purged", Detail: c.PurgeProof})
		}
	}
	f.gapFindings()
	f.splitBrain()
	f.viewFindings()
	f.sloFindings()
	f.dataFindings()
	f.noOutage()
	f.secondOutages()
	f.undeclaredLosses()
	f.breakerViews()
	f.untold()
	f.shallowHealth()
}

// secondOutages are findings on a pass too.
func (f *folder) secondOutages() {
	if f.rec.Times.T6 == nil {
		return
	}
	for _, o := range f.outagesAfter(f.rec.Times.T6) {
		f.rec.Findings = append(f.rec.Findings, Finding{
			ID: "second-outage:" + o.probe, Severity: SeverityWarning,
			Title: fmt.Sprintf("Probe %s had another outage after recovery, at %s", o.probe, o.Start.To.UTC().Format("15:04:05.000")),
		})
	}
}

// splitBrain reports the time in which two members claimed the primary role.
func (f *folder) splitBrain() {
	for i, v := range f.roles {
		if len(v.Primaries) < 2 {
			continue
		}
		until := "the end of the run"
		for _, w := range f.roles[i+1:] {
			if w.Component == v.Component && len(w.Primaries) < 2 {
				until = w.At.Sub(v.At).Round(1e6).String() + " later"
				break
			}
		}
		f.rec.Findings = append(f.rec.Findings, Finding{
			ID: "two-primaries:" + v.Component, Severity: SeveritySerious,
			Title:  fmt.Sprintf("Two members of %s claimed to be primary at the same time", v.Component),
			Detail: fmt.Sprintf("First seen at %s, until %s. %s", v.At.UTC().Format("15:04:05.000"), until, v.Disagreement),
		})
		return
	}
}

func (f *folder) noOutage() {
	if t6 := f.rec.Times.T6; t6 != nil && t6.Source == noOutage {
		f.rec.Findings = append(f.rec.Findings, Finding{
			ID: "no-outage", Severity: SeverityInfo,
			Title: fmt.Sprintf("No outage longer than %s was seen by the probes that mean recovered", f.blindness().D().Round(1e6)),
		})
	}
}
