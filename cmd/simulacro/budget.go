package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/journal"
)

// ledger sums what the runs of this system used of its error budgets in the calendar month of now. A run that cannot be
// read is counted as one whose outage is not known: a ledger must not be better for what is missing.
func (a *app) ledger(sys *drills.System, now time.Time) (*drills.Ledger, error) {
	l := &drills.Ledger{Month: drills.MonthOf(now)}
	infos, err := journal.List(a.runs)
	if err != nil {
		return nil, err
	}
	for _, info := range infos {
		if info.State == journal.Live || drills.MonthOf(info.Started) != l.Month {
			continue
		}
		c, err := journal.Read(info.Dir)
		if err != nil {
			l.Unmeasured++
			continue
		}
		if r := drills.Fold(c.Events); sameSystem(r.Opened.System, sys) {
			l.Add(r)
		}
	}
	return l, nil
}

func sameSystem(a, b *drills.System) bool {
	return a != nil && b != nil && a.Name == b.Name && a.Environment == b.Environment
}

// checkBudget states, for all that the drill may take down, what is left of the month's error budget.
func (s *session) checkBudget(o drills.Opened) check {
	return func(_ context.Context, d *drills.Drill) []drills.Check {
		if o.Ledger == nil {
			return nil
		}
		return drills.BudgetChecks(s.system, o.Profile, o.Ledger, blastRadius(s.system, d.Component))
	}
}

// budgetLines are the error budgets of what a drill may take down, against the longest outage that it allows.
func budgetLines(sys *drills.System, profile string, l *drills.Ledger, components []string, risk drills.Duration) []string {
	var out []string
	for _, b := range drills.BudgetsBefore(sys, profile, l) {
		if !slices.Contains(components, b.Component) {
			continue
		}
		left := max(0, b.Left())
		line := fmt.Sprintf("%s: %.1f s a month (%s), at least %.1f s left in %s", b.Component, b.Budget.D().Seconds(), b.Availability, left.D().Seconds(), l.Month)
		switch {
		case left == 0:
			line += ": used up"
		case risk > 0:
			line += fmt.Sprintf(", at risk up to %.0f %% of that", 100*float64(risk)/float64(left))
		}
		out = append(out, line)
	}
	return out
}
