package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/journal"
)

func (a *app) confirmCmd() *cobra.Command {
	var by, step string
	c := &cobra.Command{
		Use: "confirm RUN --by NAME", Short: "Say that you have done the runbook step that a live run shows", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.confirm(args[0], step, by) },
	}
	c.Flags().StringVar(&by, "by", "", "your name; goes into the record")
	c.Flags().StringVar(&step, "step", "", "the drill's step, where several runbooks wait")
	return c
}

func (a *app) confirm(run, step, by string) error {
	if strings.TrimSpace(by) == "" {
		return drills.Errorf(drills.Usage, "add --by NAME", "a runbook step is confirmed by name")
	}
	info, err := journal.Find(a.runs, run)
	if err != nil {
		return err
	}
	content, err := journal.Read(info.Dir)
	if err != nil {
		return err
	}
	for _, m := range drills.Fold(content.Events).Runbooks {
		i, waits := m.Waiting()
		if !waits || step != "" && step != m.Step {
			continue
		}
		if err := (journal.Control{Root: a.runs}).Confirm(info, m.Step, i, by); err != nil {
			return err
		}
		a.printf("confirmed by %s: step %d of %d of the runbook %q: %s\n", by, i+1, len(m.Items), m.Title, m.Items[i].Text)
		return nil
	}
	return drills.Errorf(drills.Input, "see what the run shows", "run %s waits for nobody to confirm anything", info.ID)
}
