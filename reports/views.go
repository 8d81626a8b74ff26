package reports

import (
	"bytes"
	"fmt"
	"html/template"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/eevans-d/simulacro/drills"
)

// viewFuncs are the words of templates/views.html.
func viewFuncs(r drills.Record) template.FuncMap {
	return template.FuncMap{
		"axisPicture": func() template.HTML { return axisPicture(r) },
		"views":       func() []viewRow { return viewRows(r) }, "miles": func() []mileRow { return mileRows(r) },
		"slos": func() []sloRow { return sloRows(r) }, "budgets": func() []budgetRow { return budgetRows(r) },
		"share": shareText, "noneCompared": noneCompared, "next": func(i int) int { return i + 1 },
	}
}

// viewRow is one party's view of the outage in words.
type viewRow struct{ Who, Began, Ended, Lasted, Resolution, Source, Why string }

func viewRows(r drills.Record) []viewRow {
	var out []viewRow
	for _, v := range r.Views {
		row := viewRow{Who: v.Who, Began: string(v.Known), Resolution: v.Resolution, Source: v.Source, Why: v.Why}
		if v.Known == drills.DidNotHappen {
			row.Began = "saw none"
		}
		if v.Known == drills.Happened {
			row.Began, row.Ended, row.Lasted = relative(r, v.Began), relative(r, v.Ended), "not known"
			if v.Lasted != nil {
				row.Lasted = v.Lasted.String()
			}
		}
		out = append(out, row)
	}
	return out
}

func relative(r drills.Record, i *drills.Interval) string {
	if i == nil {
		return "not seen"
	}
	return after(r, *i)
}

// mileRow is one milestone for a table.
type mileRow struct{ Stamp, Name, At, Share, Source string }

func mileRows(r drills.Record) []mileRow {
	if r.Axis == nil {
		return nil
	}
	var out []mileRow
	for _, m := range r.Axis.Milestones {
		row := mileRow{Stamp: m.Stamp, Name: m.Name, At: string(m.Known), Source: m.Why}
		if m.At != nil {
			row.At, row.Share, row.Source = after(r, *m.At), shareText(m.Share), m.Source
		}
		out = append(out, row)
	}
	return out
}

// shareText is an interval of a share in whole percent; empty where there is none.
func shareText(s *drills.Shares) string {
	switch {
	case s == nil:
		return ""
	case fmt.Sprintf("%.0f", s.Lo*100) == fmt.Sprintf("%.0f", s.Hi*100):
		return fmt.Sprintf("%.0f %%", s.Lo*100)
	}
	return fmt.Sprintf("%.0f–%.0f %%", s.Lo*100, s.Hi*100)
}

// sloCell is one objective in one phase; sloRow one objective in all.
type sloCell struct {
	Verdict     drills.Verdict
	Actual, Why string
}

type sloRow struct {
	Component, Title, Target, Source string
	Cells                            []sloCell
}

// Word says met, missed or no data: no data is never a pass.
func (c sloCell) Word() string {
	return map[drills.Verdict]string{drills.Met: "met", drills.NotMet: "missed"}[c.Verdict]
}

func sloRows(r drills.Record) []sloRow {
	var out []sloRow
	id := ""
	for _, s := range r.SLOs {
		if key := s.Component + "/" + s.ID; key != id {
			id = key
			out = append(out, sloRow{Component: s.Component, Title: s.Title, Target: s.Target, Source: s.Source})
		}
		last := &out[len(out)-1]
		last.Cells = append(last.Cells, sloCell{Verdict: s.Verdict, Actual: s.Actual, Why: s.Why})
	}
	return out
}

// budgetRow is one component's error budget in words.
type budgetRow struct{ Component, Availability, Budget, Used, Share, Before, Left string }

func budgetRows(r drills.Record) []budgetRow {
	var out []budgetRow
	for _, b := range r.Budgets {
		row := budgetRow{Component: b.Component, Availability: b.Availability, Budget: budgetSeconds(b.Budget), Used: "not measured: " + b.Why, Before: "no ledger", Left: "not known"}
		if b.Used != nil {
			row.Used = b.Used.String()
			if b.Budget > 0 {
				row.Share = fmt.Sprintf("%.2f–%.2f %%", 100*float64(b.Used.Lo)/float64(b.Budget), 100*float64(b.Used.Hi)/float64(b.Budget))
			}
		}
		if b.Before != nil {
			row.Before = b.Before.String()
			if l := r.Opened.Ledger; l != nil {
				row.Before += fmt.Sprintf(" by %d run(s)", l.Runs)
			}
		}
		if b.Before != nil && b.Used != nil {
			row.Left = "at least " + budgetSeconds(max(0, b.Left()))
			if b.Left() <= 0 {
				row.Left = "used up"
			}
		}
		out = append(out, row)
	}
	return out
}

func budgetSeconds(d drills.Duration) string { return fmt.Sprintf("%.1f s", d.D().Seconds()) }

func textViews(b *bytes.Buffer, r drills.Record) {
	if len(r.Views) > 0 {
		t := columns()
		t.AppendRow(table.Row{"who", "began", "ended", "lasted", "resolution", ""})
		for _, v := range viewRows(r) {
			t.AppendRow(table.Row{v.Who, v.Began, v.Ended, v.Lasted, v.Resolution, v.Why})
		}
		put(b, "Three views of the outage (from T0)", t)
	}
	textAxis(b, r)
	textCompared(b, r)
}

func textAxis(b *bytes.Buffer, r drills.Record) {
	if r.Axis == nil {
		return
	}
	t := columns()
	for _, m := range mileRows(r) {
		t.AppendRow(table.Row{m.Stamp, m.Name, m.At, m.Share, m.Source})
	}
	put(b, "The outage on one axis (from T0; share of the recovery time that had passed)", t)
	t = columns()
	for i, l := range r.Axis.Legs {
		t.AppendRow(table.Row{i + 1, l.From + " → " + l.To, l.Lasted.String(), shareText(l.Share)})
	}
	put(b, "Its parts (share of the recovery time)", t)
}

func textCompared(b *bytes.Buffer, r drills.Record) {
	t := columns()
	for _, v := range r.Prometheus {
		if len(v.Compared) == 0 {
			t.AppendRow(table.Row{v.Component, noneCompared(v), "", v.How})
		}
		for _, c := range v.Compared {
			t.AppendRow(table.Row{v.Component, string(c.Agreement), c.Text, v.How})
		}
	}
	if t.Length() > 0 {
		put(b, "Prometheus beside the users", t)
	}
}

// noneCompared says why a view has nothing to compare.
func noneCompared(v drills.PromView) string {
	switch {
	case v.Error != "":
		return "not measured: " + v.Error
	case v.Silent == len(v.States):
		return "it never had a value"
	}
	return "neither saw an outage"
}

func textSLOs(b *bytes.Buffer, r drills.Record) {
	t := columns()
	t.AppendRow(table.Row{"component", "objective", "target", "steady", "fault", "recovery"})
	for _, s := range sloRows(r) {
		row := table.Row{s.Component, s.Title, s.Target}
		for _, c := range s.Cells {
			row = append(row, sloText(c))
		}
		t.AppendRow(row)
	}
	if t.Length() > 1 {
		put(b, "Service level objectives by phase", t)
	}
}

func sloText(c sloCell) string {
	if c.Word() == "" {
		return "– no data: " + c.Why
	}
	if c.Verdict == drills.NotMet {
		return "✗ missed: " + c.Why
	}
	return "✓ met: " + c.Actual
}

func textBudgets(b *bytes.Buffer, r drills.Record) {
	if len(r.Budgets) == 0 {
		return
	}
	t := columns()
	t.AppendRow(table.Row{"component", "availability", "a month", "this run", "share", "earlier this month", "left"})
	for _, x := range budgetRows(r) {
		t.AppendRow(table.Row{x.Component, x.Availability, x.Budget, x.Used, x.Share, x.Before, x.Left})
	}
	put(b, "Error budget (outage that users saw, of 30 days)", t)
}
