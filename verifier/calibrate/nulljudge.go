package calibrate

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier"
)

// NullResult is one probe rate against one error rate. A false alarm is a drill whose record would show an outage, or which
// finds no recovery to this steady state (see NotRecovered). Drills that the host itself disturbed (a prober or a server that
// was put aside: see disturbance) prove neither: they are counted apart, whatever they showed, and run once more.
type NullResult struct {
	Every     drills.Duration `json:"every"`
	Errors    float64         `json:"error_rate"`
	Drills    int             `json:"drills"` // that were run, those that were run again counted twice
	Disturbed int             `json:"disturbed"`
	Alarms    int             `json:"false_alarms"` // in drills that were not disturbed, as all that follow
	Invented  int             `json:"invented"`     // drills that show an outage
	// Recoveries is how many drills were judged a second time, two seconds of their samples turned into failures: Missed of those
	// outages were not seen, NotRecovered have no end, and Late have one whose interval lies wholly after the truth by more than a second.
	Recoveries   int `json:"recoveries"`
	Missed       int `json:"missed"`
	NotRecovered int `json:"not_recovered"`
	Late         int `json:"recovered_late"`
	Live         int `json:"live"` // drills in which a probe was called bad for a moment while they went on
	// Upper is the upper 95 % confidence limit of the rate of false alarms (Clopper and Pearson).
	Upper   float64         `json:"false_alarms_upper95"`
	Probes  int             `json:"probes"`
	Failed  int             `json:"failed_probes"`
	Prober  drills.Duration `json:"late_p99"` // of the prober's sends, the worst drill's
	FIFO    bool            `json:"realtime"`
	What    []string        `json:"what,omitempty"`        // the first false alarms
	Trouble []string        `json:"disturbance,omitempty"` // the first drills that were disturbed, and what they showed
}

// close computes the limit.
func (r *NullResult) close() { r.Upper = verifier.UpperRate(r.Alarms, r.Counted(), 0.95) }

// Counted is how many drills the rate of false alarms is from.
func (r NullResult) Counted() int { return r.Drills - r.Disturbed }

// madeOutage is the length of the outage that a drill is judged with a second time.
const madeOutage = 2 * time.Second

// lateBy is how much later than the truth a recovery may begin before it counts as late: a probe that fails by itself within
// some slots of the end is taken for part of the outage, rightly most of the time.
const lateBy = time.Second

// judging is all that is needed to judge the drills of a batch.
type judging struct {
	events []drills.Event
	made   noisyMade
	files  *rawFiles
	live   map[string]bool
	steady drills.Interval
}

// nullJudged is what one drill showed.
type nullJudged struct {
	disturbed string
	invented  string
	recovery  string // why the recovery is wrong; empty: right, or not judged
	judged    bool   // whether there was time for a recovery
	missed    bool
	late      bool
}

// alarm says what is false; empty: nothing is.
func (n nullJudged) alarm() string {
	switch {
	case n.invented != "":
		return n.invented
	case n.late:
		return ""
	}
	return n.recovery
}

// judge compares what was measured of a drill with what it was: nothing.
func (d *nullDrill) judge(cfg NullConfig, m *drills.ProbeMeasured, j judging) (nullJudged, error) {
	meta, samples, err := verifier.ReadRaw(j.files.take(m.Raw))
	if err != nil {
		return nullJudged{}, fmt.Errorf("%s: %w", m.Name, err)
	}
	slices.SortStableFunc(samples, func(a, b verifier.Sample) int { return cmp.Compare(a.Send, b.Send) })
	n := nullJudged{disturbed: disturbance(samples, meta.Every.D(), j.made[m.Name])}
	if m.Error != "" {
		n.disturbed = m.Error
	}
	if len(m.Outages) > 0 {
		o := m.Outages[0]
		n.invented = fmt.Sprintf("an outage out of nothing: %s, %d of %d probes bad, baseline %.4f", o.Kind, o.Bad, o.Samples, m.Baseline)
	}
	at := cfg.madeAt(d.number)
	n.second(meta, samples, j.steady, at)
	d.result.add(n, m, j.live[m.Name], d.number)
	return n, nil
}

// madeAt is how long after the settle window the made outage of a drill begins: within the first quarter.
func (cfg NullConfig) madeAt(number uint64) time.Duration {
	r := rand.New(rand.NewPCG(cfg.Seed, ^number)) //nolint:gosec // a place in a drill, not a secret
	return time.Duration(r.Int64N(max(int64(cfg.Length/4), 1)))
}

// second judges a drill again, some of its samples turned into failures. Without time for two windows after them it is left out.
func (n *nullJudged) second(meta verifier.ProbeMeta, samples []verifier.Sample, steady drills.Interval, at time.Duration) {
	clock := drills.Clock{Mono: meta.Mono, Wall: meta.Wall}
	from := meta.Mono + int64(steady.To.Add(at).Round(0).Sub(meta.Wall))
	made, first, next := slices.Clone(samples), -1, -1
	for i := range made {
		switch s := &made[i]; {
		case s.Send < from:
		case s.Send < from+int64(madeOutage):
			s.Class, s.Done, s.Text = verifier.Refused, s.Send+int64(time.Millisecond), "made"
			if first < 0 {
				first = i
			}
		case next < 0:
			next = i
		}
	}
	if first < 0 || next < 0 || time.Duration(samples[len(samples)-1].Send-samples[next].Send) < 2*meta.Settle.D() {
		return
	}
	n.judged = true
	truth := drills.Interval{From: clock.Time(samples[first].Send), To: clock.Time(samples[next].Done)}
	m := verifier.MeasureSamples(meta, made, steady)
	i := slices.IndexFunc(m.Outages, func(o drills.Outage) bool {
		return !o.Start.From.After(truth.To) && (o.End == nil || o.End.To.After(truth.From))
	})
	switch {
	case i < 0:
		n.missed, n.recovery = true, "an outage of two seconds that was not seen"
	case m.Outages[i].End == nil:
		n.recovery = fmt.Sprintf("no recovery in the %s that were left, baseline %.4f", clock.Time(samples[len(samples)-1].Send).Sub(truth.To).Round(time.Second), m.Baseline)
	case m.Outages[i].End.From.Sub(truth.To) > lateBy:
		n.late, n.recovery = true, fmt.Sprintf("recovered %s late, baseline %.4f", m.Outages[i].End.From.Sub(truth.To).Round(time.Millisecond), m.Baseline)
	}
}

// maxTold bounds the drills that are told of.
const maxTold = 3

func (r *NullResult) add(n nullJudged, m *drills.ProbeMeasured, live bool, number uint64) {
	r.Drills++
	r.Probes += total(m.Count)
	r.Failed += m.Count.Bad()
	r.Prober, r.FIFO = max(r.Prober, m.Late), m.Realtime
	if n.disturbed != "" {
		r.Disturbed++
		if len(r.Trouble) < maxTold {
			r.Trouble = append(r.Trouble, fmt.Sprintf("drill %d: %s; it showed %s", number, n.disturbed, cmp.Or(n.alarm(), "nothing")))
		}
		return
	}
	count(&r.Alarms, n.alarm() != "")
	count(&r.Invented, n.invented != "")
	count(&r.Recoveries, n.judged)
	count(&r.Missed, n.missed)
	count(&r.Late, n.late)
	count(&r.NotRecovered, n.judged && n.recovery != "" && !n.late && !n.missed)
	count(&r.Live, live)
	if why := n.alarm(); why != "" && len(r.What) < maxTold {
		r.What = append(r.What, fmt.Sprintf("drill %d: %s", number, why))
	}
}

// disturbance says how the host disturbed a drill, by what neither the schedule nor the server explains: an outcome that the
// server did not make, an answer that took longer than two periods, a pause in which nothing was sent for longer than three. It
// does not look at whether there was an alarm. Empty: it did not.
func disturbance(samples []verifier.Sample, every time.Duration, made int) string {
	failed, other := 0, map[verifier.Class]int{}
	var slowest, pause time.Duration
	var what []string
	for i, s := range samples {
		switch s.Class {
		case verifier.Good:
		case verifier.Failed:
			failed++
		default:
			other[s.Class]++
		}
		slowest = max(slowest, s.Latency())
		if i > 0 {
			pause = max(pause, time.Duration(s.Send-samples[i-1].Send))
		}
	}
	for c, n := range other {
		what = append(what, fmt.Sprintf("%d %s", n, c))
	}
	slices.Sort(what)
	switch {
	case len(other) > 0:
		return fmt.Sprintf("outcomes that the server did not make: %s", strings.Join(what, ", "))
	case failed != made:
		return fmt.Sprintf("%d failures of %d that the server made", failed, made)
	case slowest > 2*every:
		return fmt.Sprintf("an answer took %s", slowest.Round(time.Millisecond))
	case pause > 3*every:
		return fmt.Sprintf("nothing was sent for %s", pause.Round(time.Millisecond))
	}
	return ""
}
