package drills

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// alertLives groups alert events into one life per alert and label set. A firing after a resolve opens the life again:
// what counts is the first firing and the last resolve.
func alertLives(events []AlertEvent, d *Drill) []AlertLife {
	byKey := map[string]*AlertLife{}
	var order []string
	for _, e := range events {
		k := alertKey(e)
		l, ok := byKey[k]
		if !ok {
			l = &AlertLife{Name: e.Name, Labels: e.Labels, Severity: e.Severity, Expected: d.expects(e.Name)}
			byKey[k] = l
			order = append(order, k)
		}
		l.add(e)
	}
	var out []AlertLife
	for _, k := range order {
		out = append(out, *byKey[k])
	}
	return out
}

func alertKey(e AlertEvent) string {
	var b strings.Builder
	b.WriteString(e.Name)
	for _, k := range slices.Sorted(maps.Keys(e.Labels)) {
		fmt.Fprintf(&b, "|%s=%s", k, e.Labels[k])
	}
	return b.String()
}

func (l *AlertLife) add(e AlertEvent) {
	at := e.At
	if l.Severity == "" {
		l.Severity = e.Severity
	}
	switch e.State {
	case AlertPending:
		first(&l.Pending, at)
	case AlertFiring:
		first(&l.Firing, at)
		l.Resolved = nil
	case AlertNotified:
		first(&l.Notified, at)
		l.ResolvedNotified = nil
	case AlertResolved:
		l.Resolved = &at
	case AlertResolvedNotified:
		l.ResolvedNotified = &at
	}
}

func first(p **Interval, at Interval) {
	if *p == nil {
		*p = &at
	}
}

// expects tells whether the drill expects that alert to fire.
func (d *Drill) expects(name string) bool {
	return d.Expect.Alerts != nil && slices.ContainsFunc(d.Expect.Alerts.Fire, func(a AlertExpect) bool { return a.Name == name })
}

// tolerates tells whether that alert may fire without being unexpected.
func (d *Drill) tolerates(name string) bool {
	return d.expects(name) || (d.Expect.Alerts != nil && slices.Contains(d.Expect.Alerts.Allow, name))
}

func (f *folder) judgeAlerts(now time.Time) []Judged {
	a := f.drill.Expect.Alerts
	if a == nil {
		return nil
	}
	var out []Judged
	for _, x := range a.Fire {
		out = append(out, f.judgeFiring(x, now))
		if x.NotifiedWithin > 0 {
			out = append(out, f.judgeNotified(x, now))
		}
		if x.ResolvedWithin > 0 {
			out = append(out, f.judgeResolved(x, now))
		}
	}
	if a.Others == "none" {
		out = append(out, f.judgeOthers())
	}
	return out
}

// life is the life of the named alert that fired first after T0; among several label sets the earliest counts.
func (f *folder) life(name string) *AlertLife {
	var best *AlertLife
	for i, l := range f.rec.Alerts {
		if l.Name != name || l.Firing == nil {
			continue
		}
		if t0 := f.rec.Times.T0; t0 != nil && l.Firing.To.Before(t0.From) {
			continue
		}
		if best == nil || l.Firing.To.Before(best.Firing.To) {
			best = &f.rec.Alerts[i]
		}
	}
	return best
}

func (f *folder) judgeFiring(x AlertExpect, now time.Time) Judged {
	j := Judged{ID: "alert:" + x.Name, Title: "alert " + x.Name + " fires", Target: "within " + x.Within.String() + " of the fault", Cause: "detection"}
	var seen *Interval
	if l := f.life(x.Name); l != nil {
		seen = l.Firing
	}
	j = f.within(j, f.t0At(), seen, x.Within, now, fmt.Sprintf("Alert %s did not fire within %s of the fault: the outage would have gone unnoticed", x.Name, x.Within))
	return f.ifSeen(j, f.t0At(), x.Within, BlindPrometheus)
}

func (f *folder) judgeNotified(x AlertExpect, now time.Time) Judged {
	j := Judged{ID: "notified:" + x.Name, Title: "somebody is told of " + x.Name, Target: "within " + x.NotifiedWithin.String() + " of the fault", Cause: "notification"}
	var seen *Interval
	if l := f.life(x.Name); l != nil {
		seen = l.Notified
	}
	j = f.within(j, f.t0At(), seen, x.NotifiedWithin, now, fmt.Sprintf("No notification of %s arrived within %s of the fault", x.Name, x.NotifiedWithin))
	return f.ifSeen(j, f.t0At(), x.NotifiedWithin, BlindSink, BlindPrometheus) // what was told is known by its alert
}

// ifSeen leaves a judgement alone unless it says that something did not happen and one of the sources was too silent to tell.
func (f *folder) ifSeen(j Judged, from time.Time, limit Duration, sources ...string) Judged {
	if j.Verdict != NotMet && j.Verdict != Unclear || from.IsZero() {
		return j
	}
	return f.unseen(j, from, from.Add(limit.D()), sources...)
}

func (f *folder) judgeResolved(x AlertExpect, now time.Time) Judged {
	j := Judged{ID: "resolved:" + x.Name, Title: "alert " + x.Name + " resolves", Target: "within " + x.ResolvedWithin.String() + " of the lift", Cause: "alert-not-resolved"}
	var seen *Interval
	fired := false
	for _, l := range f.rec.Alerts { // every label set must have resolved: the last one counts
		if l.Name != x.Name || l.Firing == nil {
			continue
		}
		fired = true
		if l.Resolved == nil {
			seen = nil
			break
		}
		if seen == nil || l.Resolved.To.After(seen.To) {
			seen = l.Resolved
		}
	}
	from := f.lifted()
	if seen != nil && from.IsZero() {
		from = seen.To
	}
	j = f.within(j, from, seen, x.ResolvedWithin, now, fmt.Sprintf("Alert %s was still firing %s after the fault was lifted", x.Name, x.ResolvedWithin))
	j = f.ifSeen(j, from, x.ResolvedWithin, BlindPrometheus)
	fireable := now.Sub(f.t0At()) < x.Within.D() // it may still fire
	if !fired && (j.Verdict != Pending || !fireable) {
		j.Verdict, j.Actual, j.Why = NotMeasured, "it never fired", ""
	}
	return j
}

func (f *folder) t0At() time.Time {
	if f.rec.Times.T0 == nil {
		return time.Time{}
	}
	return f.rec.Times.T0.From
}

// within judges an event that must be seen within a limit of an instant. An interval that straddles the limit is inconclusive.
func (f *folder) within(j Judged, from time.Time, seen *Interval, limit Duration, now time.Time, why string) Judged {
	if seen != nil && !from.IsZero() && f.cutShort(from, *seen, limit) {
		j.Verdict, j.Actual, j.Why = Unclear, "after the run was stopped", fmt.Sprintf("the run was stopped before %s had passed", limit)
		return j
	}
	if seen != nil && !from.IsZero() {
		s := seen.Since(At(from))
		j.Span, j.Actual, j.Verdict = &s, s.String(), JudgeMax(s, limit)
		if j.Verdict == NotMet {
			j.Why = why
		}
		return j
	}
	j.Actual = "not seen"
	switch end := f.end(now); {
	case from.IsZero() && !now.IsZero():
		j.Verdict = Pending
	case from.IsZero():
		j.Verdict = NotMeasured
	case end.Sub(from) >= limit.D():
		j.Verdict, j.Why = NotMet, why
	case !now.IsZero():
		j.Verdict = Pending
	default:
		j.Verdict, j.Why = Unclear, fmt.Sprintf("the run ended before %s had passed", limit)
	}
	return j
}

// cutShort tells whether a thing was seen only after the run was stopped, while its limit had not passed at the stop: what
// restoring brought about then decides nothing.
func (f *folder) cutShort(from time.Time, seen Interval, limit Duration) bool {
	return !f.stopped.IsZero() && seen.To.After(f.stopped) && f.stopped.Sub(from) < limit.D()
}

// end is how far the run has been watched: the present in a live run, the stop or the last event in a finished one.
func (f *folder) end(now time.Time) time.Time {
	switch {
	case !f.stopped.IsZero():
		return f.stopped
	case !now.IsZero():
		return now
	}
	return f.last
}

func (f *folder) judgeOthers() Judged {
	j := Judged{ID: "alerts:others", Title: "no other alert fires", Target: "none", Actual: "none", Verdict: Met, Cause: "unexpected-alert"}
	var names []string
	for _, l := range f.rec.Alerts {
		if l.Firing != nil && !f.drill.tolerates(l.Name) && !slices.Contains(names, l.Name) {
			names = append(names, l.Name)
		}
	}
	if len(names) > 0 {
		j.Verdict, j.Actual = NotMet, strings.Join(names, ", ")
		j.Why = "Alerts fired that the drill does not expect: " + j.Actual
		return j
	}
	if _, longest := f.blind(BlindPrometheus, f.rec.Started, f.last); longest > blindAtATime {
		j.Verdict, j.Actual = NotMeasured, "none that could be seen"
		j.Why = fmt.Sprintf("%s did not answer for %.1f s at a time", BlindPrometheus, longest.Seconds())
	}
	return j
}

// detection is the time from the fault to the first expected alert, for the results table.
func (f *folder) detection() *Judged {
	t := f.rec.Times
	if t.T0 == nil {
		return nil
	}
	j := Judged{ID: "detection", Title: "time to the first alert", Actual: "no alert", Verdict: NotMeasured}
	if t.T2 != nil {
		s := t.T2.Since(t.T0.Interval)
		j.Span, j.Actual, j.Verdict, j.Evidence = &s, s.String(), Met, t.T2.Source
	}
	for _, x := range f.rec.Expectations {
		if strings.HasPrefix(x.ID, "alert:") && x.Verdict != Met {
			j.Verdict, j.Why = x.Verdict, x.Why
		}
	}
	return &j
}
