package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/catalog"
	"github.com/eevans-d/simulacro/drills/scenario"
	"github.com/eevans-d/simulacro/experiments"
)

func (a *app) validateCmd() *cobra.Command {
	var component string
	c := &cobra.Command{
		Use: "validate [DRILL...]", Short: "Check the system file and drills offline; every error at once",
		RunE: func(_ *cobra.Command, args []string) error {
			sys, err := a.loadSystem()
			if err != nil && len(args) == 0 {
				return err
			}
			errs := []error{err}
			if len(args) == 0 {
				args = scenario.Names(sys, nil)
				errs = append(errs, a.validateSuites(sys)...)
			}
			for _, ref := range args {
				_, err := a.loadDrill(ref, component, sys)
				errs = append(errs, err)
			}
			if err := joinProblems(errs); err != nil {
				return err
			}
			if a.asJSON {
				a.json(map[string]any{"valid": true, "drills": args})
				return nil
			}
			a.printf("valid: %s and %d drill(s)\n", a.systemFile, len(args))
			return nil
		},
	}
	c.Flags().StringVar(&component, "component", "", "the component, for generic drills")
	return c
}

// joinProblems puts the problems of several files into one list, so that --json shows them all.
func joinProblems(errs []error) error {
	var all scenario.Errors
	var rest []error
	for _, err := range errs {
		var p scenario.Errors
		if errors.As(err, &p) {
			all = append(all, p...)
		} else {
			rest = append(rest, err)
		}
	}
	if len(all) > 0 {
		rest = append(rest, all)
	}
	return errors.Join(rest...)
}

func (a *app) listCmd() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List the drills and the faults there are", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		sys, err := a.loadSystem()
		var missing *drills.Error
		if err != nil && (!errors.As(err, &missing) || a.systemFile != "system.yaml") {
			return err // a named system file must be right; without one the catalogue can still be listed
		}
		names := scenario.Names(sys, catalog.Files())
		kinds := experiments.All()
		if a.asJSON {
			a.json(map[string]any{"drills": names, "suites": scenario.SuiteNames(sys), "faults": kindInfos(kinds)})
			return nil
		}
		a.printf("Drills\n")
		for _, n := range names {
			a.printf("  %-28s %s\n", n, a.titleOf(n, sys))
		}
		if err := a.printSuites(sys); err != nil {
			return err
		}
		a.printf("\nFaults\n")
		for _, k := range kindInfos(kinds) {
			a.printf("  %-20s %-9s duration %-9s %s\n", k.Kind, k.Class, k.Duration, k.Summary)
		}
		return nil
	}}
}

func (a *app) titleOf(name string, sys *drills.System) string {
	d, err := a.loadDrill(name, "", sys)
	if err != nil && sys != nil {
		for _, c := range slices.Sorted(maps.Keys(sys.Components)) {
			if d, err = a.loadDrill(name, c, sys); err == nil {
				return d.TitleIn(a.language) + " (generic: --component)"
			}
		}
	}
	if err != nil {
		return "(generic: needs a system file and --component)"
	}
	return d.TitleIn(a.language)
}

func kindInfos(kinds drills.Kinds) []drills.Info {
	var out []drills.Info
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		out = append(out, kinds[name].Info)
	}
	return out
}

func (a *app) planCmd() *cobra.Command {
	var component string
	c := &cobra.Command{
		Use: "plan DRILL", Short: "Print every change and its inverse, and what is at risk; touches nothing", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.plan(c.Context(), args[0], component) },
	}
	c.Flags().StringVar(&component, "component", "", "the component, for generic drills")
	return c
}

// planOut is what `plan --json` prints.
type planOut struct {
	Drill   string         `json:"drill"`
	Plan    drills.Plan    `json:"plan"`
	Blast   []string       `json:"blast_radius"`
	AtRisk  string         `json:"outage_at_risk"`
	Budgets []string       `json:"error_budgets,omitempty"`
	Reasons []string       `json:"would_be_blocked_by,omitempty"`
	Checks  []drills.Check `json:"checks"`
}

func (a *app) plan(ctx context.Context, ref, component string) error {
	sys, err := a.loadSystem()
	if err != nil {
		return err
	}
	d, err := a.loadDrill(ref, component, sys)
	if err != nil {
		return err
	}
	s, err := a.openSession(ctx, sys, "plan")
	if err != nil {
		return err
	}
	defer s.close()
	t, err := s.mux.Topology(ctx)
	if err != nil {
		return err
	}
	plan, errs := drills.MakePlan(d, sys, t, "plan")
	ledger, err := a.ledger(sys, time.Now())
	if err != nil {
		return err
	}
	out := planOut{Drill: d.Name, Plan: plan, Blast: blastRadius(sys, d.Component), AtRisk: atRisk(d, sys), Checks: drills.Requirements(d, t)}
	out.Budgets = budgetLines(sys, a.profile, ledger, out.Blast, outageLimit(d, sys))
	out.Checks = append(out.Checks, drills.BudgetChecks(sys, a.profile, ledger, out.Blast)...)
	for _, err := range errs {
		out.Reasons = append(out.Reasons, err.Error())
	}
	for _, c := range out.Checks {
		if !c.OK {
			out.Reasons = append(out.Reasons, fmt.Sprintf("%s: %s, expected %s", c.Name, c.Actual, c.Expected))
		}
	}
	a.printPlan(out)
	if len(out.Reasons) > 0 {
		return exit{drills.ExitUnproven}
	}
	return nil
}

func (a *app) printPlan(p planOut) {
	if a.asJSON {
		a.json(p)
		return
	}
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"at", "step", "member", "do", "with", "for", "class", "undo"})
	for _, s := range p.Plan.Steps {
		for _, c := range s.Changes {
			t.AppendRow(table.Row{s.Step.At, c.ID, c.Member, c.Do.Verb, shorten(string(c.Do.Args)), c.Duration, c.Class, c.Undo.Verb})
		}
	}
	a.printf("%s\n%s\n", p.Drill, t.Render())
	a.printf("blast radius: %s\noutage at risk: %s\n", strings.Join(p.Blast, ", "), p.AtRisk)
	for _, b := range p.Budgets {
		a.printf("error budget: %s\n", b)
	}
	for _, r := range p.Reasons {
		a.printf("would be blocked by: %s\n", r)
	}
}

func shorten(s string) string {
	if len(s) > 60 {
		return s[:57] + "..."
	}
	return s
}

// blastRadius is the component and everything that uses it, by the dependency map of the system file.
func blastRadius(sys *drills.System, component string) []string {
	out := []string{component}
	for i := 0; i < len(out); i++ {
		for _, user := range sys.Components[out[i]].UsedBy {
			if !slices.Contains(out, user) {
				out = append(out, user)
			}
		}
	}
	return out
}

// outageLimit is the longest outage that the drill allows before it stops by itself; zero: not bounded.
func outageLimit(d *drills.Drill, sys *drills.System) drills.Duration {
	limit := sys.Limits.OutagePerRun
	for _, c := range d.StopConditions {
		if c.Outage > 0 && (limit == 0 || c.Outage < limit) {
			limit = c.Outage
		}
	}
	return limit
}

func atRisk(d *drills.Drill, sys *drills.System) string {
	limit := outageLimit(d, sys)
	if limit == 0 {
		return "not bounded: give the drill a stop condition `outage`, or the system `limits.outage-per-run`"
	}
	return "at most " + limit.String() + " before the drill stops by itself"
}
