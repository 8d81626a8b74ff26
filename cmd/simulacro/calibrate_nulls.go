package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/eevans-d/simulacro/compose"
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier/calibrate"
)

func (a *app) calibrateNullsCmd() *cobra.Command {
	var cfg calibrate.NullConfig
	var rates []int
	var percents []float64
	c := &cobra.Command{
		Use: "nulls", Short: "Count false alarms in drills without a fault, on this host, now", Args: cobra.NoArgs,
		Long: "Runs the probes of drills against a server of its own that is never down, but fails single requests at a known rate: every\n" +
			"outage that they show is an invention. Each drill is then judged a second time, two seconds of its samples turned into\n" +
			"failures: steady state with its errors has to count as recovered. What the host itself disturbed is counted apart.",
	}
	c.Flags().IntVar(&cfg.Drills, "drills", 1000, "drills per rate and error rate")
	c.Flags().DurationVar(&cfg.Length, "length", time.Minute, "of a drill, after its settle window")
	c.Flags().DurationVar(&cfg.Settle, "settle", 10*time.Second, "settle window before each drill, from which its baseline is")
	c.Flags().DurationVar(&cfg.For, "recovery", 10*time.Second, "window that has to be back at the baseline (recovery.for of a drill)")
	c.Flags().IntSliceVar(&rates, "rates", []int{20, 50}, "probes a second")
	c.Flags().Float64SliceVar(&percents, "errors", []float64{0, 0.1, 0.5, 1}, "percent of requests that fail by themselves")
	c.Flags().IntVar(&cfg.Parallel, "parallel", 0, fmt.Sprintf("drills at the same time; 0: as many as send %d probes a second together", calibrate.NullProbes))
	c.Flags().Uint64Var(&cfg.Seed, "seed", 1, "decides which requests fail; the same seed, the same failures")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := nullConfig(&cfg, rates, percents); err != nil {
			return err
		}
		cfg.Launcher, cfg.Log = compose.HostLauncher{Binary: a.binary, Log: a.logger()}, a.logger().Named("calibrate")
		batches, takes := calibrate.NullsTake(cfg)
		began := time.Now()
		if !a.asJSON {
			a.printf("%d null drills of %s in %d batches: about %s, more on a host that is busy\n", cfg.Drills*len(cfg.Every)*len(cfg.Errors), cfg.Length, batches, takes.Round(time.Second))
			cfg.Progress = func(b calibrate.NullBatch) { a.printf("%s\n", batchLine(b, began)) }
		}
		nulls, err := calibrate.RunNulls(c.Context(), cfg)
		if err != nil {
			return err
		}
		kept, err := a.keepCalibration(func(c *calibrate.Calibration) { c.Nulls = &nulls })
		if err != nil {
			return err
		}
		return a.nullsCounted(kept)
	}
	return c
}

func nullConfig(cfg *calibrate.NullConfig, rates []int, percents []float64) error {
	var errs []error
	bad := func(hint, format string, args ...any) {
		errs = append(errs, drills.Errorf(drills.Usage, hint, format, args...))
	}
	for _, r := range rates {
		if r < 1 || r > 200 {
			bad("--rates 20,50", "a rate must be from 1 to 200 probes a second, found %d", r)
			continue
		}
		cfg.Every = append(cfg.Every, time.Second/time.Duration(r))
	}
	for _, p := range percents {
		if p < 0 || p > 20 {
			bad("--errors 0,0.1,0.5,1", "an error rate must be from 0 to 20 percent, found %g", p)
		}
		cfg.Errors = append(cfg.Errors, p/100)
	}
	if len(cfg.Every) == 0 || len(cfg.Errors) == 0 || cfg.Drills < 1 || cfg.Parallel < 0 {
		bad("--drills 1000", "at least one drill, one rate and one error rate, and no fewer than 0 at the same time")
	}
	if cfg.Length < 2*time.Second || cfg.Settle < time.Second || cfg.For < time.Second {
		bad("--length 60s --settle 10s --recovery 10s", "a drill lasts at least 2 s, its settle window and its recovery window at least 1 s")
	}
	return errors.Join(errs...)
}

// batchLine is the progress: what was seen so far, and whether the host kept up.
func batchLine(b calibrate.NullBatch, began time.Time) string {
	if b.Broken != "" {
		return fmt.Sprintf("%s: %d drills at %s were too many for this host, they are run again, half as many at the same time: %s",
			time.Since(began).Round(time.Second), b.Drills, calibrate.Rate(b.Every), b.Broken)
	}
	line := fmt.Sprintf("%s: %d drills at %s, %d still to do at this rate; false alarms so far: %d; %.1f cores used, prober late p99 %s",
		time.Since(began).Round(time.Second), b.Drills, calibrate.Rate(b.Every), b.Left, b.Alarms, b.CPU, ms(b.Late))
	if b.Disturbed > 0 {
		line += fmt.Sprintf("\n  this host disturbed %d of them (it sent %d of %d probes): they are not counted and run once more, fewer at the same time if there are many", b.Disturbed, b.Sent, b.Due)
	}
	return line
}

// nullsCounted prints the figures.
func (a *app) nullsCounted(c calibrate.Calibration) error {
	if a.asJSON {
		a.json(c)
		return nil
	}
	a.printf("%s\n%s\n", nullTable(*c.Nulls), goalTable(calibrate.Judge(calibrate.Calibration{Nulls: c.Nulls})))
	disturbed, all := 0, 0
	for _, r := range c.Nulls.Results {
		disturbed, all = disturbed+r.Disturbed, all+r.Drills
		for _, w := range r.What {
			a.printf("FALSE ALARM  %s, %s\n", r.Name(), w)
		}
		for _, w := range r.Trouble {
			a.printf("disturbed  %s, %s\n", r.Name(), w)
		}
	}
	if disturbed > 0 {
		a.printf("%d of %d drills were disturbed by this host itself (other processes, or too many drills at the same time: --parallel): they say nothing about the probes and are not counted\n", disturbed, all)
	}
	a.printf("%s", a.keptText(c))
	return nil
}

func nullTable(n calibrate.NullCalibration) string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"rate", "errors", "seen", "drills", "disturbed", "counted", "invented", "not recovered", "false alarms", "95% limit", "late recoveries", "live flickers", "late p99", "FIFO"})
	probes := 0
	for _, r := range n.Results {
		probes += r.Probes
		t.AppendRow(table.Row{
			calibrate.Rate(r.Every), percent(r.Errors), percent(float64(r.Failed) / float64(max(r.Probes, 1))), r.Drills, r.Disturbed, r.Counted(), r.Invented,
			fmt.Sprintf("%d of %d", r.NotRecovered+r.Missed, r.Recoveries), r.Alarms, percent(r.Upper), r.Late, r.Live, ms(r.Prober), r.FIFO,
		})
	}
	return fmt.Sprintf("null drills of %s after %s of settling, recovery over %s, seed %d; %s, %.0f µs of CPU per probe, both ends\n",
		n.Length, n.Settle, n.For, n.Seed, n.Took.D().Round(time.Second), float64(n.CPU.D().Microseconds())/float64(max(probes, 1))) + t.Render()
}

func percent(share float64) string { return fmt.Sprintf("%.3g%%", 100*share) }

// nullsSaid is what reports state of the null drills; empty when none was run on this host.
func nullsSaid(c calibrate.Calibration) string {
	if c.Nulls == nil {
		return ""
	}
	var parts []string
	for _, r := range c.Nulls.Results {
		parts = append(parts, fmt.Sprintf("%d in %d at %s and errors of %s (at most %s)", r.Alarms, r.Counted(), calibrate.Rate(r.Every), percent(r.Errors), percent(r.Upper)))
	}
	return fmt.Sprintf("%s, false alarms in drills of %s without a fault, and the upper 95%% limit of their rate: %s", c.Nulls.At.Format("2006-01-02"), c.Nulls.Length, strings.Join(parts, "; "))
}
