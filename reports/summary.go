package reports

import (
	"fmt"
	"io"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/eevans-d/simulacro/drills"
)

// Summary writes a line per run: outcome, recovery time and point against their targets, detection, evidence.
func Summary(w io.Writer, refs []Ref) error {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"outcome", "drill", "RTA", "RTO", "RPA", "RPO", "lost", "detected", "took", "evidence"})
	for _, x := range refs {
		r := x.Record
		t.AppendRow(table.Row{outcomeWord(r), printable(drillName(r)), actual(r.RTA), target(r.RTA), span(r.RPA), target(r.RPA), lost(r), detected(r), lasted(r), x.Dir})
	}
	if _, err := fmt.Fprintln(w, t.Render()); err != nil {
		return err
	}
	for _, x := range refs {
		for _, why := range whyNot(x.Record) {
			if _, err := fmt.Fprintf(w, "%s: %s\n", printable(drillName(x.Record)), printable(why)); err != nil {
				return err
			}
		}
	}
	return nil
}

// whyNot says why a run is not a plain pass: every failed check with what to do for a blocked one, else its sentence.
func whyNot(r drills.Record) []string {
	if r.Outcome == drills.Pass && !r.Dirty {
		return nil
	}
	var out []string
	for _, c := range r.Checks {
		if c.OK || r.Outcome != drills.BlockedRun {
			continue
		}
		line := c.Name + ": " + c.Actual
		if c.Hint != "" {
			line += " (" + c.Hint + ")"
		}
		out = append(out, line)
	}
	if len(out) == 0 && r.Sentence != "" {
		out = append(out, r.Sentence)
	}
	return out
}

func actual(j *drills.Judged) string {
	if j == nil {
		return "–"
	}
	return mark(j.Verdict) + " " + printable(j.Actual)
}

// span is only the measured length: the RPA's words count lost writes, too.
func span(j *drills.Judged) string {
	if j == nil || j.Span == nil {
		return actual(j)
	}
	return mark(j.Verdict) + " " + j.Span.String()
}

func target(j *drills.Judged) string {
	if j == nil || j.Target == "" {
		return "–"
	}
	return j.Target
}

// lost counts the acknowledged canary writes that were lost, of all canaries that write into a store.
func lost(r drills.Record) string {
	stored := slices.DeleteFunc(slices.Clone(r.Canaries), func(c drills.CanaryMeasured) bool { return !c.IsStored() })
	if len(stored) == 0 {
		return "–"
	}
	n, of := 0, 0
	for _, c := range stored {
		if c.Error != "" {
			return "not measured"
		}
		n, of = n+c.Lost, of+c.Acked
	}
	return fmt.Sprintf("%d of %d", n, of)
}

func detected(r drills.Record) string {
	if r.Detection == nil {
		return "–"
	}
	return span(r.Detection)
}
