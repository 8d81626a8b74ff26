package drills

import (
	"fmt"
	"slices"
	"strings"
)

// Known tells apart what was not measured, what was watched and did not happen, and what did.
type Known string

// The three.
const (
	Happened     Known = "happened"
	DidNotHappen Known = "did not happen"
	Unmeasured   Known = "not measured"
)

// OutageView is the outage of the drilled component as one of the three parties had it.
type OutageView struct {
	Who        string      `json:"who"` // users | prometheus | people
	Known      Known       `json:"known"`
	Began      *Interval   `json:"began,omitempty"`
	Ended      *Interval   `json:"ended,omitempty"` // nil: not seen to end
	Lasted     *Span       `json:"lasted,omitempty"`
	Resolution string      `json:"resolution,omitempty"`
	Source     string      `json:"source,omitempty"`
	Steps      []Milestone `json:"steps,omitempty"` // of people: pending, firing, notified, resolved, told that it is over
	Why        string      `json:"why,omitempty"`
}

// threeViews are the users', Prometheus' and people's view of the first outage at or after T0.
func (f *folder) threeViews() []OutageView {
	if f.rec.Times.T0 == nil {
		return nil
	}
	return []OutageView{f.usersView(), f.prometheusView(), f.peopleView()}
}

func (v *OutageView) set(began, ended *Interval) {
	v.Known, v.Began, v.Ended = Happened, began, ended
	if began != nil && ended != nil {
		s := ended.Since(*began)
		v.Lasted = &s
	}
}

func (f *folder) usersView() OutageView {
	v := OutageView{Who: "users", Known: Unmeasured}
	probes := f.recoveryProbes()
	if len(probes) == 0 {
		v.Why = "no probe says what recovered means"
		return v
	}
	var names []string
	var every Duration
	for _, p := range probes {
		names, every = append(names, p.Name), max(every, p.Every)
	}
	v.Source, v.Resolution = "probes "+strings.Join(names, ", "), fmt.Sprintf("a probe every %s", every)
	all := userOutages(probes, f.rec.Times.T0.From)
	if len(all) == 0 {
		v.Known, v.Why = DidNotHappen, fmt.Sprintf("no outage longer than %s", f.blindness().D().Round(1e6))
		return v
	}
	v.set(&all[0].Start, all[0].End)
	if n := len(all) - 1; n > 0 {
		v.Why = fmt.Sprintf("%d more outage(s) after it", n)
	}
	return v
}

func (f *folder) prometheusView() OutageView {
	v := OutageView{Who: "prometheus", Known: Unmeasured, Why: "the component has no `seen-by:` in the system file"}
	i := slices.IndexFunc(f.rec.Prometheus, func(p PromView) bool { return p.Component == f.drill.Component })
	if i < 0 {
		return v
	}
	p := f.rec.Prometheus[i]
	v.Source, v.Resolution = p.Service, fmt.Sprintf("%s, so ± %s", p.How, p.Seen.Resolution())
	switch {
	case p.Error != "":
		v.Why = p.Error
		return v
	case p.Silent == len(p.States):
		v.Why = "it never had a value"
		return v
	}
	v.Known, v.Why = DidNotHappen, "it said up throughout"
	for _, o := range p.Outages {
		if o.End != nil && o.End.To.Before(f.rec.Times.T0.From) {
			continue
		}
		v.Why = ""
		v.set(o.Start, o.End)
		break
	}
	for _, c := range p.Compared {
		if c.Users != nil && (c.Users.End == nil || !c.Users.End.To.Before(f.rec.Times.T0.From)) {
			v.Why = string(c.Agreement) + ": " + c.Text
			break
		}
	}
	return v
}

// peopleView is from the first notification of an alert that the drill expects (or of any, where it expects none) to the
// last message that one of them is over. Without a sink the best that is known is that they fired.
func (f *folder) peopleView() OutageView {
	v := OutageView{Who: "people", Known: Unmeasured, Why: "the system declares no monitoring"}
	sys := f.rec.Opened.System
	if sys == nil || sys.Monitoring.Prometheus == nil {
		return v
	}
	sink := sys.Monitoring.NotifiedBy != nil
	v.Steps, v.Why = f.alertSteps(), ""
	v.Resolution = "alerts polled; each step is an interval"
	if !sink {
		v.Why = "no `notified-by:` is declared, so that nobody knows whether anybody was told"
		return v
	}
	v.Source = "notifications at " + sys.Monitoring.NotifiedBy.At
	told, over := v.Steps[2], v.Steps[4]
	if told.At == nil {
		v.Known, v.Why = DidNotHappen, "nobody was told"
		return v
	}
	v.Source += ", first of " + told.Source
	v.set(told.At, over.At)
	return v
}

// alertSteps are the first pending, firing and notified, and the last resolved and told-so, of the alerts that count.
func (f *folder) alertSteps() []Milestone {
	names := []string{"alert pending", "alert firing", "people notified", "alert resolved", "people told it is over"}
	out := make([]Milestone, len(names))
	for i, n := range names {
		out[i] = Milestone{Name: n, Known: DidNotHappen}
	}
	for _, a := range f.countingAlerts() {
		for i, at := range []*Interval{a.Pending, a.Firing, a.Notified, a.Resolved, a.ResolvedNotified} {
			m := &out[i]
			first, last := i < 3, i >= 3
			if at != nil && (m.At == nil || first && at.To.Before(m.At.To) || last && at.To.After(m.At.To)) {
				m.Known, m.At, m.Source = Happened, at, "alert "+a.Name
			}
		}
	}
	for _, a := range f.countingAlerts() { // it is over when the last of them is
		if a.Resolved == nil {
			out[3] = Milestone{Name: names[3], Known: DidNotHappen, Why: "alert " + a.Name + " was still firing at the end"}
		}
		if a.Notified != nil && a.ResolvedNotified == nil {
			out[4] = Milestone{Name: names[4], Known: DidNotHappen, Why: "nobody was told that " + a.Name + " is over"}
		}
	}
	return out
}

// countingAlerts are those that fired after T0: the expected ones, or all where none is expected.
func (f *folder) countingAlerts() []AlertLife {
	expected := f.drill.Expect.Alerts != nil && len(f.drill.Expect.Alerts.Fire) > 0
	var out []AlertLife
	for _, a := range f.rec.Alerts {
		if a.Firing == nil || a.Firing.To.Before(f.rec.Times.T0.From) || expected && !a.Expected {
			continue
		}
		out = append(out, a)
	}
	return out
}
