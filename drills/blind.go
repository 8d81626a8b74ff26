package drills

import (
	"fmt"
	"time"
)

// The sources that can go blind during a run.
const (
	BlindPrometheus = "Prometheus"
	BlindSink       = "the notification sink"
)

// Blind is a time in which a source of the monitoring did not answer us: from the last good answer to the next.
type Blind struct {
	Source string   `json:"source"`
	Span   Interval `json:"span"`
}

// blindTolerance is how long a source may be silent without spoiling what is judged by it: a poll or two that were late.
const blindTolerance = 5 * time.Second

// blindAtATime is how long a source may be silent at a time before an alert may have come and gone unseen. One that still
// fires when it answers again is seen then, so short spans do not add up.
const blindAtATime = 10 * time.Second

// blindIn is how long a source did not answer between two instants.
func (f *folder) blindIn(source string, from, to time.Time) time.Duration {
	total, _ := f.blind(source, from, to)
	return total
}

// blind is how long a source did not answer between two instants, in all and at most at a time.
func (f *folder) blind(source string, from, to time.Time) (total, longest time.Duration) {
	for _, b := range f.rec.Blind {
		a, z := b.Span.From, b.Span.To
		if a.Before(from) {
			a = from
		}
		if z.After(to) {
			z = to
		}
		if b.Source == source && z.After(a) {
			total += z.Sub(a)
			longest = max(longest, z.Sub(a))
		}
	}
	return total, longest
}

// unseen turns a judgement that stands on not having seen something into "not measured" where the source was silent for too
// long of the time: an alert may have fired unseen, and silence proves nothing.
func (f *folder) unseen(j Judged, from, to time.Time, sources ...string) Judged {
	for _, s := range sources {
		if d := f.blindIn(s, from, to); d > blindTolerance {
			j.Verdict, j.Why = NotMeasured, fmt.Sprintf("%s did not answer for %.1f s of that time", s, d.Seconds())
			return j
		}
	}
	return j
}

// toldWithin is how soon after an alert fires somebody should know of it before it is worth a finding.
const toldWithin = 15 * time.Second

// untold are findings about alerts that fired after the fault and of which nobody was told, or late. Warnings that the drill
// does not expect may be inhibited and are left alone.
func (f *folder) untold() {
	sys := f.rec.Opened.System
	if sys == nil || sys.Monitoring.NotifiedBy == nil || f.rec.Times.T0 == nil {
		return
	}
	for _, l := range f.rec.Alerts {
		counts := l.Firing != nil && (l.Expected || l.Severity == "critical") && !l.Firing.To.Before(f.rec.Times.T0.From)
		if !counts {
			continue
		}
		what := l.Name
		if i := l.Labels["instance"]; i != "" {
			what += " (" + i + ")"
		}
		switch {
		case l.Notified != nil && l.Notified.From.Sub(l.Firing.To) > toldWithin:
			f.find("told-late:"+what, SeverityWarning, fmt.Sprintf("Somebody was told of %s only %.0f s after it had fired", what, l.Notified.From.Sub(l.Firing.To).Seconds()),
				"Between the alert and the person something did not work: the receiver, Alertmanager, or the way between them.")
		case l.Notified == nil && f.last.Sub(l.Firing.To) > toldWithin && f.blindIn(BlindSink, l.Firing.From, f.last) <= blindTolerance:
			f.find("untold:"+what, SeveritySerious, fmt.Sprintf("%s fired and nobody was told, for %.0f s that were watched", what, f.last.Sub(l.Firing.To).Seconds()), "")
		}
	}
}
