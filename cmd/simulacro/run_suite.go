package main

import (
	"context"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/scenario"
)

// batch is what one invocation runs: jobs in their order, and the time after which none begins (zero: none such).
type batch struct {
	jobs  []job
	limit time.Duration
}

// collect loads every drill that is named and every drill of the suites, and reports every problem of all of them at once.
// Of several suites' limits the sum counts.
func (a *app) collect(refs []string, f runFlags, purpose drills.Purpose, sys *drills.System) (batch, error) {
	var b batch
	var errs []error
	add := func(ref, component string) {
		d, err := a.loadDrill(ref, component, sys)
		errs = append(errs, err)
		b.jobs = append(b.jobs, job{drill: d, purpose: purpose, quiet: f.quiet || a.asJSON})
	}
	for _, ref := range refs {
		add(ref, f.component)
	}
	for _, ref := range f.suites {
		s, err := scenario.LoadSuite(ref, sys)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		b.limit += s.Limit.D()
		for _, x := range s.Drills {
			add(x.Drill, x.Component)
		}
	}
	return b, joinProblems(errs)
}

// runAll runs the jobs one after the other. Those that did not begin, because of an interrupt, because something was left
// behind or because the time was over, are returned as well: nobody may take them for passed.
func (a *app) runAll(ctx context.Context, sys *drills.System, b batch) (results []result, left []job) {
	began := time.Now()
	for i, j := range b.jobs {
		if i > 0 && (!drills.Wait(ctx, sys.Limits.CoolDown.D()) || b.over(began) || results[i-1].record.Dirty) {
			return results, b.jobs[i:]
		}
		results = append(results, a.runOne(ctx, sys, j))
	}
	return results, nil
}

func (b batch) over(began time.Time) bool { return b.limit > 0 && time.Since(began) >= b.limit }

// worstOf is the exit code of them all. What did not begin is aborted after an interrupt, else not proven.
func worstOf(ctx context.Context, results []result, left []job) int {
	var codes []int
	for _, r := range results {
		codes = append(codes, r.code())
	}
	switch {
	case len(left) > 0 && ctx.Err() != nil:
		codes = append(codes, drills.ExitAborted)
	case len(left) > 0:
		codes = append(codes, drills.ExitUnproven)
	}
	return drills.Worst(codes...)
}

func (a *app) printLeft(left []job) {
	if len(left) == 0 {
		return
	}
	a.printf("\nnot run, and so not proven:\n")
	for _, j := range left {
		a.printf("  %-28s %s\n", j.drill.Name, j.drill.TitleIn(a.language))
	}
}

// printSuites lists the suites beside the system file, as far as they can be read.
func (a *app) printSuites(sys *drills.System) error {
	names := scenario.SuiteNames(sys)
	if len(names) == 0 {
		return nil
	}
	var errs []error
	a.printf("\nSuites (run --suite NAME)\n")
	for _, name := range names {
		s, err := scenario.LoadSuite(name, sys)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		a.printf("  %-28s %d drills: %s\n", name, len(s.Drills), s.TitleIn(a.language))
	}
	return joinProblems(errs)
}

// validateSuites reads every suite beside the system file and every drill that they name.
func (a *app) validateSuites(sys *drills.System) []error {
	var errs []error
	for _, name := range scenario.SuiteNames(sys) {
		s, err := scenario.LoadSuite(name, sys)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, x := range s.Drills {
			_, err := a.loadDrill(x.Drill, x.Component, sys)
			errs = append(errs, err)
		}
	}
	return errs
}
