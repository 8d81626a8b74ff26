package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/eevans-d/simulacro/compose"
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier/calibrate"
)

// calibrationFile, in the runs folder, has the figures of the last calibration on this host.
const calibrationFile = "calibration.json"

func (a *app) calibrateCmd() *cobra.Command {
	var faults []string
	var rates []int
	var outages, parallel int
	var burst time.Duration
	var sharp []string
	c := &cobra.Command{
		Use: "calibrate", Short: "Measure the error of the probes themselves, on this host, now", Args: cobra.NoArgs,
		Long: "Takes a server of its own down and up at instants that it knows exactly, measures the outages with the same prober that\n" +
			"drills use, and prints how far off it was and how often its interval held the truth, each figure beside its goal. Touches\n" +
			"no system. The figures are kept in the runs folder, and every later report there states them.",
	}
	c.Flags().StringSliceVar(&faults, "faults", names(calibrate.Faults()), "which kinds of outage")
	c.Flags().IntSliceVar(&rates, "rates", []int{20, 50}, "probes a second")
	c.Flags().IntVar(&outages, "outages", 300, "outages per fault and rate")
	c.Flags().IntVar(&parallel, "parallel", 15, "servers and probes at the same time")
	c.Flags().DurationVar(&burst, "burst", 2*time.Millisecond, "period of bursts, for the rows with bursts and a tripwire; 0: no such rows")
	c.Flags().StringSliceVar(&sharp, "burst-faults", []string{string(calibrate.Refuse)}, "the faults of those rows")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := calibrateConfig(faults, sharp, rates, outages, parallel)
		cfg.Burst = burst
		if err != nil {
			return err
		}
		cfg.Launcher = compose.HostLauncher{Binary: a.binary, Log: a.logger()}
		cfg.Log = a.logger().Named("calibrate")
		if !a.asJSON {
			cfg.Progress = func(r calibrate.Result) { a.printf("%s\n", calibrationLine(r)) }
		}
		results, err := calibrate.Run(c.Context(), cfg)
		if err != nil {
			return err
		}
		kept, err := a.keepCalibration(func(c *calibrate.Calibration) { c.At, c.Results = time.Now().UTC(), results })
		if err != nil {
			return err
		}
		return a.calibrated(kept)
	}
	c.AddCommand(a.calibrateLossesCmd(), a.calibrateNullsCmd(), a.calibrateCostCmd(), a.calibrateShowCmd())
	return c
}

// keepCalibration changes one part of the calibration that is kept beside the runs and leaves the others of this host as
// they were; figures of another host are forgotten.
func (a *app) keepCalibration(change func(*calibrate.Calibration)) (calibrate.Calibration, error) {
	c, ok := a.keptCalibration()
	if !ok {
		c = calibrate.Calibration{Schema: calibrate.Schema}
	}
	c.Host = hostFacts()
	change(&c)
	c.Goals = calibrate.Judge(c)
	b, err := json.MarshalIndent(c, "", "  ")
	if err == nil {
		err = os.MkdirAll(a.runs, 0o755) //nolint:gosec // evidence is for everybody to read
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(a.runs, calibrationFile), append(b, '\n'), 0o644) //nolint:gosec // as above
	}
	if err != nil {
		return c, drills.Wrap(drills.Internal, err, "keep the calibration", "is the runs folder writable?")
	}
	return c, nil
}

// keptCalibration reads what is kept beside the runs. False: nothing, or another host's.
func (a *app) keptCalibration() (calibrate.Calibration, bool) {
	b, err := os.ReadFile(filepath.Join(a.runs, calibrationFile))
	var c calibrate.Calibration
	if err != nil || json.Unmarshal(b, &c) != nil || c.Schema != calibrate.Schema || c.Host["hostname"] != hostFacts()["hostname"] {
		return calibrate.Calibration{}, false
	}
	return c, true
}

func names(fs []calibrate.Fault) []string {
	var out []string
	for _, f := range fs {
		out = append(out, string(f))
	}
	return out
}

func calibrateConfig(faults, sharp []string, rates []int, outages, parallel int) (calibrate.Config, error) {
	var cfg calibrate.Config
	var errs []error
	bad := func(hint, format string, args ...any) {
		errs = append(errs, drills.Errorf(drills.Usage, hint, format, args...))
	}
	known := func(list []string) (out []calibrate.Fault) {
		for _, f := range list {
			if !slices.Contains(names(calibrate.Faults()), f) {
				bad("one of "+strings.Join(names(calibrate.Faults()), ", "), "there is no fault %q to calibrate with", f)
			}
			out = append(out, calibrate.Fault(f))
		}
		return out
	}
	cfg.Faults, cfg.Sharp = known(faults), known(sharp)
	for _, r := range rates {
		if r < 1 || r > 200 {
			bad("--rates 20,50", "a rate must be from 1 to 200 probes a second, found %d", r)
			continue
		}
		cfg.Every = append(cfg.Every, time.Second/time.Duration(r))
	}
	if outages < 1 || parallel < 1 || parallel > 50 {
		bad("--outages 300 --parallel 15", "at least 1 outage, and from 1 to 50 at the same time")
	}
	cfg.Outages, cfg.Parallel = outages, parallel
	return cfg, errors.Join(errs...)
}

// calibrated prints the figures.
func (a *app) calibrated(c calibrate.Calibration) error {
	if a.asJSON {
		a.json(c)
		return nil
	}
	a.printf("%s\n%s\n%s", outageTable(c.Results), goalTable(calibrate.Judge(calibrate.Calibration{Results: c.Results})), a.keptText(c))
	return nil
}

func (a *app) keptText(c calibrate.Calibration) string {
	return fmt.Sprintf("kept in %s; host: %s\n", filepath.Join(a.runs, calibrationFile), hostText(c.Host))
}

func outageTable(rs []calibrate.Result) string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"fault", "rate", "outages", "error p50", "p99", "max", "interval held", "end held", "width p50", "missed", "invented", "late p99", "FIFO"})
	for _, r := range rs {
		t.AppendRow(table.Row{
			faultText(r), calibrate.Rate(r.Every), r.Outages, ms(r.P50), ms(r.P99), ms(r.Max), heldText(r.Held, r.Outages), heldText(r.EndHeld, r.Outages),
			ms(r.Width), r.Missed, r.Invented, ms(r.Late), r.Realtime,
		})
	}
	return t.Render()
}

func calibrationLine(r calibrate.Result) string {
	return fmt.Sprintf("%s: %d outages, error p50 %s, p99 %s, interval held %s", r.Name(), r.Outages, ms(r.P50), ms(r.P99), heldText(r.Held, r.Outages))
}

// faultText names a row.
func faultText(r calibrate.Result) string {
	if r.Burst > 0 {
		return fmt.Sprintf("%s, tripwire and burst %s", r.Fault, r.Burst)
	}
	return string(r.Fault)
}

func ms(d drills.Duration) string { return fmt.Sprintf("%.1f ms", d.D().Seconds()*1000) }

func heldText(n, of int) string {
	if of == 0 {
		return "none"
	}
	return fmt.Sprintf("%d of %d (%.1f%%)", n, of, 100*float64(n)/float64(of))
}

func hostText(h map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(h)) {
		if k != "pid" {
			parts = append(parts, k+" "+h[k])
		}
	}
	return strings.Join(parts, ", ")
}

// calibration is what reports state, a line per part that was measured: the last calibration that is kept beside the runs, if
// it was on this host, else empty: reports know what to say then.
func (a *app) calibration() string {
	c, ok := a.keptCalibration()
	if !ok {
		return ""
	}
	var parts []string
	for _, part := range []func(calibrate.Calibration) string{outagesSaid, lossesSaid, nullsSaid, costSaid, goalsSaid} {
		if text := part(c); text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, "\n")
}

func outagesSaid(c calibrate.Calibration) string {
	if len(c.Results) == 0 {
		return ""
	}
	var parts []string
	for _, r := range c.Results {
		parts = append(parts, fmt.Sprintf("%s error p99 %s, interval held %s", r.Name(), ms(r.P99), heldText(r.Held, r.Outages)))
	}
	return c.At.Format("2006-01-02") + ", against outages of known length: " + strings.Join(parts, "; ")
}
