package drills

import "slices"

// Milestone is one instant of a recovery.
type Milestone struct {
	Name   string    `json:"name"`
	Stamp  string    `json:"stamp,omitempty"` // T0 … T8, where it is one
	Known  Known     `json:"known"`
	At     *Interval `json:"at,omitempty"`
	FromT0 *Span     `json:"from_t0,omitempty"`
	Share  *Shares   `json:"share,omitempty"` // of the RTA that had passed by then; above 1: after recovery
	Source string    `json:"source,omitempty"`
	Why    string    `json:"why,omitempty"` // it is not there
}

// Shares is an interval of a share: 0 <= Lo <= Hi.
type Shares struct {
	Lo float64 `json:"lo"`
	Hi float64 `json:"hi"`
}

// Leg is the time between two milestones of the recovery itself, and its share of the RTA.
type Leg struct {
	From   string  `json:"from"`
	To     string  `json:"to"`
	Lasted Span    `json:"lasted"`
	Share  *Shares `json:"share,omitempty"` // of the RTA; nil after T6, which is no part of it
}

// Decomposition is the outage of the drilled component on one axis, T0 to T8 (EVIDENCE 6.1), and what its parts took.
type Decomposition struct {
	Milestones []Milestone `json:"milestones"`
	Legs       []Leg       `json:"legs,omitempty"`
}

// The milestones' names.
const (
	mileEffect   = "fault effective"
	mileBad      = "first bad answer"
	mileFailover = "failover (another primary)"
	mileGood     = "first good answer"
	mileStable   = "service stable"
	mileData     = "data complete"
	mileWhole    = "redundant again"
)

// decompose lists every milestone, those that did not happen and those that nobody measured too.
func (f *folder) decompose() *Decomposition {
	t := f.rec.Times
	if t.T0 == nil {
		return nil
	}
	d := &Decomposition{}
	add := func(m Milestone) { d.Milestones = append(d.Milestones, f.placed(m)) }
	add(milestone(mileEffect, "T0", t.T0, Unmeasured, ""))
	add(f.firstBad())
	for i, m := range f.alertMilestones() {
		if i == 1 {
			m.Stamp = "T2"
		}
		add(m)
	}
	add(f.failoverMilestone())
	add(f.firstGood())
	add(f.stableMilestone())
	add(f.dataMilestone())
	add(f.wholeMilestone())
	d.Legs = legs(d.Milestones, f.rta())
	return d
}

func milestone(name, stamp string, s *Stamp, otherwise Known, why string) Milestone {
	if s == nil {
		return Milestone{Name: name, Stamp: stamp, Known: otherwise, Why: why}
	}
	at := s.Interval
	return Milestone{Name: name, Stamp: stamp, Known: Happened, At: &at, Source: s.Source}
}

// placed gives a milestone its distance from T0 and the share of the RTA that had passed.
func (f *folder) placed(m Milestone) Milestone {
	if m.At == nil {
		return m
	}
	s := m.At.Since(f.rec.Times.T0.Interval)
	m.FromT0, m.Share = &s, shareOf(s, f.rta())
	return m
}

// shareOf bounds s as a share of the RTA. Without a recovery time, or where it may be zero, there is no share.
func shareOf(s Span, rta *Span) *Shares {
	if rta == nil || rta.Lo <= 0 {
		return nil
	}
	return &Shares{Lo: float64(s.Lo) / float64(rta.Hi), Hi: float64(s.Hi) / float64(rta.Lo)}
}

func (f *folder) firstBad() Milestone {
	known, why := Unmeasured, "no probe says what recovered means"
	if len(f.recoveryProbes()) > 0 {
		known, why = DidNotHappen, "no probe that means recovered was bad"
	}
	out := userOutages(f.recoveryProbes(), f.rec.Times.T0.From)
	if len(out) == 0 {
		return Milestone{Name: mileBad, Stamp: "T1", Known: known, Why: why}
	}
	return Milestone{Name: mileBad, Stamp: "T1", Known: Happened, At: &out[0].Start, Source: "probe " + out[0].Probes[0]}
}

// alertMilestones are pending, firing and notified.
func (f *folder) alertMilestones() []Milestone {
	v := f.peopleView()
	if len(v.Steps) > 0 && f.rec.Opened.System.Monitoring.NotifiedBy == nil {
		v.Steps[2] = Milestone{Name: v.Steps[2].Name, Known: Unmeasured, Why: v.Why}
	}
	if len(v.Steps) > 0 {
		return v.Steps[:3]
	}
	var out []Milestone
	for _, name := range []string{"alert pending", "alert firing", "people notified"} {
		out = append(out, Milestone{Name: name, Known: Unmeasured, Why: v.Why})
	}
	return out
}

func (f *folder) failoverMilestone() Milestone {
	sys := f.rec.Opened.System
	if owner := f.roleOwner(); sys == nil || sys.Components[owner].Roles == nil {
		return Milestone{Name: mileFailover, Stamp: "T4", Known: Unmeasured, Why: "nobody knows roles of " + owner}
	}
	return milestone(mileFailover, "T4", f.rec.Times.T4, DidNotHappen, "the primary did not move")
}

// firstGood is the first answer of a probe after its first outage: the earliest of the probes that mean recovered. Stable
// is the last of them, and good for recovery.for.
func (f *folder) firstGood() Milestone {
	m := Milestone{Name: mileGood, Known: Unmeasured, Why: "no probe says what recovered means"}
	for _, p := range f.recoveryProbes() {
		if m.Known == Unmeasured {
			m.Known, m.Why = DidNotHappen, "there was no outage"
		}
		i := slices.IndexFunc(p.Outages, func(o Outage) bool { return !o.Start.To.Before(f.rec.Times.T0.From) })
		switch {
		case i < 0:
		case p.Outages[i].End == nil:
			if m.At == nil {
				m.Why = p.Name + " never was good again"
			}
		case m.At == nil || p.Outages[i].End.To.Before(m.At.To):
			m.Known, m.At, m.Source, m.Why = Happened, p.Outages[i].End, "probe "+p.Name, ""
		}
	}
	return m
}

func (f *folder) stableMilestone() Milestone {
	if len(f.recoveryProbes()) == 0 {
		return Milestone{Name: mileStable, Stamp: "T6", Known: Unmeasured, Why: "no probe says what recovered means"}
	}
	return milestone(mileStable, "T6", f.rec.Times.T6, DidNotHappen, "it was never good for "+f.drill.Recovery.For.String())
}

func (f *folder) dataMilestone() Milestone {
	m := milestone(mileData, "T7", f.rec.Times.T7, Unmeasured, "no canary was read back")
	if len(f.rec.Canaries) == 0 || m.Source == noOutage || f.rec.Times.T7 == f.rec.Times.T6 {
		return Milestone{Name: mileData, Stamp: "T7", Known: Unmeasured, Why: "no canary was read back"}
	}
	return m
}

func (f *folder) wholeMilestone() Milestone {
	if !slices.ContainsFunc(f.roles, func(v RoleView) bool {
		return v.Component == f.drill.Component && v.At.Before(f.rec.Times.T0.From)
	}) {
		return Milestone{Name: mileWhole, Stamp: "T8", Known: Unmeasured, Why: "its members were not watched before the fault"}
	}
	return milestone(mileWhole, "T8", f.rec.Times.T8, DidNotHappen, "a fault stayed, or members were missing at the end")
}

// legs are what lies between the milestones of the recovery that happened, in the order in which they did. Alerts run
// beside the recovery and are no part of it.
func legs(all []Milestone, rta *Span) []Leg {
	var chain []Milestone
	for _, m := range all {
		if m.At != nil && slices.Contains([]string{mileEffect, mileBad, mileFailover, mileGood, mileStable, mileData, mileWhole}, m.Name) {
			chain = append(chain, m)
		}
	}
	slices.SortStableFunc(chain, func(a, b Milestone) int { return a.At.Mid().Compare(b.At.Mid()) })
	var out []Leg
	inside := true
	for i := 1; i < len(chain); i++ {
		l := Leg{From: chain[i-1].Name, To: chain[i].Name, Lasted: chain[i].At.Since(*chain[i-1].At)}
		if inside {
			l.Share = shareOf(l.Lasted, rta)
		}
		if l.Share != nil {
			l.Share.Hi = min(1, l.Share.Hi)
		}
		inside = inside && chain[i].Name != mileStable
		out = append(out, l)
	}
	return out
}
