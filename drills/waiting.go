package drills

import (
	"fmt"
	"strings"
	"time"
)

// Waiting lists what the observing phase still waits for, in words; empty when everything is decided or its deadline has
// passed. It works on live edges; verdicts come from the measured outages afterwards.
func Waiting(events []Event, now time.Time) []string { return newFolder(events).waiting(now) }

func (f *folder) waiting(now time.Time) []string {
	t0 := f.rec.Times.T0
	if t0 == nil {
		return []string{"the fault to take effect"}
	}
	limit := t0.To.Add(f.recoveryLimit())
	var out []string
	for _, x := range f.rec.Faults {
		if x.Change.Duration > 0 && x.UndoneAt.IsZero() && x.Change.Class != ClassHeals {
			out = append(out, fmt.Sprintf("%s on %s to be lifted", x.Change.Fault, x.Change.Member))
		}
	}
	if now.Before(limit) {
		if why := f.notStable(now); why != "" {
			out = append(out, why)
		}
	}
	for _, j := range f.judge(now) {
		if j.Verdict != Pending {
			continue
		}
		switch j.ID {
		case "rto", "rta", "rpo", "recovered-by": // decided by the stable recovery above and by measuring
		default:
			if f.decidable(j) {
				out = append(out, j.Title)
			}
		}
	}
	return append(out, f.windowsAhead(now)...)
}

// decidable tells whether waiting while the fault is not lifted by restoring can decide j at all.
func (f *folder) decidable(j Judged) bool {
	switch {
	case j.ID == "rejoin", strings.HasPrefix(j.ID, "resolved:"):
		return !f.lifted().IsZero()
	case strings.HasPrefix(j.ID, "loss:"), strings.HasPrefix(j.ID, "load:"), strings.HasPrefix(j.ID, "reaped:"), strings.HasPrefix(j.ID, "slo:"),
		strings.HasPrefix(j.ID, "breaker:"): // decided by measuring
		return false
	case strings.HasPrefix(j.ID, "during:"), strings.HasPrefix(j.ID, "contract:"), strings.HasPrefix(j.ID, "works:"):
		return false // see windowsAhead
	}
	return true
}

// recoveryLimit is how long after T0 recovery is waited for.
func (f *folder) recoveryLimit() time.Duration {
	if l := f.drill.Recovery.Limit; l > 0 {
		return l.D()
	}
	limit := f.rec.Opened.Objectives.RTO
	if x := f.drill.Expect.RTA; limit == 0 && x != nil {
		limit = x.Max
	}
	return min((limit + f.drill.Recovery.For).D(), 15*time.Minute)
}

// notStable says which recovered-means probe has not been good for recovery.for.
func (f *folder) notStable(now time.Time) string {
	since := f.rec.Times.T0.To
	state := map[string]Edge{}
	for _, e := range f.edges {
		state[e.Probe] = e
	}
	if lift := f.lifted(); lift.After(since) && f.drill.Recovery.While != FaultActive {
		since = lift
	}
	for _, name := range RecoveryProbes(f.drill, f.rec.Opened.System) {
		e, ok := state[name]
		if ok && !e.Good {
			return name + " to be good again"
		}
		if ok && e.Since.After(since) {
			since = e.Since
		}
	}
	if left := since.Add(f.drill.Recovery.For.D()).Sub(now); left > 0 {
		return fmt.Sprintf("recovery to hold for %s", f.drill.Recovery.For)
	}
	return ""
}

// windowsAhead lists the `during` windows that end in the future. Windows that hang on T6 or T8 are not waited for.
func (f *folder) windowsAhead(now time.Time) []string {
	known := f.rec.Times.instants(f.lifted())
	var out []string
	for _, d := range f.drill.Expect.During {
		w, ok := resolveWindow(d.Window, known)
		if ok && now.Before(w.To) {
			out = append(out, "the window of: "+d.Title)
		}
	}
	if c := f.drill.Expect.Contract; c != nil {
		if w, ok := resolveWindow(c.Window, known); ok && now.Before(w.To) {
			out = append(out, "the window of the contract")
		}
	}
	return out
}

// liveStop finds a stop condition that holds now; nil when none does.
func (f *folder) liveStop(now time.Time, started time.Time, limits Limits) *Stop {
	for _, c := range f.drill.StopConditions {
		if why := f.stopReason(c, now, started); why != "" {
			return &Stop{Cause: StopByCondition, Reason: why, Truncated: c.ObjectiveTruncated}
		}
	}
	if max := limits.OutagePerRun; max > 0 {
		if why := f.outageStop(max, now, "the system's limit"); why != "" {
			return &Stop{Cause: StopByCondition, Reason: why, Truncated: true}
		}
	}
	return nil
}

func (f *folder) stopReason(c StopCondition, now, started time.Time) string {
	switch {
	case c.Time > 0 && now.Sub(started) > c.Time.D():
		return fmt.Sprintf("Stopped after %s, the drill's time limit", c.Time)
	case c.Outage > 0:
		return f.outageStop(c.Outage, now, "the drill's limit")
	case c.Probe != nil:
		if bad := f.badFor(c.Probe.Name, now, false); bad > c.Probe.Bad.D() {
			return fmt.Sprintf("Stopped: probe %s was bad for more than %s", c.Probe.Name, c.Probe.Bad)
		}
	case c.Alert != nil:
		for _, l := range f.rec.Alerts {
			if l.Firing != nil && l.Severity == c.Alert.Severity && !f.drill.tolerates(l.Name) {
				return fmt.Sprintf("Stopped: %s alert %s fired, which the drill does not expect", l.Severity, l.Name)
			}
		}
	}
	return ""
}

func (f *folder) outageStop(max Duration, now time.Time, whose string) string {
	for _, name := range RecoveryProbes(f.drill, f.rec.Opened.System) {
		if f.badFor(name, now, true) > max.D() {
			return fmt.Sprintf("Stopped: %s was bad for more than %s, %s", name, max, whose)
		}
	}
	return ""
}

// badFor is how long a probe has been bad: in all since T0, or up to now without a break.
func (f *folder) badFor(probe string, now time.Time, inAll bool) time.Duration {
	var total time.Duration
	var since time.Time
	for _, e := range f.edges {
		if e.Probe != probe {
			continue
		}
		switch {
		case !e.Good && since.IsZero():
			since = e.Since
		case e.Good && !since.IsZero():
			total += e.Since.Sub(since)
			since = time.Time{}
		}
	}
	open := time.Duration(0)
	if !since.IsZero() {
		open = now.Sub(since)
	}
	if inAll {
		return total + open
	}
	return open
}
