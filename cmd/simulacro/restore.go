package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/compose"
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/journal"
)

// restoreLimit bounds one run's restoring in `restore` and at the start of `serve`.
const restoreLimit = 2 * time.Minute

func (a *app) restoreCmd() *cobra.Command {
	return &cobra.Command{
		Use: "restore", Short: "Undo what a crashed run left behind, finish its record, and sweep what is ours",
		Long: "Finishes every run of this system that has no end and no live process: collects what the guard did, undoes what is\n" +
			"outstanding in the journal, records the run as aborted (cause crash), and removes containers of ours. A live run is not touched.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			sys, err := a.loadSystem()
			if err != nil {
				return err
			}
			done, err := a.restoreAll(c.Context(), sys)
			a.printRestored(done, err)
			if err != nil {
				return err
			}
			return nil
		},
	}
}

// restored is what one restore did.
type restored struct {
	Runs  []string `json:"runs"`
	Guard []string `json:"guard,omitempty"`
	Swept []string `json:"swept,omitempty"`
}

func (a *app) printRestored(r restored, err error) {
	if a.asJSON {
		a.json(r)
		return
	}
	if len(r.Runs)+len(r.Guard)+len(r.Swept) == 0 && err == nil {
		a.printf("nothing to restore\n")
	}
	for _, line := range r.Guard {
		a.printf("guard: %s\n", line)
	}
	for _, id := range r.Runs {
		a.printf("finished run %s (aborted, cause crash)\n", id)
	}
	for _, what := range r.Swept {
		a.printf("removed %s\n", what)
	}
}

// restoreAll collects the guard's report, finishes crashed runs newest first, and sweeps.
func (a *app) restoreAll(ctx context.Context, sys *drills.System) (restored, error) {
	var out restored
	s, err := a.openSession(ctx, sys, "restore")
	if err != nil {
		return out, err
	}
	defer s.close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoreLimit)
	defer cancel()
	runs, err := crashedRuns(a.runs, sys.Runtime.Docker.Project)
	if err != nil {
		return out, err
	}
	if out.Guard, err = s.collect(ctx, len(runs) > 0); err != nil {
		return out, err
	}
	var errs []error
	for _, info := range slices.Backward(runs) {
		if err := a.finishCrashed(ctx, sys, info, out.Guard); err != nil {
			errs = append(errs, fmt.Errorf("run %s: %w", info.ID, err))
			continue
		}
		out.Runs = append(out.Runs, info.ID)
	}
	swept, err := s.engine.Sweep(ctx)
	for _, l := range swept {
		out.Swept = append(out.Swept, l.Name)
	}
	return out, errors.Join(append(errs, err)...)
}

// collect takes the last guard's report. Where a run of ours has crashed, a guard that still runs may just be at work: it is
// given time to end.
func (s *session) collect(ctx context.Context, crashed bool) ([]string, error) {
	const guardEnds = 70 * time.Second
	begin := time.Now()
	for {
		said, err := s.engine.Collect(ctx)
		if drills.CodeOf(err) != drills.Locked || !crashed || time.Since(begin) > guardEnds {
			return guardLines(said), err
		}
		if !drills.Wait(ctx, 250*time.Millisecond) {
			return nil, err
		}
	}
}

// finishCrashed restores one run under its own labels and keeps its record.
func (a *app) finishCrashed(ctx context.Context, sys *drills.System, info journal.Info, said []string) error {
	dir, err := journal.Open(info.Dir)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // the lock ends with the process at the latest
	s, err := a.openSession(ctx, sys, info.ID)
	if err != nil {
		return err
	}
	defer s.close()
	rec, err := drills.Recover(ctx, s.mux, dir, said)
	return errors.Join(err, a.keep(dir, &rec))
}

// crashedRuns lists the runs on this Compose project that nobody finished.
func crashedRuns(root, project string) ([]journal.Info, error) {
	runs, err := journal.List(root)
	if err != nil {
		return nil, err
	}
	var out []journal.Info
	for _, r := range runs {
		if r.State != journal.Crashed {
			continue
		}
		c, err := journal.Read(r.Dir)
		if err != nil {
			return nil, err
		}
		if len(c.Events) == 0 || c.Events[0].Opened == nil || c.Events[0].Opened.System.Runtime.Docker.Project == project {
			out = append(out, r)
		}
	}
	return out, nil
}

// sweepRun removes what still carries the run's label; what could not be removed is residue.
func (s *session) sweepRun(ctx context.Context) ([]string, error) {
	gone, err := s.engine.RemoveRun(ctx, s.labels.Run)
	if len(gone) > 0 {
		s.log.Warn("had to remove processes of ours that were still there", zap.Strings("names", gone))
	}
	if err != nil {
		return strings.Split(err.Error(), "\n"), nil
	}
	return nil, nil
}

// rerender makes a run's reports again from its journal.
func rerender(info journal.Info) (drills.Record, error) {
	c, err := journal.Read(info.Dir)
	if err != nil {
		return drills.Record{}, err
	}
	rec := drills.Fold(c.Events)
	rec.Head = c.Head
	var errs []error
	if c.Broken != nil {
		errs = append(errs, drills.Wrap(drills.Internal, c.Broken, "run "+info.ID+": the journal's chain is broken", "the record cannot be trusted"))
	}
	for _, r := range renders() {
		var b bytes.Buffer
		if err := r.to(&b, rec); err == nil {
			errs = append(errs, journal.WriteFile(info.Dir, r.file, b.Bytes()))
		}
	}
	return rec, errors.Join(errs...)
}

// guardLines says in words what a guard did.
func guardLines(r *compose.GuardReport) []string {
	if r == nil {
		return nil
	}
	out := []string{fmt.Sprintf("the guard of run %s ended (%s) at %s", r.Run, r.Why, r.To.UTC().Format(time.RFC3339Nano))}
	for _, u := range r.Undos {
		out = append(out, undoLine(u))
	}
	for _, name := range r.Removed {
		out = append(out, "removed "+name)
	}
	for _, t := range r.Trouble {
		out = append(out, "trouble: "+t)
	}
	return out
}

// restoreFirst finishes what an earlier process left, before anything new begins. An engine that cannot be reached is left
// to the run itself, which is then blocked and says why.
func (a *app) restoreFirst(ctx context.Context, sys *drills.System) error {
	done, err := a.restoreAll(ctx, sys)
	if code := drills.CodeOf(err); code == drills.Blocked || code == drills.Locked {
		return nil
	}
	if err != nil {
		return drills.Wrap(drills.Residual, err, "an earlier run could not be restored, so nothing new is started", "see `simulacro status`")
	}
	if len(done.Runs)+len(done.Swept) > 0 && !a.asJSON {
		a.printf("an earlier run was not finished:\n")
		a.printRestored(done, nil)
	}
	return nil
}

func undoLine(u compose.GuardUndo) string {
	switch {
	case u.Error != "":
		return fmt.Sprintf("%s of %s failed: %s", u.Undo.Verb, u.Change, u.Error)
	case u.Note != "":
		return fmt.Sprintf("%s of %s not needed: %s", u.Undo.Verb, u.Change, u.Note)
	}
	return fmt.Sprintf("%s of %s done", u.Undo.Verb, u.Change)
}
