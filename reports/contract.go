package reports

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/eevans-d/simulacro/drills"
)

// contractRow is one probe during the fault: what was declared of it, what was counted, and how that was judged (nil where
// nothing was promised).
type contractRow struct {
	Probe    string
	Declared string
	Stat     drills.WindowStat
	Judged   *drills.Judged
}

// contractRows are the probes of a contract, promises first, then declared losses, then the others.
func contractRows(r drills.Record) []contractRow {
	c := drillOf(r).Expect.Contract
	if c == nil {
		return nil
	}
	var out []contractRow
	for _, w := range r.Windows {
		if w.Title != drills.ContractTitle || w.Degraded == nil {
			continue
		}
		row := contractRow{Probe: w.Probe, Declared: "nothing", Stat: w}
		for _, x := range []struct {
			id, word string
			there    bool
		}{
			{"", "may be lost", slices.Contains(c.MayLose, w.Probe)},
			{"works:" + w.Probe, "must work", slices.Contains(c.MustWork, w.Probe)},
			{"contract:" + w.Probe, "bounded answers", slices.ContainsFunc(c.Answers, func(a drills.Answers) bool { return a.Probe == w.Probe })},
		} {
			if x.there {
				row.Declared = x.word
				row.Judged = judgedAs(r, x.id)
			}
		}
		out = append(out, row)
	}
	slices.SortStableFunc(out, func(a, b contractRow) int { return order(a.Declared) - order(b.Declared) })
	return out
}

func order(declared string) int {
	return slices.Index([]string{"bounded answers", "must work", "may be lost", "nothing"}, declared)
}

func judgedAs(r drills.Record, id string) *drills.Judged {
	i := slices.IndexFunc(r.Expectations, func(j drills.Judged) bool { return j.ID == id })
	if i < 0 {
		return nil
	}
	return &r.Expectations[i]
}

// otherWindows are those that have no section of their own.
func otherWindows(r drills.Record) []drills.WindowStat {
	return slices.DeleteFunc(slices.Clone(r.Windows), func(w drills.WindowStat) bool { return w.Title == drills.ContractTitle })
}

func contractWindow(r drills.Record) string {
	for _, w := range r.Windows {
		if w.Title == drills.ContractTitle {
			return between(w.Window)
		}
	}
	return "not reached"
}

func quantilesText(s *drills.ContractStat) string {
	if s.P50.At == 0 {
		return "no answers"
	}
	return fmt.Sprintf("%s / %s / %s", ms(s.P50.At), ms(s.P95.At), ms(s.P99.At))
}

// saidText lists the most frequent answers; the record has them all.
func saidText(s *drills.ContractStat) string {
	const most = 4
	var out []string
	for i, x := range s.Said {
		if i == most {
			out = append(out, fmt.Sprintf("and %d other kinds", len(s.Said)-most))
			break
		}
		text := x.Text
		if text == "" {
			text = x.Class
		}
		out = append(out, fmt.Sprintf("%d × %s (slowest %s)", x.Count, text, ms(x.Slowest)))
	}
	return strings.Join(out, ", ")
}

func textContract(b *bytes.Buffer, r drills.Record) {
	rows := contractRows(r)
	if len(rows) == 0 {
		return
	}
	t := columns()
	for _, x := range rows {
		m := " "
		if x.Judged != nil {
			m = mark(x.Judged.Verdict)
		}
		t.AppendRow(table.Row{
			m, x.Probe, x.Declared, fmt.Sprintf("%d good, %d bad", x.Stat.Count.Good, x.Stat.Count.Bad()),
			quantilesText(x.Stat.Degraded), saidText(x.Stat.Degraded),
		})
	}
	put(b, "Degradation while the fault was in force (p50 / p95 / p99)", t)
}
