package drills

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// BudgetPeriod is the month of error budgets: 30 days, as the blueprint's Tabla 3 counts (99.99 % is 259.2 s).
const BudgetPeriod = 30 * 24 * time.Hour

// ErrorBudget is the time in a period of BudgetPeriod that an availability such as "99.99%" leaves: (1 - A) * 30 d.
// False when there is no such objective.
func ErrorBudget(availability string) (Duration, bool) {
	p, err := strconv.ParseFloat(strings.TrimSuffix(availability, "%"), 64)
	if err != nil || p <= 0 || p > 100 {
		return 0, false
	}
	return Duration(time.Duration((1 - p/100) * float64(BudgetPeriod)).Round(time.Millisecond)), true
}

// Ledger is what runs of one system spent of each component's budget in one calendar month (UTC).
type Ledger struct {
	Month      string          `json:"month"` // 2026-11
	Runs       int             `json:"runs"`
	Unmeasured int             `json:"unmeasured,omitempty"` // runs whose outage is not known, so that Spent is at least that
	Spent      map[string]Span `json:"spent,omitempty"`
}

// MonthOf is the calendar month of an instant, as Ledger has it.
func MonthOf(t time.Time) string { return t.UTC().Format("2006-01") }

// Add books a run; runs of another month are left out.
func (l *Ledger) Add(r Record) {
	if MonthOf(r.Started) != l.Month || len(r.Faults) == 0 {
		return
	}
	l.Runs++
	if l.Spent == nil {
		l.Spent = map[string]Span{}
	}
	unknown := len(r.Budgets) == 0
	for _, b := range r.Budgets {
		if b.Used == nil {
			unknown = true
			continue
		}
		s := l.Spent[b.Component]
		l.Spent[b.Component] = Span{Lo: s.Lo + b.Used.Lo, Hi: s.Hi + b.Used.Hi}
	}
	if unknown {
		l.Unmeasured++
	}
}

// BudgetUse is what one run used of one component's error budget. Lengths are intervals.
type BudgetUse struct {
	Component    string   `json:"component"`
	Availability string   `json:"availability"`
	Budget       Duration `json:"budget"`           // of 30 days
	Used         *Span    `json:"used,omitempty"`   // outage that users saw in this run; nil: not measured
	Before       *Span    `json:"before,omitempty"` // by earlier runs of the calendar month; nil: no ledger
	Why          string   `json:"why,omitempty"`    // not measured
}

// Spent is all that is known to be used of the month, this run included.
func (b BudgetUse) Spent() Span {
	var s Span
	for _, x := range []*Span{b.Before, b.Used} {
		if x != nil {
			s.Lo, s.Hi = s.Lo+x.Lo, s.Hi+x.Hi
		}
	}
	return s
}

// Left is what the month has left, at least: the budget without the upper bound of what is used. Negative when overdrawn.
func (b BudgetUse) Left() Duration { return b.Budget - b.Spent().Hi }

// BudgetsBefore are the budgets of every component with an availability objective under a profile, as the ledger has them.
func BudgetsBefore(s *System, profile string, l *Ledger) []BudgetUse {
	if s == nil {
		return nil
	}
	var out []BudgetUse
	for _, name := range slices.Sorted(maps.Keys(s.Components)) {
		o := s.ObjectivesOf(name, profile)
		budget, ok := ErrorBudget(o.Availability)
		if !ok {
			continue
		}
		b := BudgetUse{Component: name, Availability: o.Availability, Budget: budget}
		if l != nil {
			spent := l.Spent[name]
			b.Before = &spent
		}
		out = append(out, b)
	}
	return out
}

// budgets are what this run used: for each component the time in which any probe that means "recovered" for it was bad, from
// T0 on.
func (f *folder) budgets() []BudgetUse {
	o := f.rec.Opened
	out := BudgetsBefore(o.System, o.Profile, o.Ledger)
	for i := range out {
		out[i].Used, out[i].Why = f.used(out[i].Component)
	}
	return out
}

func (f *folder) used(component string) (*Span, string) {
	if f.rec.Times.T0 == nil && len(f.rec.Faults) == 0 {
		return &Span{}, ""
	}
	names := f.rec.Opened.System.Components[component].RecoveredMeans
	var measured []ProbeMeasured
	for _, p := range f.rec.Probes {
		if slices.Contains(names, p.Name) && p.Error == "" {
			measured = append(measured, p)
		}
	}
	switch {
	case len(names) == 0:
		return nil, "no probe says what it means that " + component + " serves"
	case len(measured) < len(names):
		return nil, fmt.Sprintf("only %d of %d probes of %s were measured", len(measured), len(names), component)
	case f.rec.Times.T0 == nil:
		return nil, "no effect was proven, so that nobody knows whose the outage is"
	}
	s := outageTime(measured, f.rec.Times.T0.From)
	return &s, ""
}

// outageTime is for how long at least one of the probes was bad: the union of what is certain, to the union of what is possible.
func outageTime(probes []ProbeMeasured, from time.Time) Span {
	var sure, possible []Interval
	for _, p := range probes {
		for _, o := range p.Outages {
			end := openEnd(p, o)
			if o.End != nil {
				end = *o.End
			}
			if end.To.Before(from) {
				continue
			}
			sure = append(sure, Interval{From: o.Start.To, To: end.From})
			possible = append(possible, Interval{From: o.Start.From, To: end.To})
		}
	}
	return Span{Lo: unionOf(sure), Hi: unionOf(possible)}
}

// unionOf is the length of the union of intervals; those that end before they begin have none.
func unionOf(all []Interval) Duration {
	slices.SortFunc(all, func(a, b Interval) int { return a.From.Compare(b.From) })
	var sum time.Duration
	var until time.Time
	for _, i := range all {
		from := i.From
		if !until.IsZero() && until.After(from) {
			from = until
		}
		if i.To.After(from) {
			sum, until = sum+i.To.Sub(from), i.To
		}
	}
	return Duration(sum)
}

// BudgetChecks say, before a run, what is left of the month for the components that a drill may take down. Only where the
// system file says `limits: {error-budget: block}` is a budget that is used up a reason not to start.
func BudgetChecks(s *System, profile string, l *Ledger, components []string) []Check {
	var out []Check
	for _, b := range BudgetsBefore(s, profile, l) {
		if b.Before == nil || !slices.Contains(components, b.Component) {
			continue
		}
		c := Check{Name: "error budget: " + b.Component, OK: true, Actual: b.text(l)}
		c.Expected = fmt.Sprintf("%s of %s left in %s", b.Component, seconds(b.Budget), l.Month)
		if b.Left() <= 0 {
			c.OK = s.Limits.ErrorBudget != BudgetBlocks
			c.Hint = "the month's error budget is used up: wait for the next month, or take limits.error-budget: block out of the system file"
		}
		out = append(out, c)
	}
	return out
}

// BudgetBlocks is the value of limits.error-budget by which a budget that is used up blocks.
const BudgetBlocks = "block"

func (b BudgetUse) text(l *Ledger) string {
	s := fmt.Sprintf("%s used by %d run(s) in %s, at least %s left of %s", b.Before.String(), l.Runs, l.Month, seconds(max(0, b.Left())), seconds(b.Budget))
	if l.Unmeasured > 0 {
		s += fmt.Sprintf("; %d run(s) without a measured outage", l.Unmeasured)
	}
	return s
}

func seconds(d Duration) string { return fmt.Sprintf("%.1f s", d.D().Seconds()) }
