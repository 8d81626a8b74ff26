package drills

import (
	"fmt"
	"strings"
	"time"
)

// judge decides everything that the drill and the objectives ask for, the objectives first. now is the present in a live
// run (undecided things are Pending), zero for a finished one.
func (f *folder) judge(now time.Time) []Judged {
	if f.rec.Times.T0 == nil {
		return nil
	}
	var out []Judged
	if rto := f.rec.Opened.Objectives.RTO; rto > 0 {
		out = append(out, f.judgeRTA("rto", "recovery time objective (RTO)", rto, now))
	}
	if x := f.drill.Expect.RTA; x != nil {
		out = append(out, f.judgeRTA("rta", "regression bound on the recovery time", x.Max, now))
	}
	out = append(out, f.judgeWho(now)...)
	out = append(out, f.judgeAfterLift(now)...)
	if rpo := f.rec.Opened.Objectives.RPO; rpo > 0 {
		out = append(out, f.judgeRPA(rpo, now)...)
	}
	out = append(out, f.judgeRoleMoved(now)...)
	out = append(out, f.judgeLoss(now)...)
	out = append(out, f.judgeConsistency(now)...)
	out = append(out, f.judgeRejoin(now)...)
	out = append(out, f.judgeAlerts(now)...)
	out = append(out, f.judgeDuring(now)...)
	out = append(out, f.judgeContract(now)...)
	out = append(out, f.judgeBreakers(now)...)
	out = append(out, f.judgeLoad(now)...)
	out = append(out, f.judgeReaped(now)...)
	out = append(out, f.judgeRestore(now)...)
	out = append(out, f.judgeRunbooks(now)...)
	return append(out, f.judgeSLOs(now)...)
}

// rta is RTA = T6 - T0 (EVIDENCE 6.1). Without an outage it is [0, d], d being the longest outage that the probes could
// have missed: three periods and the prober's own lateness.
func (f *folder) rta() *Span {
	t := f.rec.Times
	if t.T0 == nil || t.T6 == nil {
		return nil
	}
	if t.T6.Source == noOutage {
		return &Span{Hi: f.blindness()}
	}
	s := t.T6.Since(t.T0.Interval)
	return &s
}

// blindness is the longest outage that could have gone unseen between samples.
func (f *folder) blindness() Duration {
	var d Duration
	for _, p := range f.recoveryProbes() {
		d = max(d, 3*p.Every+p.LateMax, p.Gap)
	}
	return d
}

func (f *folder) judgeRTA(id, title string, target Duration, now time.Time) Judged {
	j := Judged{ID: id, Title: title, Target: "< " + target.String(), Cause: "rta", Source: f.targetSource(id)}
	if t6 := f.rec.Times.T6; t6 != nil && f.cutShort(f.t0At(), t6.Interval, target) {
		j.Verdict, j.Actual, j.Why = Unclear, "after the run was stopped", fmt.Sprintf("the run was stopped before %s had passed", target)
		return j
	}
	if s := f.rta(); s != nil {
		j.Span, j.Actual, j.Verdict = s, s.String(), JudgeMax(*s, target)
		j.Evidence = f.rec.Times.T6.Source
		switch j.Verdict {
		case NotMet:
			j.Why = fmt.Sprintf("Users were without service for longer than %s", target)
		case Unclear:
			j.Why = fmt.Sprintf("the measured interval straddles %s", target)
		}
		return j
	}
	return f.notRecovered(j, target, now)
}

// notRecovered judges a recovery that was not seen: the outage is at least as long as it was watched.
func (f *folder) notRecovered(j Judged, target Duration, now time.Time) Judged {
	watched := Duration(max(0, f.watchedUntil(now).Sub(f.rec.Times.T0.To)))
	j.Actual = "not recovered within " + watched.D().Round(time.Millisecond).String()
	bad := f.neverRecovered()
	switch {
	case !now.IsZero():
		j.Verdict, j.Actual = Pending, "not decided yet"
	case len(f.recoveryProbes()) == 0:
		j.Verdict, j.Actual, j.Why = NotMeasured, "not measured", "no probe says what recovered means"
	case watched < target:
		j.Verdict, j.Why = Unclear, fmt.Sprintf("the run ended %s after the fault, before the target had passed", watched.D().Round(time.Millisecond))
	default:
		j.Verdict = NotMet
		j.Why = fmt.Sprintf("%s never recovered", strings.Join(bad, ", "))
		j.Cause = strings.Join(bad, ",")
	}
	if j.Cause == "" {
		j.Cause = "rta"
	}
	return j
}

// watchedUntil is how far recovery was watched: to the stop, else to the last sample of the recovered-means probes.
func (f *folder) watchedUntil(now time.Time) time.Time {
	end := f.end(now)
	for _, p := range f.recoveryProbes() {
		if p.To.Before(end) {
			end = p.To
		}
	}
	return end
}

// neverRecovered names the recovered-means probes whose last outage never ended.
func (f *folder) neverRecovered() []string {
	var out []string
	for _, p := range f.recoveryProbes() {
		if n := len(p.Outages); n > 0 && p.Outages[n-1].End == nil {
			out = append(out, p.Name)
		}
	}
	return out
}

func (f *folder) targetSource(id string) string {
	if id == "rta" {
		return "drill " + f.drill.Name
	}
	s := f.rec.Opened.Objectives.Source
	return strings.TrimSpace(s.Document + " " + s.Clause)
}

// judgeAfterLift judges each outage that begins after recovery, such as the one when an old primary rejoins, by its own
// length: users do not care that it is the second.
func (f *folder) judgeAfterLift(now time.Time) []Judged {
	target, t6 := f.rec.Opened.Objectives.RTO, f.rec.Times.T6
	if !now.IsZero() || t6 == nil || target == 0 {
		return nil
	}
	var out []Judged
	for i, o := range f.outagesAfter(t6) {
		end := At(f.last)
		if o.End != nil {
			end = *o.End
		}
		s := end.Since(o.Start)
		j := Judged{
			ID: fmt.Sprintf("outage-after:%d", i+1), Title: "another outage after recovery, of probe " + o.probe, Target: "< " + target.String(), Cause: "second-outage",
			Span: &s, Actual: s.String(), Verdict: JudgeMax(s, target), Source: f.targetSource("rto"),
		}
		switch {
		case o.End == nil && j.Verdict == Met:
			j.Verdict, j.Why = Unclear, o.probe+" was still bad at the end of the run"
		case j.Verdict == NotMet:
			j.Why = fmt.Sprintf("After recovery %s was bad again for longer than %s", o.probe, target)
		}
		out = append(out, j)
	}
	return out
}

// judgeWho answers "who recovered it?" (DESIGN section 2): where the drill says that the system must recover while the
// fault is in force, a recovery that begins after one of our undos is not the system's.
func (f *folder) judgeWho(now time.Time) []Judged {
	if w := f.drill.Recovery.While; w != FaultActive && w != "" {
		return nil
	}
	j := Judged{ID: "recovered-by", Title: "the system recovers by itself, while the fault is in force", Target: "before any undo of ours", Cause: "recovered-by-undo"}
	t6, undo := f.rec.Times.T6, f.firstUndo()
	switch {
	case t6 == nil && !now.IsZero():
		j.Verdict, j.Actual = Pending, "not decided yet"
	case t6 == nil:
		j.Verdict, j.Actual = NotMeasured, "it did not recover"
	case !f.stopped.IsZero() && t6.To.After(f.stopped):
		j.Verdict, j.Actual, j.Why = Unclear, "after the run was stopped", "the run was stopped before the system had recovered"
	case f.helped(t6):
		j.Verdict, j.Actual, j.Why = Unclear, "after a person acted", "a person acted before the service was back, and the drill does not declare it: set recovery.while: any where that is part of the recovery"
	case f.judgeGap(&j, t6):
	case undo.IsZero() || t6.To.Before(undo):
		j.Verdict, j.Actual = Met, "by itself"
	case t6.From.Before(undo):
		j.Verdict, j.Actual, j.Why = Unclear, "about when we undid the fault", "recovery and our undo cannot be told apart"
	default:
		j.Verdict, j.Actual = NotMet, "after our undo"
		j.Why = "The service came back only after our own undo: the system did not recover by itself"
	}
	return []Judged{j}
}

// judgeGap decides a recovery that came while a fault was interrupted; false when it did not.
func (f *folder) judgeGap(j *Judged, t6 *Stamp) bool {
	g, wholly := f.inGap(t6.Interval)
	switch {
	case g == nil || t6.Source == noOutage:
		return false
	case wholly:
		j.Verdict, j.Actual = NotMet, "while the fault was interrupted"
		j.Why = "The service came back while the fault was not in force: " + g.Why
	default:
		j.Verdict, j.Actual, j.Why = Unclear, "about when the fault was interrupted", "recovery and the interruption of the fault cannot be told apart: "+g.Why
	}
	return true
}

// helped tells whether a runbook acted before the end of an outage.
func (f *folder) helped(t6 *Stamp) bool {
	act := f.firstAct()
	return act != nil && t6.Source != noOutage && act.From.Before(t6.To)
}

// firstUndo is when the first undo of ours that really did something began, or a fault ended without us.
func (f *folder) firstUndo() time.Time {
	first := f.gone()
	for _, x := range f.rec.Faults {
		if x.Undone == nil || x.Undone.Skipped != "" || x.Change.Undo.Verb == "" || x.Change.background() {
			continue
		}
		at := x.Lift
		if at.IsZero() {
			at = f.restore
		}
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first
}

func (f *folder) judgeRoleMoved(now time.Time) []Judged {
	x := f.drill.Expect.RoleMoved
	if x == nil {
		return nil
	}
	j := Judged{ID: "role-moved", Title: fmt.Sprintf("the %s of %s moves to another member", x.Role, x.Component), Target: "within " + x.Within.String(), Cause: "role-not-moved"}
	var seen *Interval
	if t0 := f.t0(); t0 != nil {
		if t4, _ := f.roleTimes(t0, x.Component); t4 != nil {
			seen = &t4.Interval
		}
	}
	j = f.within(j, f.t0At(), seen, x.Within, now, fmt.Sprintf("No other member of %s became %s within %s", x.Component, x.Role, x.Within))
	if j.Verdict != Met || x.While != FaultActive {
		return []Judged{j}
	}
	if undo := f.firstUndo(); !undo.IsZero() && seen.From.After(undo) {
		j.Verdict, j.Cause, j.Why = NotMet, "recovered-by-undo", "The role moved only after our own undo"
	} else if g, _ := f.inGap(*seen); g != nil {
		j.Verdict, j.Why = Unclear, "the role moved about when the fault was not in force: "+g.Why
	}
	return []Judged{j}
}

func (f *folder) judgeRejoin(now time.Time) []Judged {
	x := f.drill.Expect.Rejoin
	if x == nil {
		return nil
	}
	j := Judged{ID: "rejoin", Title: "every member is back and in sync", Target: "within " + x.Within.String() + " of the lift", Cause: "rejoin"}
	var seen *Interval
	if at, ok := f.rejoined(); ok {
		seen = &at
	}
	return []Judged{f.within(j, f.lifted(), seen, x.Within, now, fmt.Sprintf("%s was not redundant again within %s of the lift", strings.Join(f.struck(), ", "), x.Within))}
}
