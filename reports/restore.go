package reports

import (
	"bytes"
	"fmt"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/eevans-d/simulacro/drills"
)

// restoreNotes are the lines that say what a restore found and how long its parts took.
func restoreNotes(m drills.RestoreMeasured) []string {
	var out []string
	if b := m.Backup; b != nil {
		sum := "no checksum was looked for"
		if b.Stated != "" {
			sum = "checksum as stated"
			if b.Stated != b.SHA256 {
				sum = "checksum not as stated"
			}
		}
		out = append(out, fmt.Sprintf("backup %s, %d bytes, written %s, %s (sha256 %s), newest of %d", b.File, b.Size, utc(b.Written), sum, short(b.SHA256), b.Copies))
	}
	for _, p := range m.Phases {
		out = append(out, fmt.Sprintf("%s: %s", p.Name, p.To.Sub(p.From).Round(time.Millisecond)))
	}
	if m.Until != nil {
		out = append(out, "chosen instant: "+utc(*m.Until))
	}
	if m.Point != nil {
		out = append(out, fmt.Sprintf("restored state: %s (%s)", between(*m.Point), m.Source))
	}
	if why := m.Why + m.Error; why != "" {
		out = append(out, why)
	}
	return out
}

func restoreTook(m drills.RestoreMeasured) string {
	return m.Took().D().Round(time.Millisecond).String()
}

func textRestores(b *bytes.Buffer, r drills.Record) {
	for _, m := range r.Restores {
		t := columns()
		for _, c := range m.Checks {
			t.AppendRow(table.Row{checkMark(c.OK), c.Name, c.Got, "wanted " + c.Want, c.Took.D().Round(time.Millisecond)})
		}
		put(b, fmt.Sprintf("Restore %s, into an empty instance of %s, ended after %s", m.Step, short(m.Image), restoreTook(m)), t)
		for _, line := range restoreNotes(m) {
			fmt.Fprintf(b, "  %s\n", printable(line))
		}
	}
}

func checkMark(ok bool) string {
	if ok {
		return "✓"
	}
	return "✗"
}

// runbookRow is one item of a runbook, in words.
type runbookRow struct{ Number, Text, Who, Took, Result string }

func runbookRows(m drills.RunbookMeasured) []runbookRow {
	var out []runbookRow
	for i, x := range m.Items {
		row := runbookRow{Number: fmt.Sprintf("%d of %d", i+1, len(m.Items)), Text: x.Text, Who: "command", Took: "–", Result: "done"}
		switch {
		case x.Who != "":
			row.Who, row.Result = x.Who, "confirmed"
		case len(x.Command) == 0:
			row.Who = "a person"
			if x.By != "" {
				row.Who = x.By
			}
		}
		switch {
		case !x.Done.IsZero():
			row.Took = x.Done.Sub(x.Shown).Round(time.Millisecond).String()
		case x.Failed != "":
			row.Result = "failed: " + x.Failed
		case x.Shown.IsZero():
			row.Result = "not reached"
		default:
			row.Result = "not done"
		}
		if x.Said != "" {
			row.Result += ": " + x.Said
		}
		out = append(out, row)
	}
	return out
}

func textRunbooks(b *bytes.Buffer, r drills.Record) {
	for _, m := range r.Runbooks {
		t := columns()
		for _, x := range runbookRows(m) {
			t.AppendRow(table.Row{x.Number, x.Text, x.Who, x.Took, x.Result})
		}
		put(b, "Runbook "+m.Step+": "+printable(m.Title), t)
	}
}
