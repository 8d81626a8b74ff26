package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/eevans-d/simulacro/compose"
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/journal"
)

// runFlags are the flags of `run`.
type runFlags struct {
	purpose   string
	component string
	suites    []string
	quiet     bool
}

func (a *app) runCmd() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use: "run DRILL...", Short: "Run drills, one after the other, and write their evidence",
		Long: "Runs each drill (a file, the name of one beside the system file, or one of the catalogue), and those of each suite\n" +
			"(a file, or the name of one in the folder suites beside the system file).\n" +
			"Exit codes: 0 pass, 1 objective or expectation missed, 2 bad input, 3 not proven (inconclusive, invalid, blocked),\n" +
			"4 aborted, 5 something was left behind, 10 our own failure.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args)+len(f.suites) > 0 {
				return nil
			}
			return drills.Errorf(drills.Usage, "see `simulacro list` for their names", "name a drill, or a suite with --suite")
		},
		RunE: func(c *cobra.Command, args []string) error { return a.runDrills(c.Context(), args, f) },
	}
	c.Flags().StringVar(&f.purpose, "purpose", string(drills.AdHoc), "why: ad-hoc, ci, retest or scheduled; fixed before the fault")
	c.Flags().StringVar(&f.component, "component", "", "the component, for generic drills")
	c.Flags().StringSliceVar(&f.suites, "suite", nil, "run the drills of a suite, after those that are named")
	c.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "no progress, only the results")
	return c
}

// job is one drill to run.
type job struct {
	drill   *drills.Drill
	purpose drills.Purpose
	slot    string
	quiet   bool
}

// result is one finished run.
type result struct {
	record drills.Record
	dir    string
	err    error
}

func (r result) code() int {
	if r.err != nil {
		return exitCode(r.err)
	}
	return drills.Exit(r.record.Outcome, r.record.Dirty)
}

// runDrills loads everything first: bad input in the last file must not be found after the first fault.
func (a *app) runDrills(ctx context.Context, refs []string, f runFlags) error {
	purpose, err := parsePurpose(f.purpose)
	if err != nil {
		return err
	}
	sys, err := a.loadSystem()
	if err != nil {
		return err
	}
	todo, err := a.collect(refs, f, purpose, sys)
	if err != nil {
		return err
	}
	if err := a.restoreFirst(ctx, sys); err != nil {
		return err
	}
	results, left := a.runAll(ctx, sys, todo)
	a.printResults(results, left)
	if code := worstOf(ctx, results, left); code != drills.ExitPass {
		return exit{code}
	}
	return nil
}

func parsePurpose(s string) (drills.Purpose, error) {
	switch p := drills.Purpose(s); p {
	case drills.Scheduled, drills.AdHoc, drills.CI, drills.Retest:
		return p, nil
	}
	return "", drills.Errorf(drills.Usage, "use ad-hoc, ci, retest or scheduled", "%q is not a purpose", s)
}

// runOne is one run from its directory to its reports. The result's error is our own failure.
func (a *app) runOne(ctx context.Context, sys *drills.System, j job) result {
	dir, err := journal.Create(a.runs, j.drill.Name, time.Now())
	if err != nil {
		return result{record: drills.Record{Opened: drills.Opened{Drill: j.drill, System: sys}}, err: err}
	}
	p := newProgress(a, j, dir)
	rec, runErr := a.execute(ctx, sys, j, dir, p)
	p.stop()
	closeErr := a.keep(dir, &rec)
	lockErr := dir.Close()
	return result{record: rec, dir: dir.Dir(), err: errors.Join(runErr, closeErr, lockErr)}
}

// execute connects and runs. An engine that cannot be reached is a blocked run, on record like every other.
func (a *app) execute(ctx context.Context, sys *drills.System, j job, dir *journal.Run, p *progress) (drills.Record, error) {
	o := a.opened(sys, j, dir)
	var err error
	if o.Ledger, err = a.ledger(sys, time.Now()); err != nil {
		return drills.Record{Opened: o}, err
	}
	if err := keepPlan(dir, j.drill, sys); err != nil {
		return drills.Record{Opened: o}, err
	}
	watch, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	e := &drills.Engine{Journal: dir, OnEvent: p.event, Trouble: dir.Trouble, Abort: journal.WatchAbort(watch, dir.Dir())}
	s, err := a.openSession(ctx, sys, dir.ID())
	if err != nil {
		e.Runtime = unreachable{err}
		return e.Run(ctx, o)
	}
	defer s.close()
	if err := s.fill(ctx, e, &o, j, dir); err != nil {
		e.Runtime = unreachable{err}
		return e.Run(ctx, o)
	}
	p.hint(compose.OneLiner(dir.ID(), sys.Runtime.Docker.Project))
	return e.Run(ctx, o)
}

// fill gives the engine everything that needs a session.
func (s *session) fill(ctx context.Context, e *drills.Engine, o *drills.Opened, j job, dir *journal.Run) error {
	m, err := s.monitor(j.drill)
	if err != nil {
		return err
	}
	o.Engine = s.engine.Facts(ctx)
	if o.Members, err = s.engine.Members(ctx); err != nil {
		return err
	}
	o.RuleSet, _ = m.RuleSet(ctx) // what is not known is not claimed; the checks say why
	o.Readiness = s.readiness(ctx, m)
	s.runbooks.ConfirmBy(func(step string, item int) (string, time.Time, bool) {
		o, ok := journal.Confirmed(dir.Dir(), step, item)
		return o.Who, o.At, ok
	})
	e.Runtime = s.mux
	e.Limits.Warm = warmUp
	rates := s.rates(j.drill, dir.ID())
	e.Preflights = append(s.preflights(), s.checkBudget(*o), rates, m)
	e.Observers = s.observers(j.drill, m, rates, dir, dir.ID())
	e.Lock = s.lock
	e.Sweep = s.sweepRun
	return nil
}

// lock takes the guard.
func (s *session) lock(ctx context.Context) (drills.Guard, func(context.Context) error, error) {
	g, err := s.engine.Guard(ctx, s.labels)
	if err != nil {
		return nil, nil, err
	}
	return g, g.Release, nil
}

func (a *app) opened(sys *drills.System, j job, dir *journal.Run) drills.Opened {
	return drills.Opened{
		Schema: drills.Schema, Run: dir.ID(), Purpose: j.purpose, Slot: j.slot, Profile: a.profile, Operator: operator(), Tool: version,
		Host: hostFacts(), Drill: j.drill, System: sys, Objectives: sys.ObjectivesOf(j.drill.Component, a.profile),
		Calibration: a.calibration(),
	}
}

func operator() string {
	u, err := user.Current()
	if err != nil {
		return "unknown"
	}
	return u.Username
}

func keepPlan(dir *journal.Run, d *drills.Drill, sys *drills.System) error {
	for rel, file := range map[string]string{"plan/scenario.yaml": d.File, "plan/system.yaml": sys.File} {
		b, err := readSource(file)
		if err != nil {
			return drills.Wrap(drills.Internal, err, "keep a copy of "+file, "")
		}
		if err := dir.WriteFile(rel, b); err != nil {
			return err
		}
	}
	return nil
}

// unreachable is the runtime of a run that never got one: its topology is the reason.
type unreachable struct{ err error }

func (u unreachable) Topology(context.Context) (drills.Topology, error) {
	return drills.Topology{}, u.err
}

func (u unreachable) Apply(context.Context, drills.Op) (drills.Effect, error) {
	return drills.Effect{}, u.err
}
func (u unreachable) Present(context.Context, drills.Op) (bool, error) { return false, u.err }

// hostFacts describe the machine that measures.
func hostFacts() map[string]string {
	out := map[string]string{"pid": fmt.Sprint(os.Getpid())}
	if h, err := os.Hostname(); err == nil {
		out["hostname"] = h
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		out["kernel"] = strings.TrimSpace(string(b))
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		out["load"] = strings.TrimSpace(string(b))
	}
	return out
}
