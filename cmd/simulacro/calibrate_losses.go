package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/eevans-d/simulacro/compose"
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier/calibrate"
)

func (a *app) calibrateLossesCmd() *cobra.Command {
	var losses []string
	var seed uint64
	var cfg calibrate.LossConfig
	c := &cobra.Command{
		Use: "losses", Short: "Check that lost writes are counted exactly, on this host, now", Args: cobra.NoArgs,
		Long: "Lets the canary of drills write to a store of its own (Redis' protocol, a primary and a replica) that then loses, doubles,\n" +
			"alters or brings back a random choice of what it acknowledged, and compares what the canary counted with what is true.\n" +
			"Exit code 1: a count was wrong, or an interval did not hold the recovery point.",
	}
	c.Flags().StringSliceVar(&losses, "kinds", lossNames(), "which kinds of loss")
	c.Flags().IntVar(&cfg.Times, "times", 100, "repetitions per kind")
	c.Flags().IntVar(&cfg.Parallel, "parallel", 6, "canaries at the same time")
	c.Flags().Uint64Var(&seed, "seed", 0, "of sizes and places; 0: a new one, which is printed")
	c.RunE = func(c *cobra.Command, _ []string) error {
		var err error
		if cfg.Losses, err = lossKinds(losses, cfg); err != nil {
			return err
		}
		if cfg.Seed = seed; seed == 0 {
			cfg.Seed = uint64(rand.Uint32()) + 1 //nolint:gosec // a place in a history, not a secret
		}
		cfg.Launcher = compose.HostLauncher{Binary: a.binary, Log: a.logger()}
		cfg.Log = a.logger().Named("calibrate")
		if !a.asJSON {
			cfg.Progress = func(r calibrate.LossResult) {
				a.printf("%s: exact in %s\n", r.Loss, heldText(r.Exact, r.Times))
			}
		}
		results, err := calibrate.RunLosses(c.Context(), cfg)
		if err != nil {
			return err
		}
		kept, err := a.keepCalibration(func(c *calibrate.Calibration) {
			c.Losses = &calibrate.LossCalibration{At: time.Now().UTC(), Results: results}
		})
		if err != nil {
			return err
		}
		return a.lossesCounted(kept)
	}
	return c
}

func lossNames() []string {
	var out []string
	for _, l := range calibrate.Losses() {
		out = append(out, string(l))
	}
	return out
}

func lossKinds(names []string, cfg calibrate.LossConfig) ([]calibrate.Loss, error) {
	var out []calibrate.Loss
	var errs []error
	for _, n := range names {
		if !slices.Contains(lossNames(), n) {
			errs = append(errs, drills.Errorf(drills.Usage, "one of "+strings.Join(lossNames(), ", "), "there is no loss %q to calibrate with", n))
		}
		out = append(out, calibrate.Loss(n))
	}
	if cfg.Times < 1 || cfg.Parallel < 1 || cfg.Parallel > 50 {
		errs = append(errs, drills.Errorf(drills.Usage, "--times 100 --parallel 6", "at least 1 repetition, and from 1 to 50 canaries at the same time"))
	}
	return out, errors.Join(errs...)
}

// lossesCounted prints the figures.
func (a *app) lossesCounted(c calibrate.Calibration) error {
	wrong := false
	for _, r := range c.Losses.Results {
		wrong = wrong || r.Exact < r.Times || r.PointHeld < r.Points
	}
	switch {
	case a.asJSON:
		a.json(c)
	default:
		a.printf("%s\n%s\nseed %d; %s", lossTable(c.Losses.Results), goalTable(calibrate.Judge(calibrate.Calibration{Losses: c.Losses})), c.Losses.Results[0].Seed, a.keptText(c))
		for _, r := range c.Losses.Results {
			for _, w := range r.Wrong {
				a.printf("WRONG  %s, %s\n", r.Loss, w)
			}
		}
	}
	if wrong {
		return exit{drills.ExitFail}
	}
	return nil
}

// lossTable shows sums over all repetitions, each as true/counted.
func lossTable(rs []calibrate.LossResult) string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"loss", "times", "acknowledged", "lost", "duplicated", "stale", "resurrected", "corrupt", "phantom", "no answer", "counted exactly", "recovery point held", "its width p50"})
	both := func(of, found int) string { return fmt.Sprintf("%d/%d", of, found) }
	for _, r := range rs {
		x, y := r.True, r.Counted
		t.AppendRow(table.Row{
			r.Loss, r.Times, both(x.Acked, y.Acked), both(x.Lost, y.Lost), both(x.Duplicated, y.Duplicated), both(x.Stale, y.Stale),
			both(x.Resurrected, y.Resurrected), both(x.Corrupt, y.Corrupt), both(x.Phantom, y.Phantom), both(x.Indeterminate, y.Indeterminate),
			heldText(r.Exact, r.Times), heldText(r.PointHeld, r.Points), ms(r.Width),
		})
	}
	return "true/counted, sums over all repetitions\n" + t.Render()
}

// lossesSaid is what reports state of the counting of losses; empty when it was not checked on this host.
func lossesSaid(c calibrate.Calibration) string {
	if c.Losses == nil {
		return ""
	}
	var parts []string
	for _, r := range c.Losses.Results {
		parts = append(parts, fmt.Sprintf("%s %s", r.Loss, heldText(r.Exact, r.Times)))
	}
	return c.Losses.At.Format("2006-01-02") + ", losses of known size counted exactly: " + strings.Join(parts, "; ")
}
