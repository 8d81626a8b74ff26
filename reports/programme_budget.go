package reports

import (
	"bytes"
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/eevans-d/simulacro/drills"
)

// MonthBudget is what the drills of one calendar month used of the error budgets of one system.
type MonthBudget struct {
	System      string             `json:"system"`
	Environment string             `json:"environment"`
	Ledger      drills.Ledger      `json:"ledger"`
	Budgets     []drills.BudgetUse `json:"budgets"` // Before is the month's sum
}

// monthBudgets books every run, by system, environment and month, oldest first. Availabilities are those of the newest run.
func monthBudgets(runs []Ref) []MonthBudget {
	var out []MonthBudget
	at := map[[3]string]int{}
	for _, x := range runs {
		r, s := x.Record, systemOf(x.Record)
		if len(r.Budgets) == 0 {
			continue
		}
		key := [3]string{s.Name, s.Environment, drills.MonthOf(r.Started)}
		i, ok := at[key]
		if !ok {
			i, at[key] = len(out), len(out)
			out = append(out, MonthBudget{System: s.Name, Environment: s.Environment, Ledger: drills.Ledger{Month: key[2]}})
		}
		out[i].Ledger.Add(r)
		out[i].Budgets = drills.BudgetsBefore(&s, r.Opened.Profile, &out[i].Ledger)
	}
	return out
}

// monthRow is one component in one month, in words.
type monthRow struct{ Month, System, Component, Availability, Budget, Used, Share, Left, Note string }

func monthRows(p Programme) []monthRow {
	var out []monthRow
	for _, m := range p.Budgets {
		for _, b := range m.Budgets {
			row := monthRow{
				Month: m.Ledger.Month, System: m.System + " (" + m.Environment + ")", Component: b.Component, Availability: b.Availability,
				Budget: budgetSeconds(b.Budget), Used: b.Before.String(), Left: "at least " + budgetSeconds(max(0, b.Left())), Note: fmt.Sprintf("%d run(s)", m.Ledger.Runs),
			}
			if b.Budget > 0 {
				row.Share = fmt.Sprintf("%.2f–%.2f %%", 100*float64(b.Before.Lo)/float64(b.Budget), 100*float64(b.Before.Hi)/float64(b.Budget))
			}
			if b.Left() <= 0 {
				row.Left = "used up"
			}
			if n := m.Ledger.Unmeasured; n > 0 {
				row.Note += fmt.Sprintf(", %d without a measured outage", n)
			}
			out = append(out, row)
		}
	}
	return out
}

func textMonths(b *bytes.Buffer, p Programme) {
	rows := monthRows(p)
	if len(rows) == 0 {
		return
	}
	t := columns()
	for _, m := range rows {
		t.AppendRow(table.Row{m.Month, m.System, m.Component, m.Availability, "of " + m.Budget, m.Used, m.Share, m.Left, m.Note})
	}
	put(b, "Error budgets: outage that users saw in drills, by calendar month, of 30 days", t)
}
