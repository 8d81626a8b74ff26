package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/journal"
	"github.com/eevans-d/simulacro/reports"
	"github.com/eevans-d/simulacro/verifier"
)

func (a *app) verifyCmd() *cobra.Command {
	return &cobra.Command{
		Use: "verify RUN", Short: "Check a run's evidence: the journal's chain, the raw samples' digests, and that the record follows from them", Args: cobra.ExactArgs(1),
		Long: "Exit code 0: everything agrees; 1: something does not. Seals and outside anchors come later: this shows damage, not forgery.",
		RunE: func(_ *cobra.Command, args []string) error { return a.verify(args[0]) },
	}
}

func (a *app) verify(name string) error {
	info, err := journal.Find(a.runs, name)
	if err != nil {
		return err
	}
	c, err := journal.Read(info.Dir)
	if err != nil {
		return err
	}
	checks := []drills.Check{chainCheck(c)}
	rec := drills.Fold(c.Events)
	for raw, sum := range rawDigests(rec) {
		checks = append(checks, digestCheck(info.Dir, raw, sum))
	}
	for _, p := range rec.Probes {
		checks = append(checks, remeasureCheck(info.Dir, c.Events, p))
	}
	for _, p := range rec.Probes {
		checks = append(checks, windowsCheck(info.Dir, rec.Windows, p))
	}
	for _, x := range rec.Canaries {
		checks = append(checks, recountCheck(info.Dir, rec, x))
	}
	for _, x := range rec.Registers {
		checks = append(checks, registerCheck(info.Dir, x))
	}
	for _, x := range rec.Splits {
		checks = append(checks, splitCheck(info.Dir, rec, x))
	}
	for _, b := range rec.Breakers {
		checks = append(checks, breakerCheck(info.Dir, rec.Opened.System, b))
	}
	checks = append(checks, recordCheck(info.Dir, c, rec))
	bad := false
	for _, x := range checks {
		bad = bad || !x.OK
		if !a.asJSON {
			a.printf("%-4s %s %s\n", map[bool]string{true: "ok", false: "BAD"}[x.OK], x.Name, x.Actual)
		}
	}
	if a.asJSON {
		a.json(checks)
	}
	if bad {
		return exit{drills.ExitFail}
	}
	return nil
}

func chainCheck(c journal.Contents) drills.Check {
	x := drills.Check{Name: "journal chain", OK: c.Broken == nil, Actual: fmt.Sprintf("%d events, head %s", len(c.Events), c.Head)}
	if c.Broken != nil {
		x.Actual = c.Broken.Error()
	}
	return x
}

func rawDigests(rec drills.Record) map[string]string {
	out := map[string]string{}
	for _, p := range rec.Probes {
		out[p.Raw] = p.SHA256
	}
	for _, c := range rec.Canaries {
		out[c.Raw] = c.SHA256
	}
	for _, b := range rec.Breakers {
		out[b.Raw] = b.SHA256
	}
	for _, r := range rec.Registers {
		out[r.Raw], out[r.Picture] = r.SHA256, r.PictureSHA256
	}
	delete(out, "")
	return out
}

func digestCheck(dir, raw, want string) drills.Check {
	got, err := journal.FileDigest(filepath.Join(dir, "raw", filepath.Base(raw)))
	x := drills.Check{Name: "raw samples " + raw, OK: err == nil && got == want, Actual: got}
	if err != nil {
		x.Actual = err.Error()
	}
	return x
}

// remeasureCheck measures a probe again from its raw samples and compares everything that the journal says of it.
func remeasureCheck(dir string, events []drills.Event, p drills.ProbeMeasured) drills.Check {
	x := drills.Check{Name: "measured again: " + p.Name, Actual: "agrees"}
	f, err := os.Open(filepath.Join(dir, "raw", filepath.Base(p.Raw)))
	if err != nil {
		x.Actual = err.Error()
		return x
	}
	defer func() { _ = f.Close() }() // only read
	again, err := verifier.Measure(f, settleWindow(events))
	if err != nil {
		x.Actual = err.Error()
		return x
	}
	again.Raw, again.Error = p.Raw, p.Error
	was, err1 := json.Marshal(p)
	now, err2 := json.Marshal(again)
	if x.OK = err1 == nil && err2 == nil && bytes.Equal(was, now); !x.OK {
		x.Actual = "the raw samples say otherwise"
	}
	return x
}

// windowsCheck counts every window of a probe again from its raw samples.
func windowsCheck(dir string, all []drills.WindowStat, p drills.ProbeMeasured) drills.Check {
	x := drills.Check{Name: "windows counted again: " + p.Name}
	was := slices.DeleteFunc(slices.Clone(all), func(w drills.WindowStat) bool { return w.Probe != p.Name })
	f, err := os.Open(filepath.Join(dir, "raw", filepath.Base(p.Raw)))
	if err != nil {
		x.Actual = err.Error()
		return x
	}
	defer func() { _ = f.Close() }() // only read
	again, err := verifier.MeasureWindows(f, was)
	if err != nil {
		x.Actual = err.Error()
		return x
	}
	a, err1 := json.Marshal(was)
	b, err2 := json.Marshal(again)
	if x.OK = err1 == nil && err2 == nil && (len(was) == 0 || bytes.Equal(a, b)); !x.OK {
		x.Actual = "the raw samples say otherwise"
		return x
	}
	x.Actual = fmt.Sprintf("%d agree", len(was))
	return x
}

// settleWindow is the settle window of a run, as its baselines hold it.
func settleWindow(events []drills.Event) drills.Interval {
	for _, e := range events {
		if e.Kind == drills.EvBaseline && e.Baseline != nil {
			return e.Baseline.Window
		}
	}
	return drills.Interval{}
}

// recordCheck folds the journal again and compares the bytes with the record that was kept.
func recordCheck(dir string, c journal.Contents, rec drills.Record) drills.Check {
	x := drills.Check{Name: "record", Actual: "is the fold of the journal"}
	kept, err := os.ReadFile(filepath.Join(dir, "record", "drill.json"))
	if err != nil {
		x.Actual = err.Error()
		return x
	}
	rec.Head = c.Head
	var b bytes.Buffer
	if err := reports.JSON(&b, rec); err != nil {
		x.Actual = err.Error()
		return x
	}
	if x.OK = bytes.Equal(b.Bytes(), kept); !x.OK {
		x.Actual = "is not what the journal folds to"
	}
	return x
}
