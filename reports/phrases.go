package reports

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

func ms(d drills.Duration) string { return d.D().Round(100 * time.Microsecond).String() }

// effectText says what a fault is proven to have done.
func effectText(f drills.FaultRecord) string {
	switch {
	case f.Error != "":
		return "failed: " + f.Error
	case f.Effect == nil:
		return "no effect seen"
	case !f.Effect.Proven:
		return "effect not proven (" + f.Effect.Source + ")"
	}
	return "effective " + between(f.Effect.Interval()) + ", proven by " + f.Effect.Source + gapsText(f.Gaps)
}

// gapsText says when a fault was not in force although nobody had undone it.
func gapsText(gaps []drills.Gap) string {
	out := ""
	for _, g := range gaps {
		if g.To.IsZero() {
			out += "; ended at " + clock(g.From) + " (" + g.Why + ")"
			continue
		}
		out += "; not in force " + between(drills.Interval{From: g.From, To: g.To}) + " (" + g.Why + "), then made again"
	}
	return out
}

// undoText says how a fault ended.
func undoText(f drills.FaultRecord) string {
	switch {
	case f.Undone == nil && f.Change.Class == drills.ClassIrreversible:
		return "irreversible: nothing to undo"
	case f.Undone == nil && f.Change.Undo.Verb == "":
		return "no undo: the system heals it"
	case f.Undone == nil:
		return "NOT UNDONE"
	case f.Undone.Skipped != "":
		return "undo skipped: " + f.Undone.Skipped
	case f.Change.Class == drills.ClassHeals:
		return "undone by us at " + clock(f.UndoneAt) + " (the system should have)"
	}
	return "undone " + clock(f.UndoneAt)
}

// outagesText lists a probe's outages with their brackets.
func outagesText(p drills.ProbeMeasured) string {
	if p.Error != "" {
		return "prober broke: " + p.Error
	}
	if len(p.Outages) == 0 {
		return "no outage seen"
	}
	var out []string
	for _, o := range p.Outages {
		out = append(out, outageText(o))
	}
	return strings.Join(out, "; ")
}

func outageText(o drills.Outage) string {
	if o.End == nil {
		return fmt.Sprintf("%s from %s, no end seen", o.Kind, between(o.Start))
	}
	return fmt.Sprintf("%s for %s from %s", o.Kind, o.End.Since(o.Start), clock(o.Start.To))
}

// oursText names samples that say nothing about the system; empty when there are none.
func oursText(p drills.ProbeMeasured) string {
	var out []string
	for _, x := range []struct {
		n    int
		what string
	}{{p.Count.Throttled, "throttled"}, {p.Count.Unauthorised, "unauthorised"}, {p.Count.Malformed, "malformed"}, {p.Count.Observer, "observer"}} {
		if x.n > 0 {
			out = append(out, fmt.Sprintf("%d %s", x.n, x.what))
		}
	}
	return strings.Join(out, ", ")
}

func purgeText(c drills.CanaryMeasured) string {
	switch {
	case !c.IsStored():
		return "nothing is stored: there is nothing to purge"
	case c.Purged:
		return "purged: " + c.PurgeProof
	case c.PurgeProof != "":
		return "NOT shown to be purged: " + c.PurgeProof
	}
	return "not purged"
}

func expectedText(a drills.AlertLife) string {
	if a.Expected {
		return "expected"
	}
	return "not expected"
}

// ifSeen is an instant relative to T0, or that it was not seen.
func ifSeen(r drills.Record, i *drills.Interval) string {
	switch {
	case i == nil:
		return "not seen"
	case r.Times.T0 == nil:
		return between(*i)
	}
	return after(r, *i)
}

// timeOf is a fault's time in force, for pictures: to is the run's end when it was never lifted.
func timeOf(r drills.Record, f drills.FaultRecord) (from, to time.Time) {
	from, to = f.Intended, r.Ended
	if f.Effect != nil {
		from = f.Effect.Interval().Mid()
	}
	switch {
	case f.Undone == nil && f.Change.Undo.Verb != "": // still in force, or so it has to be taken
	case !f.Lift.IsZero():
		to = f.Lift
	case !f.UndoneAt.IsZero():
		to = f.UndoneAt
	}
	return from, to
}

// sampling says how fine the measuring was: the largest period, lateness and gap of any probe.
func sampling(r drills.Record) string {
	if len(r.Probes) == 0 {
		return "no probe was running"
	}
	worst := func(f func(drills.ProbeMeasured) drills.Duration) drills.Duration {
		return f(slices.MaxFunc(r.Probes, func(a, b drills.ProbeMeasured) int { return int(f(a) - f(b)) }))
	}
	return fmt.Sprintf("slowest probe every %s, prober lateness p99 at most %s, longest time without a sample %s",
		worst(func(p drills.ProbeMeasured) drills.Duration { return p.Every }),
		ms(worst(func(p drills.ProbeMeasured) drills.Duration { return p.Late })),
		ms(worst(func(p drills.ProbeMeasured) drills.Duration { return p.Gap })))
}

// roleViews are the views of components that have a primary at all; those of the others say nothing.
func roleViews(r drills.Record) []drills.RoleView {
	has := map[string]bool{}
	for _, v := range r.Roles {
		if len(v.Primaries) > 0 || v.Disagreement != "" {
			has[v.Component] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(r.Roles), func(v drills.RoleView) bool { return !has[v.Component] })
}

// told splits alerts into those that somebody could have been told of, or should have been, and the names of those that
// were only ever pending.
func told(r drills.Record) (shown []drills.AlertLife, quiet string) {
	var names []string
	for _, a := range r.Alerts {
		switch {
		case a.Expected, a.Firing != nil, a.Notified != nil:
			shown = append(shown, a)
		case !slices.Contains(names, a.Name):
			names = append(names, a.Name)
		}
	}
	slices.Sort(names)
	return shown, strings.Join(names, ", ")
}
