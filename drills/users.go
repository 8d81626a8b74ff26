package drills

import (
	"slices"
	"time"
)

// UserOutage is the time in which at least one probe that means "recovered" was bad: outages of several probes that touch
// each other are one. The true start lies in Start, the true end in End (nil: it had not ended when the probes stopped).
type UserOutage struct {
	Start  Interval  `json:"start"`
	End    *Interval `json:"end,omitempty"`
	Until  *Interval `json:"until,omitempty"` // where no end was seen: the last failure, to the last sample
	Probes []string  `json:"probes"`
}

// probesOf are the measured probes that mean "recovered" for a component: the drill's own for the drilled one.
func (f *folder) probesOf(component string) []ProbeMeasured {
	if component == f.drill.Component || f.rec.Opened.System == nil {
		return f.recoveryProbes()
	}
	names := f.rec.Opened.System.Components[component].RecoveredMeans
	return slices.DeleteFunc(slices.Clone(f.rec.Probes), func(p ProbeMeasured) bool { return !slices.Contains(names, p.Name) })
}

// userOutages joins the outages of probes that were not over before from (zero: all), by time.
func userOutages(probes []ProbeMeasured, from time.Time) []UserOutage {
	var all []span
	open := map[string]Interval{}
	for _, p := range probes {
		for _, o := range p.Outages {
			if o.End == nil || !o.End.To.Before(from) {
				all = append(all, span{o, p.Name})
			}
			if o.End == nil {
				open[p.Name] = openEnd(p, o)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b span) int { return a.Start.From.Compare(b.Start.From) })
	var out []UserOutage
	for _, o := range all {
		if n := len(out); n > 0 && out[n-1].touches(o.Outage) {
			out[n-1].join(o)
		} else {
			out = append(out, UserOutage{Start: o.Start, End: o.End, Probes: []string{o.probe}})
		}
		if end, ok := open[o.probe]; ok && o.End == nil {
			out[len(out)-1].until(end)
		}
	}
	return out
}

// openEnd bounds the end of an outage that was not seen to end, which may only mean that the probes stopped before recovery
// had held for long enough: not before the cell of the strip with its last failure, and unknown after the last sample.
func openEnd(p ProbeMeasured, o Outage) Interval {
	end := Interval{From: o.Start.To, To: laterOf(p.To, o.Start.To)}
	for i, b := range p.Strip {
		if at := p.From.Add(time.Duration(i) * p.Cell.D()); b.Bad > 0 {
			end.From = laterOf(at, end.From)
		}
	}
	return end
}

func (u *UserOutage) until(end Interval) {
	if u.Until == nil {
		u.Until = &end
		return
	}
	u.Until = &Interval{From: laterOf(u.Until.From, end.From), To: laterOf(u.Until.To, end.To)}
}

func (u UserOutage) touches(o Outage) bool { return u.End == nil || !o.Start.From.After(u.End.To) }

func (u *UserOutage) join(o span) {
	if o.Start.To.Before(u.Start.To) {
		u.Start.To = o.Start.To // the service was bad from the first of them on
	}
	switch {
	case u.End == nil || o.End == nil:
		u.End = nil
	default:
		u.End = &Interval{From: laterOf(u.End.From, o.End.From), To: laterOf(u.End.To, o.End.To)}
	}
	if !slices.Contains(u.Probes, o.probe) {
		u.Probes = append(u.Probes, o.probe)
	}
}

// lasted is how long the outage took, as far as it was watched.
func (u UserOutage) lasted() Span {
	if u.End == nil {
		return u.Until.Since(u.Start)
	}
	return u.End.Since(u.Start)
}

// lastSample is when the last of the probes was sent.
func lastSample(probes []ProbeMeasured) time.Time {
	var last time.Time
	for _, p := range probes {
		last = laterOf(p.To, last)
	}
	return last
}
