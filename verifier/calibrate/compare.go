package calibrate

import (
	"slices"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier"
)

// Truth is one outage as the server made it: the instants (CLOCK_MONOTONIC, nanoseconds) between which it went down and
// between which it came back.
type Truth struct{ Start, End drills.Span }

func (t Truth) length() time.Duration { return middle(t.End) - middle(t.Start) }

func middle(s drills.Span) time.Duration { return (s.Lo.D() + s.Hi.D()) / 2 }

// Result is one fault at one rate: how many outages there were and how well they were measured. Errors are those of the
// length, |most likely length − truth|: from the middle of the beginning's interval, or from where the tripwire broke in it, to
// the middle of the end's. Held counts the outages whose measured interval held the true length;
// StartHeld and EndHeld the same for the two edges, End being what a recovery time rests on. A flapping server is one outage.
type Result struct {
	Fault     Fault           `json:"fault"`
	Every     drills.Duration `json:"every"`
	Burst     drills.Duration `json:"burst,omitempty"` // with a tripwire and bursts of this period; 0: without either
	Outages   int             `json:"outages"`
	Held      int             `json:"held"`
	StartHeld int             `json:"start_held"`
	EndHeld   int             `json:"end_held"`
	Missed    int             `json:"missed"`   // true, and not measured
	Invented  int             `json:"invented"` // measured, and not true
	P50       drills.Duration `json:"error_p50"`
	P99       drills.Duration `json:"error_p99"`
	Max       drills.Duration `json:"error_max"`
	Width     drills.Duration `json:"width_p50"` // of the measured interval
	Late      drills.Duration `json:"late_p99"`  // of the prober's sends, the worst probe's
	Realtime  bool            `json:"realtime"`

	errors, widths []time.Duration
}

// add compares what one probe measured with what was true of its server. clock maps the truth's stamps to wall time.
func (r *Result) add(m drills.ProbeMeasured, truths []Truth, clock drills.Clock) {
	used := make([]bool, len(m.Outages))
	for _, t := range truths {
		from, to := drills.Interval{From: clock.Time(int64(t.Start.Lo)), To: clock.Time(int64(t.Start.Hi))}, drills.Interval{From: clock.Time(int64(t.End.Lo)), To: clock.Time(int64(t.End.Hi))}
		i := slices.IndexFunc(m.Outages, func(o drills.Outage) bool {
			return o.End != nil && o.Start.From.Before(to.To) && o.End.To.After(from.From)
		})
		r.Outages++
		if i < 0 {
			r.Missed++
			continue
		}
		used[i] = true
		r.judge(m.Outages[i], t, from, to)
	}
	for _, u := range used {
		if !u {
			r.Invented++
		}
	}
	r.Late, r.Realtime = max(r.Late, m.Late), m.Realtime
}

func (r *Result) judge(o drills.Outage, t Truth, from, to drills.Interval) {
	lo, hi := o.End.From.Sub(o.Start.To), o.End.To.Sub(o.Start.From)
	r.errors = append(r.errors, (o.Length() - t.length()).Abs())
	r.widths = append(r.widths, hi-lo)
	startHeld, endHeld := meet(o.Start, from), meet(*o.End, to)
	count(&r.StartHeld, startHeld)
	count(&r.EndHeld, endHeld)
	// The truth is an interval too, of some microseconds: what it may be must not lie outside.
	least, most := t.End.Lo.D()-t.Start.Hi.D(), t.End.Hi.D()-t.Start.Lo.D()
	count(&r.Held, most >= lo && least <= hi)
}

func count(n *int, yes bool) {
	if yes {
		*n++
	}
}

func meet(a, b drills.Interval) bool { return !a.To.Before(b.From) && !b.To.Before(a.From) }

// close computes the quantiles (nearest rank).
func (r *Result) close() {
	at := func(v []time.Duration, q float64) drills.Duration { return drills.Duration(verifier.Quantile(v, q)) }
	r.P50, r.P99, r.Max, r.Width = at(r.errors, 0.5), at(r.errors, 0.99), at(r.errors, 1), at(r.widths, 0.5)
}
