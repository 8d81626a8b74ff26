package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/calendar"
	"github.com/eevans-d/simulacro/drills/journal"
	"github.com/eevans-d/simulacro/drills/scenario"
	"github.com/eevans-d/simulacro/reports"
)

// claimsDir, in the runs folder, holds one file per slot that somebody has taken up.
const claimsDir = "slots"

func (a *app) serveCmd() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "serve", Short: "Run drills by the calendar until interrupted", Args: cobra.NoArgs,
		Long: "Runs each due slot once, one run at a time on the system, with purpose scheduled. Slots that were missed are recorded\n" +
			"by their entry's policy. A run that a crash of this service cut off is restored and recorded at the next start.",
		RunE: func(c *cobra.Command, _ []string) error { return a.serve(c, file) },
	}
	c.Flags().StringVar(&file, "calendar", "calendar.yaml", "the calendar file")
	return c
}

// loadCalendar reads the calendar and the system that it names; --system and --runs, when given, win.
func (a *app) loadCalendar(c *cobra.Command, file string) (*drills.Calendar, *drills.System, error) {
	cal, err := scenario.LoadCalendar(file)
	if err != nil {
		return nil, nil, err
	}
	beside := func(path string) string {
		if filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(filepath.Dir(file), path)
	}
	if f := c.Flag("system"); !f.Changed && cal.System != "" {
		a.systemFile = beside(cal.System)
	}
	if f := c.Flag("runs"); !f.Changed && cal.Runs != "" {
		a.runs = beside(cal.Runs)
	}
	sys, err := a.loadSystem()
	if err != nil {
		return nil, nil, err
	}
	return cal, sys, eachOfSuites(cal, sys)
}

// eachOfSuites puts the drills of a suite in the place of the entry that names it.
func eachOfSuites(cal *drills.Calendar, sys *drills.System) error {
	var out []drills.Entry
	var errs []error
	for _, e := range cal.Entries {
		if e.Suite == "" {
			out = append(out, e)
			continue
		}
		s, err := scenario.LoadSuite(e.Suite, sys)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, e.Each(s)...)
	}
	cal.Entries = out
	return joinProblems(errs)
}

func (a *app) serve(c *cobra.Command, file string) error {
	ctx := c.Context()
	cal, sys, err := a.loadCalendar(c, file)
	if err != nil {
		return err
	}
	if err := a.checkEntries(cal, sys); err != nil {
		return err
	}
	if err := a.restoreFirst(ctx, sys); err != nil {
		return err
	}
	log := a.logger().Named("serve")
	s, err := calendar.NewServer(*cal, calendar.Dir(filepath.Join(a.runs, claimsDir)), a.hooks(sys), log)
	if err != nil {
		return err
	}
	a.printf("serving %s on system %s; interrupt to end\n", file, sys.Name)
	if next, err := calendar.Next(*cal, time.Now(), 1); err == nil && len(next) > 0 {
		a.printf("next: %s at %s\n", next[0].Entry, next[0].Due.Format(time.RFC3339))
	}
	return s.Serve(ctx)
}

// checkEntries loads every drill of the calendar at the start: a typo must not wait a month to be found.
func (a *app) checkEntries(cal *drills.Calendar, sys *drills.System) error {
	var errs []error
	for _, e := range cal.Entries {
		_, err := a.entryApp(e).loadDrill(e.Drill, e.Component, sys)
		errs = append(errs, err)
		if _, ok := sys.Profiles[e.Profile]; e.Profile != "" && !ok {
			errs = append(errs, drills.Errorf(drills.Input, "see `profiles:` in the system file", "entry %s: there is no profile %q", e.Name, e.Profile))
		}
	}
	return joinProblems(errs)
}

// entryApp is this invocation under an entry's profile.
func (a *app) entryApp(e drills.Entry) *app {
	b := *a
	if e.Profile != "" {
		b.profile = e.Profile
	}
	return &b
}

func (a *app) hooks(sys *drills.System) calendar.Hooks {
	return calendar.Hooks{
		Run: func(ctx context.Context, s drills.Slot, e drills.Entry) error { return a.runSlot(ctx, sys, s, e) },
		Passed: func(_ context.Context, s drills.Slot, e drills.Entry, d calendar.Decision) error {
			a.printf("%s %s: %s\n", s.ID(), d.Action, d.Reason)
			return keepSlot(a.runs, a.slotResult(sys, s, e, "", d))
		},
		Busy: a.busyWith,
		Held: func() (string, bool) {
			o, halted := (journal.Control{Root: a.runs}).Halted()
			return "halted: " + o.String(), halted
		},
	}
}

// runSlot runs one slot's drill, as scheduled.
func (a *app) runSlot(ctx context.Context, sys *drills.System, s drills.Slot, e drills.Entry) error {
	b := a.entryApp(e)
	d, err := b.loadDrill(e.Drill, e.Component, sys)
	if err != nil {
		return errors.Join(err, keepSlot(a.runs, a.slotResult(sys, s, e, "", calendar.Decision{Action: calendar.Miss, Reason: err.Error()})))
	}
	r := b.runOne(ctx, sys, job{drill: d, purpose: drills.Scheduled, slot: s.ID()})
	b.printResults([]result{r}, nil)
	return errors.Join(r.err, keepSlot(a.runs, a.slotResult(sys, s, e, r.record.Opened.Run, calendar.Decision{Action: calendar.Run})))
}

func (a *app) slotResult(sys *drills.System, s drills.Slot, e drills.Entry, run string, d calendar.Decision) reports.SlotResult {
	out := reports.SlotResult{Slot: s, Run: run, Blocked: d.Action == calendar.Block, Reason: d.Reason}
	out.Stratum = reports.Stratum{System: sys.Name, SystemDigest: sys.Digest, Environment: sys.Environment, Drill: e.Drill}
	if drill, err := a.entryApp(e).loadDrill(e.Drill, e.Component, sys); err == nil {
		out.Stratum.Drill, out.Stratum.DrillDigest, out.Stratum.Component = drill.Name, drill.Digest, drill.Component
	}
	return out
}

// busyWith names the live run of this folder, if there is one. Other orchestrators on the same system are met by the
// guard's lock, in ready.
func (a *app) busyWith() string {
	infos, err := journal.List(a.runs)
	if err != nil {
		return "the runs cannot be listed: " + err.Error()
	}
	for _, i := range infos {
		if i.State == journal.Live {
			return fmt.Sprintf("run %s is on", i.ID)
		}
	}
	return ""
}

func (a *app) calendarCmd() *cobra.Command {
	var file string
	var n int
	c := &cobra.Command{Use: "calendar", Short: "Show what is next, and what was missed", Args: cobra.NoArgs}
	c.Flags().StringVar(&file, "calendar", "calendar.yaml", "the calendar file")
	c.Flags().IntVarP(&n, "next", "n", 10, "how many slots to show")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cal, sys, err := a.loadCalendar(c, file)
		if err != nil {
			return err
		}
		if err := a.checkEntries(cal, sys); err != nil {
			return err
		}
		return a.showCalendar(cal, n)
	}
	return c
}

func (a *app) showCalendar(cal *drills.Calendar, n int) error {
	next, err := calendar.Next(*cal, time.Now(), n)
	if err != nil {
		return err
	}
	past, err := readSlots(a.runs)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if a.asJSON {
		a.json(map[string]any{"next": next, "past": past})
		return nil
	}
	a.printf("next\n")
	for _, s := range next {
		e, _ := calendar.EntryOf(*cal, s)
		a.printf("  %s  %-22s %s %s\n", s.Due.Format("2006-01-02 15:04 MST"), s.Entry, e.Drill, e.Component)
	}
	a.printf("not run\n")
	for _, s := range past {
		if s.Run == "" {
			a.printf("  %s  %-22s %s\n", s.Slot.Due.Format("2006-01-02 15:04 MST"), s.Slot.Entry, s.Reason)
		}
	}
	return nil
}
