package drills

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// breakerCause is the cause of a breaker that did not do its work.
const breakerCause = "breaker"

// enoughGap is the longest time without a reading through which a breaker without a counter of its openings counts as seen.
const enoughGap = Duration(time.Second)

func (f *folder) judgeBreakers(now time.Time) []Judged {
	var out []Judged
	for _, x := range f.drill.Expect.Breakers {
		out = append(out, f.judgeBreaker(x)...)
	}
	if !now.IsZero() {
		for i := range out {
			out[i] = Judged{ID: out[i].ID, Title: out[i].Title, Target: out[i].Target, Cause: breakerCause, Verdict: Pending, Actual: "not decided yet"}
		}
	}
	return out
}

// breakersOf are the measurements of one breaker by the better source there is: its own metrics, else the traffic.
func (f *folder) breakersOf(name string) []BreakerMeasured {
	for _, source := range []string{BreakerByMetrics, BreakerByTraffic} {
		all := slices.DeleteFunc(slices.Clone(f.rec.Breakers), func(b BreakerMeasured) bool { return b.Name != name || b.Source != source })
		if len(all) > 0 {
			return all
		}
	}
	return nil
}

func (f *folder) judgeBreaker(x BreakerExpect) []Judged {
	all := f.breakersOf(x.Name())
	part := func(what, title, target string, judge func(BreakerMeasured, *Judged)) Judged {
		j := Judged{ID: "breaker:" + x.Name() + ":" + what, Title: fmt.Sprintf("breaker %s %s", x.Name(), title), Target: target, Cause: breakerCause}
		return overInstances(j, all, judge)
	}
	var out []Judged
	if x.OpensWithin > 0 {
		out = append(out, part("opens", "opens", "within "+x.OpensWithin.String(), func(b BreakerMeasured, j *Judged) { f.judgeOpens(x, b, j) }))
	}
	if x.Stays == BreakerClosed {
		out = append(out, part("stays", "stays closed", "not one opening", f.judgeStays))
	}
	if x.HalfOpen || x.MaxTrials != nil {
		out = append(out, part("half-open", "closes by a trial call only", trialsText(x), func(b BreakerMeasured, j *Judged) { f.judgeHalfOpen(x, b, j) }))
	}
	if x.MinSpared != nil {
		out = append(out, f.judgeSpared(x, all))
	}
	if x.ClosesWithin > 0 {
		out = append(out, part("closes", "closes once the dependency is back", "within "+x.ClosesWithin.String()+" of the lift", func(b BreakerMeasured, j *Judged) { f.judgeCloses(x, b, j) }))
	}
	return out
}

// overInstances judges every instance by itself; the worst decides. The span is that of the slowest instance.
func overInstances(j Judged, all []BreakerMeasured, judge func(BreakerMeasured, *Judged)) Judged {
	if len(all) == 0 {
		j.Verdict, j.Actual, j.Why = NotMeasured, "not measured", "nothing was read of this breaker"
		return j
	}
	j.Verdict = Met
	var seen, why, sources []string
	for _, b := range all {
		one := Judged{Verdict: Met}
		if b.Error != "" {
			one.Verdict, one.Actual, one.Why = Unclear, "unknown", b.Error
		} else {
			judge(b, &one)
		}
		seen = append(seen, b.Instance+" "+one.Actual)
		if one.Why != "" && (len(why) == 0 || worse(one.Verdict, j.Verdict) != j.Verdict) {
			why = []string{b.Instance + ": " + one.Why}
		}
		if one.Span != nil && (j.Span == nil || one.Span.Hi > j.Span.Hi) {
			j.Span = one.Span
		}
		j.Verdict = worse(j.Verdict, one.Verdict)
		sources = append(sources, fmt.Sprintf("%s of %s, read at most %s apart", b.Source, b.Instance, b.Largest.D().Round(time.Millisecond)))
	}
	j.Actual, j.Evidence = strings.Join(seen, ", "), strings.Join(sources, "; ")
	if j.Verdict != Met {
		j.Why = strings.Join(why, "; ")
	}
	return j
}

// since are the spans that were not over before T0; the first may have begun before it.
func (f *folder) breakerSince(b BreakerMeasured) []BreakerSpan {
	t0 := f.rec.Times.T0.From
	for i := len(b.Spans) - 1; i >= 0; i-- {
		if b.Spans[i].Enter.To.Before(t0) {
			return b.Spans[i:]
		}
	}
	return b.Spans
}

// opening is the first span after T0 in which it was not closed.
func (f *folder) opening(b BreakerMeasured) (BreakerSpan, bool) {
	for _, s := range f.breakerSince(b) {
		if s.State != BreakerClosed {
			return s, true
		}
	}
	return BreakerSpan{}, false
}

func (f *folder) judgeOpens(x BreakerExpect, b BreakerMeasured, j *Judged) {
	t0 := f.rec.Times.T0
	s, opened := f.opening(b)
	failed := 0
	for _, s := range f.breakerSince(b) {
		failed += s.Failures
	}
	watched := Duration(b.To.Sub(t0.To))
	switch {
	case opened && s.Enter.To.Before(t0.From):
		j.Verdict, j.Actual, j.Why = Unclear, "was "+string(s.State)+" before the fault", "it was not closed when the fault began"
	case opened:
		v := s.Enter.Since(t0.Interval)
		j.Span, j.Actual, j.Verdict = &v, v.String(), JudgeMax(v, x.OpensWithin)
		switch j.Verdict {
		case NotMet:
			j.Why = fmt.Sprintf("it opened later than %s after the fault", x.OpensWithin)
		case Unclear:
			j.Why = fmt.Sprintf("the interval straddles %s", x.OpensWithin)
		}
	case b.Unseen > 0:
		j.Verdict, j.Actual, j.Why = Unclear, "opened between two readings", "when it opened is not known"
	case watched < x.OpensWithin:
		j.Verdict, j.Actual, j.Why = Unclear, "watched for "+watched.D().Round(time.Millisecond).String(), "it was not watched for so long"
	default:
		j.Verdict, j.Actual = NotMet, "never opened"
		j.Why = fmt.Sprintf("it never opened, with %d failed calls since the fault", failed)
	}
}

// judgeStays: an opening that its counter knows of counts even if no reading fell into it.
func (f *folder) judgeStays(b BreakerMeasured, j *Judged) {
	s, opened := f.opening(b)
	calls := 0
	for _, s := range f.breakerSince(b) {
		calls += s.Calls
	}
	switch {
	case opened || b.Unseen > 0:
		j.Verdict, j.Actual, j.Why = NotMet, "opened", "it opened although nothing but clients' errors was sent"
		if opened && !s.Enter.IsZero() {
			j.Actual = "opened at " + s.Enter.To.UTC().Format("15:04:05.000")
		}
	case len(b.Spans) == 0:
		j.Verdict, j.Actual, j.Why = NotMeasured, "not measured", "no reading"
	case b.Largest > enoughGap:
		j.Verdict, j.Actual, j.Why = Unclear, "closed whenever it was read", fmt.Sprintf("it was not read for %s", b.Largest.D().Round(time.Millisecond))
	default:
		j.Actual = fmt.Sprintf("closed, %d calls", calls)
	}
}

func trialsText(x BreakerExpect) string {
	if x.MaxTrials == nil {
		return "not before the lift"
	}
	return fmt.Sprintf("not before the lift, at most %d trials", *x.MaxTrials)
}

// judgeHalfOpen: between opening and the lift there is no closed time, and only trial calls get through.
func (f *folder) judgeHalfOpen(x BreakerExpect, b BreakerMeasured, j *Judged) {
	lift := f.lifted()
	if _, opened := f.opening(b); !opened {
		j.Verdict, j.Actual, j.Why = NotMeasured, "never opened", "it never opened, so it had nothing to try"
		return
	}
	if lift.IsZero() {
		j.Verdict, j.Actual, j.Why = NotMeasured, "not measured", "the fault was not lifted"
		return
	}
	back := f.firstUndo() // the dependency may be back from here on; that the undo is complete is known only later
	if back.IsZero() {
		back = lift
	}
	trials, opened, tried := 0, false, false
	for _, s := range f.breakerSince(b) {
		opened = opened || s.State != BreakerClosed
		tried = tried || s.State == BreakerHalfOpen
		switch {
		case !opened:
		case s.State == BreakerClosed && s.Enter.To.Before(back):
			j.Verdict, j.Actual = NotMet, "closed at "+s.Enter.To.UTC().Format("15:04:05.000")
			j.Why = "it closed while the dependency was still away: no trial call can have succeeded"
			return
		case s.State != BreakerClosed && s.Enter.From.Before(lift):
			trials += s.Calls
		}
	}
	j.Actual = fmt.Sprintf("%d trial calls", trials)
	switch {
	case x.MaxTrials != nil && trials > *x.MaxTrials:
		j.Verdict, j.Why = NotMet, fmt.Sprintf("%d calls got through while it was open, at most %d were expected", trials, *x.MaxTrials)
	case !tried && trials == 0:
		j.Verdict, j.Why = Unclear, "no trial was seen"
	}
}

// judgeSpared counts the calls that were refused instead of made, over all instances, with the time that those that were
// made took.
func (f *folder) judgeSpared(x BreakerExpect, all []BreakerMeasured) Judged {
	j := Judged{ID: "breaker:" + x.Name() + ":spared", Title: fmt.Sprintf("breaker %s spares the dependency calls", x.Name()), Target: fmt.Sprintf(">= %d calls", *x.MinSpared), Cause: breakerCause}
	spared, failed, waited := 0, 0, 0.0
	for _, b := range all {
		if b.Error != "" {
			j.Verdict, j.Actual, j.Why = Unclear, "unknown", b.Instance+": "+b.Error
			return j
		}
		for _, s := range f.breakerSince(b) {
			spared, failed, waited = spared+s.Rejected, failed+s.Failures, waited+s.Waited
		}
	}
	j.Actual = fmt.Sprintf("%d spared, %d failed", spared, failed)
	if waited > 0 {
		j.Actual += fmt.Sprintf(", %.1f s spent in calls", waited)
	}
	switch {
	case len(all) == 0:
		j.Verdict, j.Actual, j.Why = NotMeasured, "not measured", "nothing was read of this breaker"
	case spared >= *x.MinSpared:
		j.Verdict = Met
	default:
		j.Verdict, j.Why = NotMet, fmt.Sprintf("only %d calls were spared, %d were expected", spared, *x.MinSpared)
	}
	return j
}

// judgeCloses takes the last time it closed: one that opens again after the lift is not back yet.
func (f *folder) judgeCloses(x BreakerExpect, b BreakerMeasured, j *Judged) {
	lift := f.lifted()
	_, opened := f.opening(b)
	switch {
	case !opened && b.Unseen == 0:
		j.Verdict, j.Actual, j.Why = NotMeasured, "never opened", "it never opened, so it had nothing to close"
		return
	case lift.IsZero() || len(b.Spans) == 0:
		j.Verdict, j.Actual, j.Why = NotMeasured, "not measured", "the fault was not lifted"
		return
	}
	last := b.Spans[len(b.Spans)-1]
	watched := Duration(b.To.Sub(lift))
	switch {
	case last.State == BreakerClosed:
		v := last.Enter.Since(At(lift))
		j.Span, j.Actual, j.Verdict = &v, v.String(), JudgeMax(v, x.ClosesWithin)
		if j.Verdict != Met {
			j.Why = fmt.Sprintf("it closed %s after the lift", v)
		}
	case watched < x.ClosesWithin:
		j.Verdict, j.Actual, j.Why = Unclear, "still "+string(last.State), fmt.Sprintf("it was watched for only %s after the lift", watched.D().Round(time.Millisecond))
	default:
		j.Verdict, j.Actual = NotMet, "still "+string(last.State)
		j.Why = fmt.Sprintf("it was still %s %s after the dependency was back", last.State, watched.D().Round(time.Millisecond))
	}
}

// breakerViews are findings where the two sources of one breaker contradict each other.
func (f *folder) breakerViews() {
	if f.rec.Times.T0 == nil {
		return
	}
	for _, b := range f.rec.Breakers {
		if b.Source != BreakerByTraffic || b.Error != "" {
			continue
		}
		_, inferred := f.opening(b)
		stated, known := false, false
		for _, m := range f.rec.Breakers {
			if m.Name == b.Name && m.Source == BreakerByMetrics && m.Error == "" {
				_, o := f.opening(m)
				stated, known = stated || o || m.Unseen > 0, true
			}
		}
		if known && inferred != stated {
			f.rec.Findings = append(f.rec.Findings, Finding{
				ID: "breaker-views:" + b.Name, Severity: SeverityWarning,
				Title: fmt.Sprintf("The metrics of breaker %s and the traffic of %s disagree on whether it opened", b.Name, b.Instance),
			})
		}
	}
}
