package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/eevans-d/simulacro/compose"
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier/calibrate"
)

func (a *app) calibrateCostCmd() *cobra.Command {
	var cfg calibrate.CostConfig
	var rates []int
	c := &cobra.Command{
		Use: "cost", Short: "Measure what probes cost this host, in processor time", Args: cobra.NoArgs,
		Long: "Runs so many probes of each kind against servers of its own that answer at once, and prints the user and system time that\n" +
			"the kernel accounts the prober's process, from its start to its end.",
	}
	c.Flags().StringSliceVar(&cfg.Kinds, "kinds", calibrate.CostKinds(), "which kinds of probes")
	c.Flags().IntVar(&cfg.Probes, "probes", 10, "probes in one prober")
	c.Flags().IntSliceVar(&rates, "rates", []int{20, 50}, "probes a second, of each")
	c.Flags().DurationVar(&cfg.Length, "length", 20*time.Second, "per kind and rate")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := costConfig(&cfg, rates); err != nil {
			return err
		}
		cfg.Launcher, cfg.Log = compose.HostLauncher{Binary: a.binary, Log: a.logger()}, a.logger().Named("calibrate")
		if !a.asJSON {
			a.printf("about %s\n", (time.Duration(len(cfg.Kinds)*len(cfg.Every)) * (cfg.Length + time.Second)).Round(time.Second))
			cfg.Progress = func(c calibrate.Cost) { a.printf("%s: %.1f%% of a core\n", c.Name(), 100*c.Core()) }
		}
		cost, err := calibrate.RunCost(c.Context(), cfg)
		if err != nil {
			return err
		}
		kept, err := a.keepCalibration(func(c *calibrate.Calibration) { c.Cost = &cost })
		if err != nil {
			return err
		}
		if a.asJSON {
			a.json(kept)
			return nil
		}
		a.printf("%s\n%s\n%s", costTable(cost.Results), goalTable(calibrate.Judge(calibrate.Calibration{Cost: &cost})), a.keptText(kept))
		return nil
	}
	return c
}

func costConfig(cfg *calibrate.CostConfig, rates []int) error {
	var errs []error
	for _, r := range rates {
		if r < 1 || r > 200 {
			errs = append(errs, drills.Errorf(drills.Usage, "--rates 20,50", "a rate must be from 1 to 200 probes a second, found %d", r))
			continue
		}
		cfg.Every = append(cfg.Every, time.Second/time.Duration(r))
	}
	for _, k := range cfg.Kinds {
		if !slices.Contains(calibrate.CostKinds(), k) {
			errs = append(errs, drills.Errorf(drills.Usage, "one of "+strings.Join(calibrate.CostKinds(), ", "), "the cost of probes of kind %q is not measured", k))
		}
	}
	if cfg.Probes < 1 || cfg.Probes > 1000 || cfg.Length < time.Second {
		errs = append(errs, drills.Errorf(drills.Usage, "--probes 10 --length 20s", "from 1 to 1000 probes, for at least a second"))
	}
	return errors.Join(errs...)
}

func costTable(rs []calibrate.Cost) string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"probes", "kind", "rate", "lived", "sent", "user", "system", "of a core", "per probe", "FIFO"})
	for _, c := range rs {
		t.AppendRow(table.Row{
			c.Probes, c.Kind, calibrate.Rate(c.Every), c.Lived.D().Round(100 * time.Millisecond), c.Sent, ms(c.User), ms(c.System), fmt.Sprintf("%.1f%%", 100*c.Core()),
			fmt.Sprintf("%.0f µs", float64((c.User+c.System).D().Microseconds())/float64(max(c.Sent, 1))), c.Realtime,
		})
	}
	return t.Render()
}

// costSaid is what reports state of the probes' cost; empty when it was not measured on this host.
func costSaid(c calibrate.Calibration) string {
	if c.Cost == nil {
		return ""
	}
	var parts []string
	for _, r := range c.Cost.Results {
		parts = append(parts, fmt.Sprintf("%.1f%% for %d of kind %s at %s", 100*r.Core(), r.Probes, r.Kind, calibrate.Rate(r.Every)))
	}
	return c.Cost.At.Format("2006-01-02") + ", what probes cost the host, of a core: " + strings.Join(parts, "; ")
}
