package reports

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/eevans-d/simulacro/drills"
)

// notReady is what the doctor said before the run that is not as it should be, the worst first.
func notReady(r drills.Record) []drills.Diagnosis {
	out := slices.DeleteFunc(slices.Clone(r.Opened.Readiness), func(d drills.Diagnosis) bool { return d.Level == drills.LevelOK })
	slices.SortStableFunc(out, func(a, b drills.Diagnosis) int {
		switch {
		case a.Level.Worse(b.Level):
			return -1
		case b.Level.Worse(a.Level):
			return 1
		}
		return 0
	})
	return out
}

// readinessSum says how much was looked at and what came of it.
func readinessSum(r drills.Record) string {
	n := map[drills.Level]int{}
	for _, d := range r.Opened.Readiness {
		n[d.Level]++
	}
	return fmt.Sprintf("%d lines looked at before the run: %d ok, %d problems, %d warnings, %d could not be checked", len(r.Opened.Readiness),
		n[drills.LevelOK], n[drills.LevelProblem], n[drills.LevelWarning], n[drills.LevelNotChecked])
}

// checklist is the data quality by topic, or nothing where nobody looked.
func checklist(r drills.Record) []drills.ChecklistLine {
	if len(r.Opened.Readiness) == 0 {
		return nil
	}
	return drills.Checklist(r.Opened.Readiness)
}

func textReadiness(b *bytes.Buffer, r drills.Record) {
	if len(r.Opened.Readiness) == 0 {
		return
	}
	t := columns()
	for _, d := range notReady(r) {
		t.AppendRow(table.Row{d.Level, d.What, d.Found})
	}
	put(b, "Readiness, "+readinessSum(r), t)
	t = columns()
	for _, l := range checklist(r) {
		t.AppendRow(table.Row{l.Level, l.Topic, strings.Join(l.Found, "; ")})
	}
	put(b, "Data quality", t)
}
