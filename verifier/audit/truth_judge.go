package audit

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

const (
	misleads  = "whoever looks at it, and every rule on it, is told something else than what happens"
	askQuiet  = "ask again when nobody else uses the system"
	mendCount = "count where the thing itself happens, on every instance, and have every instance scraped"
)

// judge compares one number with what was done.
func (t *truth) judge(m drills.TruthMetric) drills.Diagnosis {
	if _, there := t.taken[worked].values[m.Metric]; !there {
		return missingNumber(m)
	}
	switch m.Is {
	case drills.TruthConnections:
		return t.gauge(m)
	case drills.TruthUsers:
		return t.users(m)
	case drills.TruthErrors:
		return t.share(m)
	case drills.TruthTime:
		return t.age(m)
	}
	return t.counter(m)
}

func missingNumber(m drills.TruthMetric) drills.Diagnosis {
	d := drills.Diagnosis{
		Level: drills.LevelProblem, Found: "no data: nobody exposes it", Why: "rules and dashboards on it say nothing, and no data is not zero",
		Mend: "correct the name, or have it exposed and scraped",
	}
	if m.Is == drills.TruthErrors {
		d.Level, d.Mend = drills.LevelNotChecked, "expose it as 0 from the start: without a series nobody can tell none from not counted"
	}
	return d
}

func (t *truth) change(sel string, from, to int) float64 {
	return t.taken[to].values[sel] - t.taken[from].values[sel]
}

// counted is what a counter must have risen by.
func (t *truth) counted(k drills.TruthKind) (n int, what string) {
	switch k {
	case drills.TruthConnects:
		return t.tally.Connects, "connections were made"
	case drills.TruthReceived:
		return t.tally.Received, "frames were received"
	case drills.TruthPublished:
		return t.tally.Published, "messages were published"
	}
	return t.tally.Delivered, "messages were delivered"
}

// steady is by what share the rate of others may differ from what it was before and after.
const steady = 0.25

// counter: it must rise by what we did. What others did in the quiet times before and after, at about the same rate, is allowed
// for; where that could hide ours, or others were not steady, only that there is room for ours in it can be shown.
func (t *truth) counter(m drills.TruthMetric) drills.Diagnosis {
	n, what := t.counted(m.Is)
	ours, rise := float64(n), t.change(m.Metric, before, after)
	others := t.others(m.Metric)
	slack := m.Tolerance + others*steady
	d := drills.Diagnosis{Level: drills.LevelOK, Found: fmt.Sprintf("rose by %g, %d %s", rise, n, what)}
	if others > 0 {
		d.Found += fmt.Sprintf(", and others did about %.0f", others)
	}
	switch {
	case ours == 0:
		d.Level, d.Why = drills.LevelNotChecked, "there was nothing to compare it with"
	case rise < ours-m.Tolerance:
		d.Level, d.Why, d.Mend = drills.LevelProblem, misleads, mendCount
	case rise <= ours+m.Tolerance || slack < ours && math.Abs(rise-ours-others) <= slack:
	case t.busy():
		d.Level, d.Why, d.Mend = drills.LevelNotChecked, "there is room for ours in it, but not more can be said beside what others do", askQuiet
	default:
		d.Level, d.Why, d.Mend = drills.LevelProblem, misleads, "look for what else it counts, such as heartbeats, or things that are counted twice"
	}
	return d
}

// others is how much the number would have risen without us, by how it rose while we did nothing.
func (t *truth) others(sel string) float64 {
	rate := max(t.rate(sel, early, before), t.rate(sel, after, late))
	return rate * (t.taken[after].at[sel] - t.taken[before].at[sel])
}

func (t *truth) rate(sel string, from, to int) float64 {
	length := t.taken[to].at[sel] - t.taken[from].at[sel]
	if length <= 0 {
		return 0
	}
	return max(0, t.change(sel, from, to)) / length
}

// busy tells whether others did anything at all while we did nothing, by any of the counters.
func (t *truth) busy() bool {
	return slices.ContainsFunc(t.Truth.Metrics, func(m drills.TruthMetric) bool {
		counter := m.Is != drills.TruthConnections && m.Is != drills.TruthUsers && m.Is != drills.TruthTime
		return counter && t.others(m.Metric) > 0
	})
}

// gauge: it must rise by the connections that are held, stay there when some are replaced, and fall back when they have ended.
func (t *truth) gauge(m drills.TruthMetric) drills.Diagnosis {
	held := float64(t.tally.Most)
	rise, kept, left := t.change(m.Metric, before, holding), t.change(m.Metric, before, worked), t.change(m.Metric, before, after)
	off := max(math.Abs(rise-held), math.Abs(kept-held), math.Abs(left))
	d := drills.Diagnosis{
		Level: drills.LevelOK,
		Found: fmt.Sprintf("%g connections held: it rose by %g, by %g once %d were replaced, and by %g when all had ended", held, rise, kept, t.replaced(), left),
	}
	switch {
	case off <= m.Tolerance:
	case t.busy() && off < held: // so few of ours cannot be missing or be there twice
		d.Level, d.Why, d.Mend = drills.LevelNotChecked, "others came and went meanwhile", askQuiet
	default:
		d.Level, d.Why, d.Mend = drills.LevelProblem, misleads, "read it from the connections that are open when it is scraped, instead of counting up and down; a scrape must not reset it"
	}
	return d
}

// replaced is how many connections were made beyond those that are held at a time.
func (t *truth) replaced() int { return t.tally.Connects - t.tally.Most }

// users: however many connections one user holds, it is one user at each address. Where somebody was there before, it may have
// been the same user.
func (t *truth) users(m drills.TruthMetric) drills.Diagnosis {
	places := float64(t.tally.Places)
	was := t.taken[before].values[m.Metric]
	rise, left := t.change(m.Metric, before, holding), t.change(m.Metric, before, after)
	d := drills.Diagnosis{Level: drills.LevelOK, Found: fmt.Sprintf("%g before; one user at %g address(es): it rose by %g, and by %g when the user had left", was, places, rise, left)}
	switch {
	case was > 0 && rise >= 0 && rise < places && left == 0:
		d.Level, d.Why, d.Mend = drills.LevelNotChecked, "somebody was connected before, who may be the same user", askQuiet
	case rise == places && left == 0:
	case t.busy() && rise < float64(t.tally.Most):
		d.Level, d.Why, d.Mend = drills.LevelNotChecked, "others came and went meanwhile", askQuiet
	case math.Abs(rise-places) > m.Tolerance || math.Abs(left) > m.Tolerance:
		d.Level, d.Why, d.Mend = drills.LevelProblem, misleads, "count distinct users among the connections that are open"
	}
	return d
}

// share: of what was sent while we looked, how much could not be.
func (t *truth) share(m drills.TruthMetric) drills.Diagnosis {
	bad, all := t.change(m.Metric, before, after), t.change(m.Of, before, after)
	if all <= 0 {
		return drills.Diagnosis{Level: drills.LevelNotChecked, Found: "no data: " + m.Of + " did not rise, so there is nothing to be a share of", Why: "no data is not zero"}
	}
	d := drills.Diagnosis{Level: drills.LevelOK, Found: fmt.Sprintf("%g of %g (%.3g %%), at most %g %% are allowed", bad, all, 100*bad/all, 100*m.Max)}
	if bad/all > m.Max {
		d.Level, d.Why, d.Mend = drills.LevelProblem, "users miss messages that were accepted for them", "look for slow consumers and for connections that broke"
	}
	return d
}

// age: the instant may not be too long ago, on any instance.
func (t *truth) age(m drills.TruthMetric) drills.Diagnosis {
	s := t.taken[worked]
	at := s.oldest[m.Metric]
	age := time.Duration((s.now - at) * float64(time.Second)).Round(100 * time.Millisecond)
	d := drills.Diagnosis{Level: drills.LevelOK, Found: fmt.Sprintf("%s ago, at most %s is allowed", age, m.MaxAge)}
	switch {
	case at == 0:
		d.Level, d.Found = drills.LevelProblem, "never: it is 0"
	case age > m.MaxAge.D():
		d.Level = drills.LevelProblem
	case age < -time.Second:
		d.Level, d.Found = drills.LevelProblem, "it lies in the future, by "+(-age).String()
	}
	if d.Level == drills.LevelProblem {
		d.Why, d.Mend = "what should happen regularly on every instance does not", "look at the loop that sets it, on the instance with the oldest value"
	}
	return d
}
