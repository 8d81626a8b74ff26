package main

import (
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier/calibrate"
)

func (a *app) calibrateShowCmd() *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "Print what was last measured of this host, each figure beside its goal", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, ok := a.keptCalibration()
			if !ok {
				return drills.Errorf(drills.Usage, "simulacro calibrate", "nothing was calibrated on this host, or it is kept beside other runs (--runs)")
			}
			if a.asJSON {
				a.json(c)
				return nil
			}
			for _, t := range calibrationTables(c) {
				a.printf("%s\n", t)
			}
			a.printf("%s\n%s", goalTable(calibrate.Judge(c)), a.keptText(c))
			return nil
		},
	}
}

// calibrationTables are those of the parts that were measured.
func calibrationTables(c calibrate.Calibration) []string {
	var out []string
	if len(c.Results) > 0 {
		out = append(out, outageTable(c.Results))
	}
	if c.Losses != nil {
		out = append(out, lossTable(c.Losses.Results))
	}
	if c.Nulls != nil {
		out = append(out, nullTable(*c.Nulls))
	}
	if c.Cost != nil {
		out = append(out, costTable(c.Cost.Results))
	}
	return out
}

// goalTable shows every goal beside its figure.
func goalTable(goals []calibrate.Goal) string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"of", "goal", "figure", "verdict"})
	for _, g := range goals {
		t.AppendRow(table.Row{g.Of, g.Goal, g.Figure, verdictText(g)})
	}
	return t.Render()
}

func verdictText(g calibrate.Goal) string {
	switch {
	case g.Verdict == calibrate.Missed:
		return strings.ToUpper(string(g.Verdict))
	case g.Why != "":
		return fmt.Sprintf("%s: %s", g.Verdict, g.Why)
	}
	return string(g.Verdict)
}

// goalsSaid is what reports state of the goals: how many are met, those that are missed, and how many were measured too little.
func goalsSaid(c calibrate.Calibration) string {
	goals := calibrate.Judge(c)
	if len(goals) == 0 {
		return ""
	}
	met, short := 0, 0
	var missed []string
	for _, g := range goals {
		switch g.Verdict {
		case calibrate.Met:
			met++
		case calibrate.Short:
			short++
		case calibrate.Missed:
			missed = append(missed, fmt.Sprintf("%s: %s, goal %s", g.Of, g.Figure, g.Goal))
		}
	}
	out := fmt.Sprintf("goals of the measuring itself: %d of %d met", met, len(goals))
	if short > 0 {
		out += fmt.Sprintf(", %d measured too little to say", short)
	}
	if len(missed) > 0 {
		out += fmt.Sprintf(", %d missed (%s)", len(missed), strings.Join(missed, "; "))
	}
	return out
}
