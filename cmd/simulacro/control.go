package main

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eevans-d/simulacro/compose"
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/journal"
)

func (a *app) abortCmd() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "abort RUN", Short: "Stop a live run from another terminal; it restores and ends as aborted", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			info, err := (journal.Control{Root: a.runs}).Abort(args[0], reason, operator())
			if err != nil {
				return err
			}
			a.printf("asked run %s to stop; it restores and ends as aborted\n", info.ID)
			return nil
		},
	}
	c.Flags().StringVar(&reason, "reason", "no reason given", "why; goes into the record")
	return c
}

func (a *app) haltCmd() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "halt", Short: "Stop every live run and let none start until resume", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := os.MkdirAll(a.runs, 0o755); err != nil {
				return drills.Wrap(drills.Internal, err, "make the runs folder", "")
			}
			if err := (journal.Control{Root: a.runs}).Halt(reason, operator()); err != nil {
				return err
			}
			a.printf("halted: live runs stop and restore, none starts until `simulacro resume`\n")
			return nil
		},
	}
	c.Flags().StringVar(&reason, "reason", "no reason given", "why; goes into the records")
	return c
}

func (a *app) resumeCmd() *cobra.Command {
	return &cobra.Command{Use: "resume", Short: "Take a halt back", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		if err := (journal.Control{Root: a.runs}).Resume(); err != nil {
			return err
		}
		a.printf("resumed: runs may start\n")
		return nil
	}}
}

func (a *app) statusCmd() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show live and crashed runs, a halt, and who is what in the system", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.status(c.Context()) },
	}
}

// statusOut is what `status --json` prints.
type statusOut struct {
	Halt      string             `json:"halt,omitempty"`
	Runs      []journal.Info     `json:"runs"` // live and crashed ones
	Leftovers []compose.Leftover `json:"leftovers,omitempty"`
	Members   []memberOut        `json:"members"`
	Problems  []string           `json:"problems,omitempty"`
}

type memberOut struct {
	Component string `json:"component"`
	Name      string `json:"name"`
	State     string `json:"state"`
	Role      string `json:"role,omitempty"`
}

func (a *app) status(ctx context.Context) error {
	sys, err := a.loadSystem()
	if err != nil {
		return err
	}
	out := statusOut{Runs: []journal.Info{}}
	if o, halted := (journal.Control{Root: a.runs}).Halted(); halted {
		out.Halt = o.String()
	}
	runs, err := journal.List(a.runs)
	if err != nil {
		return err
	}
	for _, r := range runs {
		if r.State != journal.ClosedRun {
			out.Runs = append(out.Runs, r)
		}
	}
	s, err := a.openSession(ctx, sys, "status")
	if err != nil {
		return err
	}
	defer s.close()
	t, err := s.mux.Topology(ctx)
	if err != nil {
		return err
	}
	if out.Leftovers, err = s.engine.Leftovers(ctx); err != nil {
		return err
	}
	out.fill(sys, t)
	a.printStatus(out)
	return nil
}

func (o *statusOut) fill(sys *drills.System, t drills.Topology) {
	for _, name := range slices.Sorted(maps.Keys(sys.Components)) {
		for _, m := range t.Of(name) {
			o.Members = append(o.Members, memberOut{name, m.Name, m.State, m.Role})
		}
		if d := t.Views[name].Disagreement; d != "" {
			o.Problems = append(o.Problems, name+": "+d)
		}
	}
}

func (a *app) printStatus(o statusOut) {
	if a.asJSON {
		a.json(o)
		return
	}
	if o.Halt != "" {
		a.printf("HALTED: %s\n", o.Halt)
	}
	for _, r := range o.Runs {
		a.printf("%-8s %s\n", strings.ToUpper(string(r.State)), r.ID)
	}
	for _, l := range o.Leftovers {
		a.printf("LEFTOVER %s of run %s; `simulacro restore` removes it\n", l.Name, l.Run)
	}
	for _, m := range o.Members {
		a.printf("%-12s %-16s %-10s %s\n", m.Component, m.Name, m.State, m.Role)
	}
	for _, p := range o.Problems {
		a.printf("! %s\n", p)
	}
}
