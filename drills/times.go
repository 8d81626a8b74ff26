package drills

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// times derives T0–T8 (EVIDENCE 6.1; DESIGN section 2).
func (f *folder) times() Times {
	var t Times
	t.T0 = f.t0()
	if t.T0 == nil {
		return t
	}
	t.T1 = f.t1(t.T0)
	t.T2 = f.t2(t.T0)
	t.T3 = f.firstAct()
	t.T4, t.T5 = f.roleTimes(t.T0, f.roleOwner())
	t.T6 = f.t6(t.T0)
	t.T7 = f.t7(t.T6)
	t.T8 = f.t8()
	return t
}

// t0 is the first proven effect.
func (f *folder) t0() *Stamp {
	var best *Stamp
	for _, x := range f.foremost() {
		if x.Effect != nil && (best == nil || x.Effect.From.Before(best.From)) {
			best = &Stamp{Interval: x.Effect.Interval(), Source: x.Effect.Source}
		}
	}
	return best
}

// foremost are the faults that the drill is about: a load or a restore is one only where nothing else was done, otherwise it
// is the background of the others.
func (f *folder) foremost() []FaultRecord {
	others := slices.DeleteFunc(slices.Clone(f.rec.Faults), func(x FaultRecord) bool { return x.Change.background() })
	if slices.ContainsFunc(others, func(x FaultRecord) bool { return x.Effect != nil }) {
		return others
	}
	return f.rec.Faults
}

// t1 is the first bad sample of any probe at or after T0.
func (f *folder) t1(t0 *Stamp) *Stamp {
	var best *Stamp
	for _, p := range f.rec.Probes {
		for _, o := range p.Outages {
			if o.Start.To.Before(t0.From) {
				continue
			}
			if best == nil || o.Start.To.Before(best.To) {
				best = &Stamp{Interval: o.Start, Source: "probe " + p.Name}
			}
		}
	}
	return best
}

// t2 is the first expected alert that fires after T0, or the first of any when none is expected.
func (f *folder) t2(t0 *Stamp) *Stamp {
	var best *Stamp
	expected := f.drill.Expect.Alerts != nil && len(f.drill.Expect.Alerts.Fire) > 0
	for _, a := range f.rec.Alerts {
		if a.Firing == nil || a.Firing.To.Before(t0.From) || (expected && !a.Expected) {
			continue
		}
		if best == nil || a.Firing.To.Before(best.To) {
			best = &Stamp{Interval: *a.Firing, Source: "alert " + a.Name}
		}
	}
	return best
}

// roleTimes are T4, when a primary other than the one before T0 was first seen, and T5, when exactly one primary and no
// disagreement was first seen at or after T4. The interval reaches back to the view before.
func (f *folder) roleTimes(t0 *Stamp, component string) (t4, t5 *Stamp) {
	var before []string
	var prev time.Time
	for _, v := range f.roles {
		if v.Component != component {
			continue
		}
		if v.At.Before(t0.From) {
			before, prev = v.Primaries, v.At
			continue
		}
		seen := Interval{From: laterOf(prev, t0.From), To: v.At}
		if t4 == nil && newPrimary(before, v.Primaries) {
			t4 = &Stamp{Interval: seen, Source: "roles of " + v.Component}
		}
		if t4 != nil && t5 == nil && len(v.Primaries) == 1 && v.Disagreement == "" {
			t5 = &Stamp{Interval: seen, Source: "roles of " + v.Component}
		}
		prev = v.At
	}
	return t4, t5
}

// roleOwner is the component whose roles T4 and T5 are about: the drilled one, or where that has none, the one whose role the
// drill expects to move.
func (f *folder) roleOwner() string {
	x, sys := f.drill.Expect.RoleMoved, f.rec.Opened.System
	if x == nil || sys == nil || sys.Components[f.drill.Component].Roles != nil {
		return f.drill.Component
	}
	return x.Component
}

func newPrimary(before, now []string) bool {
	return slices.ContainsFunc(now, func(id string) bool { return !slices.Contains(before, id) })
}

// span is one outage of one recovered-means probe, for the search for T6.
type span struct {
	Outage
	probe string
}

// recoverySpans lists the outages of the probes that mean "recovered" which were not over before T0.
func (f *folder) recoverySpans(t0 *Stamp) []span {
	var out []span
	for _, p := range f.recoveryProbes() {
		for _, o := range p.Outages {
			if o.End == nil || !o.End.To.Before(t0.From) {
				out = append(out, span{o, p.Name})
			}
		}
	}
	slices.SortFunc(out, func(a, b span) int { return a.Start.To.Compare(b.Start.To) })
	return out
}

// RecoveryProbes names the probes that mean "recovered" for this drill.
func RecoveryProbes(d *Drill, s *System) []string {
	if len(d.Recovery.Probes) > 0 || s == nil {
		return d.Recovery.Probes
	}
	return s.Components[d.Component].RecoveredMeans
}

func (f *folder) recoveryProbes() []ProbeMeasured {
	names := RecoveryProbes(f.drill, f.rec.Opened.System)
	var out []ProbeMeasured
	for _, p := range f.rec.Probes {
		if slices.Contains(names, p.Name) {
			out = append(out, p)
		}
	}
	return out
}

// t6 is the start of the first window of length recovery.for, at or after T0, that no outage of a recovered-means probe
// touches and that was measured to its end; a window while the fault is in force does not count when another outage begins
// before the lift. Outages that begin after the lift are judged by themselves (judgeAfterLift). Nil when there is no such window.
func (f *folder) t6(t0 *Stamp) *Stamp {
	probes := f.recoveryProbes()
	if len(probes) == 0 {
		return nil
	}
	at, source, lift := t0.Interval, noOutage, f.lifted()
	for _, o := range f.recoverySpans(t0) {
		apart := o.Start.From.Sub(at.To) >= f.drill.Recovery.For.D()
		if apart && !lift.IsZero() && o.Start.From.After(lift) {
			break
		}
		if o.End == nil {
			return nil
		}
		if o.End.To.After(at.To) {
			at, source = Interval{From: laterOf(at.From, o.End.From), To: o.End.To}, "probe "+o.probe
		}
	}
	last := slices.MinFunc(probes, func(a, b ProbeMeasured) int { return a.To.Compare(b.To) }).To
	if last.Before(at.To.Add(f.drill.Recovery.For.D())) {
		return nil
	}
	return &Stamp{Interval: at, Source: source}
}

// noOutage is T6's source where the probes saw none.
const noOutage = "no outage seen"

// outagesAfter lists the outages of recovered-means probes that begin after T6.
func (f *folder) outagesAfter(t6 *Stamp) []span {
	var out []span
	for _, o := range f.recoverySpans(t6) {
		if o.Start.From.After(t6.To) {
			out = append(out, o)
		}
	}
	return out
}

// t7 is when the last canary was read back: data is known to be reconciled (or lost) from there on.
func (f *folder) t7(t6 *Stamp) *Stamp {
	var best *Stamp
	for _, c := range f.rec.Canaries {
		if c.ReadBack.IsZero() || c.Error != "" || !c.IsStored() {
			continue
		}
		if best == nil || c.ReadBack.To.After(best.To) {
			best = &Stamp{Interval: c.ReadBack, Source: "canary " + c.Name}
		}
	}
	if best == nil {
		return t6
	}
	return best
}

// t8 is when redundancy was back and every fault was gone.
func (f *folder) t8() *Stamp {
	back, ok := f.rejoined()
	if !ok {
		return nil
	}
	for _, x := range f.rec.Faults {
		if x.UndoneAt.IsZero() && x.Change.Class != ClassIrreversible {
			return nil
		}
		if x.UndoneAt.After(back.To) {
			back = At(x.UndoneAt)
		}
	}
	return &Stamp{Interval: back, Source: "roles of " + strings.Join(f.struck(), ", ")}
}

// rejoined is when, at or after the last lift, every component that was struck was redundant again.
func (f *folder) rejoined() (Interval, bool) {
	last := At(f.lifted())
	for _, component := range f.struck() {
		back, ok := f.redundantAgain(component)
		if !ok {
			return Interval{}, false
		}
		if back.To.After(last.To) {
			last = back
		}
	}
	return last, true
}

// struck are the drilled component and those whose members the steps were aimed at, where their roles were seen.
func (f *folder) struck() []string {
	out := []string{f.drill.Component}
	for _, step := range f.drill.Method {
		name := step.Target.Component
		seen := slices.ContainsFunc(f.roles, func(v RoleView) bool { return v.Component == name })
		if name != "" && seen && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// redundantAgain finds when, at or after the last lift, a component had again at least the running members and replicas that
// it had before T0, with nobody disagreeing, and kept them to the end. Where nothing was ever missing that is the lift itself.
func (f *folder) redundantAgain(component string) (Interval, bool) {
	lift, t0 := f.lifted(), f.t0()
	if lift.IsZero() || t0 == nil {
		return Interval{}, false
	}
	var base *RoleView
	back, whole, prev := At(lift), true, lift
	for i, v := range f.roles {
		switch {
		case v.Component != component:
		case v.At.Before(t0.From):
			base = &f.roles[i]
		case base == nil:
		default:
			now := Redundant(v, *base)
			if now && !whole {
				back = Interval{From: laterOf(prev, lift), To: laterOf(v.At, lift)}
			}
			whole, prev = now, v.At
		}
	}
	return back, whole && base != nil
}

// Redundant tells whether a view is as good as the baseline: as many running members and replicas, one primary where there
// was one, no disagreement.
func Redundant(v, base RoleView) bool {
	for _, fact := range []string{"running", "replicas"} {
		if b, ok := base.Facts[fact]; ok && v.Facts[fact].Number < b.Number {
			return false
		}
	}
	return v.Disagreement == "" && len(v.Primaries) == len(base.Primaries)
}

// lifted is when the last fault stopped being in force: its undo, or for faults that the system heals, its effect.
// Zero while one is still in force.
func (f *folder) lifted() time.Time {
	var last time.Time
	for _, x := range f.foremost() {
		t := x.UndoneAt
		if u := x.Undone; u != nil && u.Proven && !u.To.IsZero() {
			t = u.To // that it was done is known, and reported, later
		}
		if x.Change.Class != ClassUndo && x.Effect != nil { // nothing of ours holds it
			t = x.Effect.To
		}
		if t.IsZero() {
			return time.Time{}
		}
		if t.After(last) {
			last = t
		}
	}
	return last
}

func laterOf(a, b time.Time) time.Time {
	if cmp.Compare(a.UnixNano(), b.UnixNano()) >= 0 {
		return a
	}
	return b
}
