package reports

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// Ref is a record and where its evidence lies.
type Ref struct {
	Record drills.Record
	Dir    string
}

// mark is a verdict's sign: shape first, so that it survives black-and-white print.
func mark(v drills.Verdict) string {
	switch v {
	case drills.Met:
		return "✓"
	case drills.NotMet:
		return "✗"
	case drills.Unclear:
		return "?"
	}
	return "–"
}

// outcomeWord is the outcome as a badge shows it.
func outcomeWord(r drills.Record) string {
	w := strings.ToUpper(string(r.Outcome))
	if r.Dirty {
		w += " · DIRTY"
	}
	return w
}

// drillOf is the drill, empty rather than nil: a run may break before it is known.
func drillOf(r drills.Record) drills.Drill {
	if r.Opened.Drill == nil {
		return drills.Drill{}
	}
	return *r.Opened.Drill
}

// systemOf is the system, empty rather than nil.
func systemOf(r drills.Record) drills.System {
	if r.Opened.System == nil {
		return drills.System{}
	}
	return *r.Opened.System
}

// isReference tells whether the record is of a system that proves nothing about a real one.
func isReference(r drills.Record) bool { return systemOf(r).Environment == "reference" }

const referenceText = "Reference system: no evidence of any production system."

// drillName never is empty.
func drillName(r drills.Record) string { return cmp.Or(drillOf(r).Name, "unknown-drill") }

func title(r drills.Record) string { return cmp.Or(drillOf(r).Title, drillName(r)) }

// utc is a full instant, to the millisecond.
func utc(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05.000 UTC")
}

// clock is an instant within the run's day.
func clock(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("15:04:05.000")
}

// between is an interval of instants.
func between(i drills.Interval) string {
	if i.From.Equal(i.To) {
		return clock(i.To)
	}
	return clock(i.From) + "–" + clock(i.To)
}

// after is an interval relative to T0, in seconds with sign.
func after(r drills.Record, i drills.Interval) string {
	t0 := r.Times.T0
	if t0 == nil {
		return ""
	}
	from, to := i.From.Sub(t0.To), i.To.Sub(t0.From)
	if t0.Interval == i {
		return "0"
	}
	return fmt.Sprintf("%+.3f to %+.3f s", from.Seconds(), to.Seconds())
}

// long is a length of time for people.
func long(d time.Duration) string {
	if d >= 10*time.Second {
		d = d.Round(time.Second)
	}
	return d.Round(time.Millisecond).String()
}

func lasted(r drills.Record) string { return long(r.Ended.Sub(r.Started)) }

func percent(share float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.3f", share*100), "0"), ".") + " %"
}

func short(digest string) string { return digest[:min(len(digest), 12)] }

// lines gives a map as sorted "key: value" pairs.
func lines(m map[string]string) [][2]string {
	var out [][2]string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, [2]string{k, m[k]})
	}
	return out
}

// stampRow is one of T0–T8 for a table.
type stampRow struct {
	Name, Meaning, At, Rel, Source string
	Reached                        bool
}

// stamps lists T0–T8, reached or not.
func stamps(r drills.Record) []stampRow {
	t := r.Times
	all := []struct {
		name, meaning string
		s             *drills.Stamp
	}{
		{"T0", "fault effective", t.T0},
		{"T1", "first bad probe", t.T1},
		{"T2", "detected (first alert firing)", t.T2},
		{"T3", "activated by a person", t.T3},
		{"T4", "first recovery action", t.T4},
		{"T5", "dependencies healthy", t.T5},
		{"T6", "service verified", t.T6},
		{"T7", "data reconciled", t.T7},
		{"T8", "redundant again, every fault removed", t.T8},
	}
	var out []stampRow
	for _, x := range all {
		row := stampRow{Name: x.name, Meaning: x.meaning, At: "not reached or not measured"}
		if x.s != nil {
			row = stampRow{x.name, x.meaning, between(x.s.Interval), after(r, x.s.Interval), x.s.Source, true}
		}
		out = append(out, row)
	}
	return out
}

// failedChecks are the preconditions that did not hold.
func failedChecks(r drills.Record) []drills.Check {
	return slices.DeleteFunc(slices.Clone(r.Checks), func(c drills.Check) bool { return c.OK })
}

// memberName is a member's name by its id, as it was when the run was opened.
func memberName(r drills.Record, id string) string {
	for _, m := range r.Opened.Members {
		if m.ID == id {
			return m.Name
		}
	}
	return short(id)
}

// sentence is the run's one sentence with a full stop. A blocked run gives every reason at once, which is right for a
// table and too much for a headline.
func sentence(r drills.Record) string {
	text := r.Sentence
	if failed := failedChecks(r); r.Outcome == drills.BlockedRun && len(failed) > 2 {
		text = fmt.Sprintf("%d of %d preconditions did not hold, the first: %s: %s", len(failed), len(r.Checks), failed[0].Name, failed[0].Actual)
	}
	if text = strings.TrimRight(printable(text), ". "); text == "" {
		return ""
	}
	return text + "."
}

// origin is where the axis of pictures begins to count, and its name: T0, or the opening where nothing was injected.
func origin(r drills.Record) (time.Time, string) {
	if r.Times.T0 != nil {
		return r.Times.T0.Mid(), "T0"
	}
	return r.Started, "start"
}
