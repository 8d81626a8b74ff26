package calibrate

import (
	"fmt"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// Verdict says whether a figure reaches its goal.
type Verdict string

// The verdicts. Short: what was measured would meet the goal, but is not enough of it to say so.
const (
	Met    Verdict = "met"
	Missed Verdict = "missed"
	Short  Verdict = "not shown"
)

// Goal is one promise about the measuring itself beside the figure that was reached on this host.
type Goal struct {
	Of      string  `json:"of"`
	Goal    string  `json:"goal"`
	Figure  string  `json:"figure"`
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why,omitempty"` // of Short
}

// What is promised, for a machine of two cores with nothing else running.
const (
	goalOutages = 300
	goalHeld    = 0.99
	goalNulls   = 1000
	goalLength  = time.Minute
	goalCost    = 0.10
	goalEvery   = 20 * time.Millisecond // the rate that the errors of plain probes are promised for
)

// precision are the errors promised for one row.
type precision struct{ p50, p99 time.Duration }

// promised are the errors promised of a row; false: none are.
func promised(r Result) (precision, bool) {
	switch {
	case r.Burst > 0 && r.Fault == Refuse:
		return precision{time.Millisecond, 3 * time.Millisecond}, true
	case r.Burst > 0 || r.Every.D() != goalEvery:
		return precision{}, false
	case r.Fault == Blackhole, r.Fault == Freeze:
		return precision{10 * time.Millisecond, 25 * time.Millisecond}, true
	}
	return precision{7 * time.Millisecond, 20 * time.Millisecond}, true
}

// Judge compares every figure of a calibration with its goal, in the order of the calibration's parts.
func Judge(c Calibration) []Goal {
	var out []Goal
	for _, r := range c.Results {
		out = append(out, r.goals()...)
	}
	if c.Losses != nil {
		for _, r := range c.Losses.Results {
			out = append(out, r.goal())
		}
	}
	if c.Nulls != nil {
		for _, r := range c.Nulls.Results {
			out = append(out, r.goal(c.Nulls.Length.D()))
		}
	}
	if c.Cost != nil {
		for _, r := range c.Cost.Results {
			if g, ok := r.goal(); ok {
				out = append(out, g)
			}
		}
	}
	return out
}

// verdict is Missed unless ok, and else Met only if nothing was short.
func verdict(g Goal, ok bool, short string) Goal {
	switch {
	case !ok:
		g.Verdict = Missed
	case short != "":
		g.Verdict, g.Why = Short, short
	default:
		g.Verdict = Met
	}
	return g
}

// Name is the row in words.
func (r Result) Name() string {
	name := fmt.Sprintf("%s at %s", r.Fault, Rate(r.Every))
	if r.Burst > 0 {
		name = fmt.Sprintf("%s, tripwire and burst %s, at %s", r.Fault, r.Burst, Rate(r.Every))
	}
	return name
}

// Rate is a period as probes a second.
func Rate(every drills.Duration) string {
	return fmt.Sprintf("%g/s", float64(time.Second)/float64(every))
}

func (r Result) goals() []Goal {
	short := ""
	if r.Outages < goalOutages {
		short = fmt.Sprintf("%d outages of %d", r.Outages, goalOutages)
	}
	out := []Goal{verdict(Goal{
		Of: r.Name(), Goal: fmt.Sprintf("interval holds the truth in ≥ %g%% of ≥ %d outages, none missed, none invented", 100*goalHeld, goalOutages),
		Figure: fmt.Sprintf("%s, %d missed, %d invented", share(r.Held, r.Outages), r.Missed, r.Invented),
	}, float64(r.Held) >= goalHeld*float64(r.Outages) && r.Missed == 0 && r.Invented == 0, short)}
	p, ok := promised(r)
	if !ok {
		return out
	}
	reached := r.P50.D() <= p.p50 && r.P99.D() <= p.p99 && r.Outages > r.Missed
	fifo, without := "", ""
	if r.Burst > 0 {
		if fifo = " under SCHED_FIFO"; !r.Realtime {
			without = ", without it"
		}
	}
	if without != "" && !reached { // promised with it only
		reached, short = true, "SCHED_FIFO was not granted"
	}
	return append(out, verdict(Goal{
		Of: r.Name(), Goal: fmt.Sprintf("|error| p50/p99 ≤ %g/%g ms%s", p.p50.Seconds()*1000, p.p99.Seconds()*1000, fifo),
		Figure: fmt.Sprintf("%.1f/%.1f ms%s", r.P50.D().Seconds()*1000, r.P99.D().Seconds()*1000, without),
	}, reached, short))
}

func share(n, of int) string {
	if of == 0 {
		return "none"
	}
	return fmt.Sprintf("%d of %d (%.1f%%)", n, of, 100*float64(n)/float64(of))
}

func (r LossResult) goal() Goal {
	short := ""
	if r.Times == 0 {
		short = "none was counted"
	}
	return verdict(Goal{
		Of: "losses: " + string(r.Loss), Goal: "counted exactly, and the interval holds the recovery point, every time",
		Figure: fmt.Sprintf("exact in %s, point held in %s", share(r.Exact, r.Times), share(r.PointHeld, r.Points)),
	}, r.Exact == r.Times && r.PointHeld == r.Points, short)
}

// Name is the row in words.
func (r NullResult) Name() string {
	return fmt.Sprintf("null drills at %s, errors of %g%%", Rate(r.Every), 100*r.Errors)
}

func (r NullResult) goal(length time.Duration) Goal {
	short := ""
	switch {
	case length < goalLength:
		short = fmt.Sprintf("drills of %s, not of %s", length, goalLength)
	case r.Counted() < goalNulls && r.Disturbed > 0:
		short = fmt.Sprintf("%d drills of %d: the host disturbed %d", r.Counted(), goalNulls, r.Disturbed)
	case r.Counted() < goalNulls:
		short = fmt.Sprintf("%d drills of %d", r.Counted(), goalNulls)
	case r.Recoveries < r.Counted():
		short = "recovery was not judged in every drill"
	}
	return verdict(Goal{
		Of: r.Name(), Goal: fmt.Sprintf("no false alarm in ≥ %d drills of %s", goalNulls, goalLength),
		Figure: fmt.Sprintf("%d in %d, at most %.3g%% (95%%)", r.Alarms, r.Counted(), 100*r.Upper),
	}, r.Alarms == 0, short)
}

// Name is the row in words.
func (c Cost) Name() string {
	return fmt.Sprintf("cost of %d %s probes at %s", c.Probes, c.Kind, Rate(c.Every))
}

// goal is promised of ten probes at 20 a second.
func (c Cost) goal() (Goal, bool) {
	if c.Probes != 10 || c.Every.D() != 50*time.Millisecond {
		return Goal{}, false
	}
	short := ""
	if asked := int(c.Lived.D()/c.Every.D()) * c.Probes * 9 / 10; c.Answered < asked {
		short = fmt.Sprintf("%d probes were answered, %d expected", c.Answered, asked)
	}
	return verdict(Goal{
		Of: c.Name(), Goal: fmt.Sprintf("under %g%% of a core", 100*goalCost), Figure: fmt.Sprintf("%.1f%%", 100*c.Core()),
	}, c.Core() < goalCost, short), true
}
