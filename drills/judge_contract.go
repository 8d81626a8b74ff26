package drills

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// degraded is the cause of a contract that was not kept.
const degraded = "degradation"

// chance is how unlikely it must be that a probe at its baseline fails so often, for it to count as degraded.
const chance = 0.001

// judgeContract decides what was promised for the time of the fault, promise by promise.
func (f *folder) judgeContract(now time.Time) []Judged {
	c := f.drill.Expect.Contract
	if c == nil {
		return nil
	}
	var out []Judged
	for _, a := range c.Answers {
		out = append(out, f.judgeAnswers(a))
	}
	for _, name := range c.MustWork {
		out = append(out, f.judgeMustWork(name))
	}
	if c.Others == "fail" {
		out = append(out, f.judgeUndeclared(c))
	}
	if !now.IsZero() {
		for i := range out {
			out[i].Verdict, out[i].Actual, out[i].Why = Pending, "not decided yet", ""
		}
	}
	return out
}

// contractWindow is what was counted of a probe over the contract's window; nil where nothing was.
func (f *folder) contractWindow(probe string) *WindowStat {
	i := slices.IndexFunc(f.windows, func(w WindowStat) bool {
		return w.Title == ContractTitle && w.Probe == probe && w.Degraded != nil
	})
	if i < 0 || f.windows[i].Count.Good+f.windows[i].Count.Bad() == 0 {
		return nil
	}
	return &f.windows[i]
}

// bound is one part of a promise with what was seen of it.
type bound struct {
	text    string // what is asked
	seen    string
	verdict Verdict
}

func (f *folder) judgeAnswers(a Answers) Judged {
	j := Judged{ID: "contract:" + a.Probe, Title: "degraded as promised: " + a.Probe, Cause: degraded, Target: askedText(a)}
	w := f.contractWindow(a.Probe)
	if w == nil {
		j.Verdict, j.Actual, j.Why = NotMeasured, "not measured", f.noWindow(a.Probe)
		return j
	}
	n := w.Count.Good + w.Count.Bad()
	bounds := a.bounds(w.Degraded, n)
	seen, bad := []string{}, []string{}
	j.Verdict = Met
	for _, b := range bounds {
		seen = append(seen, b.seen)
		if b.verdict != Met {
			bad = append(bad, fmt.Sprintf("%s, %s was asked", b.seen, b.text))
		}
		j.Verdict = worse(j.Verdict, b.verdict)
	}
	j.Actual = fmt.Sprintf("%s of %d", strings.Join(seen, ", "), n)
	j.Evidence = saidText(w.Degraded.Said)
	switch {
	case j.Verdict != NotMet && n < a.MinSamples:
		j.Verdict, j.Why = Unclear, fmt.Sprintf("only %d samples, %d are needed", n, a.MinSamples)
	case j.Verdict == NotMet:
		j.Why = fmt.Sprintf("While the fault was in force %s: %s", a.Probe, strings.Join(bad, "; "))
	case j.Verdict == Unclear:
		j.Why = fmt.Sprintf("%s; %d samples cannot tell (one-sided 95 %% bounds)", strings.Join(bad, "; "), n)
	}
	return j
}

// bounds are the parts of the promise that were asked for.
func (a Answers) bounds(s *ContractStat, n int) []bound {
	var out []bound
	share := func(what string, k int, least Share) {
		if least > 0 {
			out = append(out, bound{fmt.Sprintf(">= %g%% %s", float64(least)*100, what), fmt.Sprintf("%.2f%% %s", 100*float64(k)/float64(n), what), judgeShare(k, n, least)})
		}
	}
	share("honest answers", s.InTime+s.Honest, a.Honest)
	share("good answers", s.InTime, a.Success)
	for _, q := range []struct {
		name string
		most Duration
		got  Quantile
	}{{"p50", a.P50, s.P50}, {"p95", a.P95, s.P95}, {"p99", a.P99, s.P99}} {
		if q.most > 0 {
			out = append(out, bound{q.name + " < " + q.most.String(), q.name + " " + q.got.At.D().Round(time.Millisecond).String(), q.got.judge(q.most)})
		}
	}
	return out
}

// judge is met if the quantile's upper bound is below most, not met if its lower one is not.
func (q Quantile) judge(most Duration) Verdict {
	switch {
	case q.Lo >= most:
		return NotMet
	case q.Hi > 0 && q.Hi < most:
		return Met
	}
	return Unclear
}

// worse is the verdict of two parts of one promise: one that is proven broken breaks it, one that is open leaves it open.
func worse(a, b Verdict) Verdict {
	for _, v := range []Verdict{NotMet, Unclear, NotMeasured} {
		if a == v || b == v {
			return v
		}
	}
	return Met
}

func askedText(a Answers) string {
	var out []string
	for _, b := range a.bounds(&ContractStat{}, 1) {
		out = append(out, b.text)
	}
	s := strings.Join(out, ", ")
	if a.Within > 0 {
		s += fmt.Sprintf(", each within %s", a.Within)
	}
	if len(a.Allowed) > 0 {
		s += fmt.Sprintf(", good or %s", strings.Join(a.Allowed, " or "))
	}
	return s
}

func saidText(all []Said) string {
	var out []string
	for _, s := range all {
		text := s.Class
		if s.Text != "" {
			text += " (" + s.Text + ")"
		}
		out = append(out, fmt.Sprintf("%d %s, slowest %s", s.Count, text, s.Slowest.D().Round(time.Millisecond)))
	}
	return strings.Join(out, "; ")
}

func (f *folder) noWindow(probe string) string {
	if _, ok := resolveWindow(f.drill.Expect.Contract.Window, f.rec.Times.instants(f.lifted())); !ok {
		return "the contract's window was not reached, or is empty: a fault that is over at once has no time until its lift"
	}
	return "no sample of " + probe + " says anything about the system in the contract's window"
}

func (f *folder) judgeMustWork(probe string) Judged {
	j := Judged{ID: "works:" + probe, Title: "still works: " + probe, Target: "as before the fault", Cause: degraded}
	w := f.contractWindow(probe)
	if w == nil {
		j.Verdict, j.Actual, j.Why = NotMeasured, "not measured", f.noWindow(probe)
		return j
	}
	n := w.Count.Good + w.Count.Bad()
	j.Actual = fmt.Sprintf("%d of %d bad", w.Count.Bad(), n)
	j.Evidence = saidText(w.Degraded.Said)
	if blip := f.drill.Expect.Contract.Blip; blip > 0 {
		j.Target += fmt.Sprintf(", outages below %s", blip)
	}
	verdict, why := f.degradation(*w)
	j.Verdict = verdict
	if verdict != Met {
		j.Why = fmt.Sprintf("%s had to keep working: %s", probe, why)
	}
	return j
}

// degradation compares a probe in its window with its baseline. Two yardsticks: its outages, by the same rules as everywhere,
// against the blip that the contract allows; and a number of failures that a probe at its baseline, itself known from a few
// samples only, would reach with a chance below one in a thousand. Met: it was as before; otherwise why says what is known.
func (f *folder) degradation(w WindowStat) (v Verdict, why string) {
	i := slices.IndexFunc(f.rec.Baselines, func(b Baseline) bool { return b.Probe == w.Probe })
	if i < 0 || f.rec.Baselines[i].Count.Good+f.rec.Baselines[i].Count.Bad() == 0 {
		return Unclear, "there is no baseline to compare with"
	}
	base, bad, n := f.rec.Baselines[i].Count, w.Count.Bad(), w.Count.Good+w.Count.Bad()
	_, usual := shareBounds(base.Bad(), base.Good+base.Bad())
	v, why = f.worstOutage(w)
	if v == Met && bad > 0 && atLeast(bad, n, usual) < chance && !f.onlyBlips(w) {
		return NotMet, fmt.Sprintf("%d of %d bad, %d of %d before the fault", bad, n, base.Bad(), base.Good+base.Bad())
	}
	return v, why
}

// worstOutage judges the outages that reach into a window against the allowed blip.
func (f *folder) worstOutage(w WindowStat) (v Verdict, why string) {
	v = Met
	for _, o := range f.outagesIn(w) {
		one := NotMet
		text := fmt.Sprintf("it was %s from %s on", o.Kind, o.Start.To.UTC().Format("15:04:05.000"))
		if blip := f.drill.Expect.Contract.Blip; o.End != nil {
			length := o.End.Since(o.Start)
			text += ", for " + length.String()
			if blip > 0 {
				one = JudgeMax(length, blip)
			}
		}
		if worse(v, one) != v {
			v, why = one, text
		}
	}
	return v, why
}

// outagesIn are the outages of a window's probe that reach into it.
func (f *folder) outagesIn(w WindowStat) []Outage {
	var out []Outage
	for _, p := range f.rec.Probes {
		for _, o := range p.Outages {
			if p.Name == w.Probe && o.Start.From.Before(w.Window.To) && (o.End == nil || o.End.To.After(w.Window.From)) {
				out = append(out, o)
			}
		}
	}
	return out
}

// onlyBlips tells whether the failures of a window are no more than those of its outages, which are judged already.
func (f *folder) onlyBlips(w WindowStat) bool {
	n := 0
	for _, o := range f.outagesIn(w) {
		n += o.Bad
	}
	return n >= w.Count.Bad()
}

// undeclared lists the probes that degraded although the contract does not name them, with how.
func (f *folder) undeclared(c *Contract) (names, why []string) {
	for _, w := range f.windows {
		if w.Title != ContractTitle || w.Degraded == nil || c.names(w.Probe) {
			continue
		}
		if v, how := f.degradation(w); v == NotMet {
			names, why = append(names, w.Probe), append(why, how)
		}
	}
	return names, why
}

// names tells whether the contract says anything about a probe.
func (c *Contract) names(probe string) bool {
	return slices.Contains(c.MustWork, probe) || slices.Contains(c.MayLose, probe) ||
		slices.ContainsFunc(c.Answers, func(a Answers) bool { return a.Probe == probe })
}

func (f *folder) judgeUndeclared(c *Contract) Judged {
	j := Judged{ID: "contract:others", Title: "nothing else is lost than what is declared", Target: "none", Cause: degraded}
	names, why := f.undeclared(c)
	switch {
	case !slices.ContainsFunc(f.windows, func(w WindowStat) bool { return w.Title == ContractTitle }):
		j.Verdict, j.Actual, j.Why = NotMeasured, "not measured", "the contract's window was not reached"
	case len(names) == 0:
		j.Verdict, j.Actual = Met, "none"
	default:
		j.Verdict, j.Actual = NotMet, strings.Join(names, ", ")
		j.Why = fmt.Sprintf("%s degraded, which the drill does not declare: %s", names[0], why[0])
	}
	return j
}

// undeclaredLosses are findings on a pass too: features that go with the fault and that nobody has listed.
func (f *folder) undeclaredLosses() {
	c := f.drill.Expect.Contract
	if c == nil {
		return
	}
	names, why := f.undeclared(c)
	for i, name := range names {
		f.rec.Findings = append(f.rec.Findings, Finding{
			ID: "undeclared-loss:" + name, Severity: SeverityWarning,
			Title:  fmt.Sprintf("%s degraded during the fault and is not in the drill's contract", name),
			Detail: why[i],
		})
	}
}
