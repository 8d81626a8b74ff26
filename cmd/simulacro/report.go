package main

import (
	"bytes"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/journal"
	"github.com/eevans-d/simulacro/reports"
)

// drTarget is the DR success rate that the blueprint asks for (Tabla 10): at least 95 %.
const drTarget = 0.95

// reportFlags are the flags of `report`.
type reportFlags struct {
	format, out, gate, since string
}

func (a *app) reportCmd() *cobra.Command {
	var f reportFlags
	c := &cobra.Command{
		Use: "report [RUN]", Short: "The DR success rate over all runs, or one run's report again", Args: cobra.MaximumNArgs(1),
		Long: "Without a run: success rates per component and in all (strict and intention-to-drill, with bounds), recovery times against\n" +
			"targets, and every run with its outcome. --gate 'strict>=95%' exits 6 when it is missed. With a run (its id, a part of it,\n" +
			"or `latest`): that run's report, made again from its journal.",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				return a.reportRun(args[0], f)
			}
			return a.reportAll(f)
		},
	}
	c.Flags().StringVar(&f.format, "format", "", "text (default), json, html, or junit for one run; --out report.html implies html")
	c.Flags().StringVarP(&f.out, "out", "o", "", "write to this file instead of standard output")
	c.Flags().StringVar(&f.gate, "gate", "", "strict>=95%, itd>=90% or lower>=80%: exit 6 when missed")
	c.Flags().StringVar(&f.since, "since", "", "only runs that started on or after this date (2026-01-31)")
	return c
}

func (a *app) reportRun(name string, f reportFlags) error {
	info, err := journal.Find(a.runs, name)
	if err != nil {
		return err
	}
	rec, err := rerender(info)
	if err != nil {
		return err
	}
	formats := map[string]func(io.Writer, drills.Record) error{"text": reports.Text, "json": reports.JSON, "html": reports.HTML, "junit": reports.JUnit}
	render, ok := formats[a.format(f)]
	if !ok {
		return drills.Errorf(drills.Usage, "use text, json, html or junit", "%q is not a format", f.format)
	}
	return a.write(f.out, func(w io.Writer) error { return render(w, rec) })
}

func (a *app) format(f reportFlags) string {
	switch {
	case f.format != "":
		return f.format
	case a.asJSON:
		return "json"
	case len(f.out) > 5 && f.out[len(f.out)-5:] == ".html":
		return "html"
	}
	return "text"
}

func (a *app) reportAll(f reportFlags) error {
	var gate *reports.Gate
	if f.gate != "" {
		g, err := reports.ParseGate(f.gate)
		if err != nil {
			return err
		}
		gate = &g
	}
	p, err := a.programme(f.since)
	if err != nil {
		return err
	}
	formats := map[string]func(io.Writer, reports.Programme) error{"text": reports.ProgrammeText, "json": reports.ProgrammeJSON, "html": reports.ProgrammeHTML}
	render, ok := formats[a.format(f)]
	if !ok {
		return drills.Errorf(drills.Usage, "use text, json or html", "%q is not a format of this report", f.format)
	}
	if err := a.write(f.out, func(w io.Writer) error { return render(w, p) }); err != nil {
		return err
	}
	if gate == nil {
		return nil
	}
	res := gate.Check(p)
	out := a.stdout
	if a.format(f) != "text" && f.out == "" {
		out = a.stderr // a program reads standard output
	}
	_, _ = io.WriteString(out, res.String()+"\n") // the exit code says it as well
	if !res.Met {
		return exit{drills.ExitGate}
	}
	return nil
}

// programme counts every run of the folder and every slot that no run filled. A live run is not counted yet.
func (a *app) programme(since string) (reports.Programme, error) {
	var from time.Time
	if since != "" {
		t, err := time.Parse(time.DateOnly, since)
		if err != nil {
			return reports.Programme{}, drills.Errorf(drills.Usage, "write it as 2026-01-31", "--since %q is not a date", since)
		}
		from = t
	}
	infos, err := journal.List(a.runs)
	if err != nil {
		return reports.Programme{}, err
	}
	var refs []reports.Ref
	for _, info := range infos {
		if info.State == journal.Live || info.Started.Before(from) {
			continue
		}
		c, err := journal.Read(info.Dir)
		if err != nil {
			return reports.Programme{}, err
		}
		refs = append(refs, reports.Ref{Record: drills.Fold(c.Events), Dir: info.Dir})
	}
	slots, err := readSlots(a.runs)
	slots = slices.DeleteFunc(slots, func(s reports.SlotResult) bool { return s.Slot.Due.Before(from) })
	return reports.NewProgramme(refs, slots, drTarget), err
}

func (a *app) write(path string, render func(io.Writer) error) error {
	var b bytes.Buffer
	if err := render(&b); err != nil {
		return drills.Wrap(drills.Internal, err, "render the report", "")
	}
	if path == "" {
		_, _ = a.stdout.Write(b.Bytes()) // a reader that went away is no reason to fail
		return nil
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return drills.Wrap(drills.Internal, err, "write "+path, "")
	}
	a.printf("wrote %s\n", path)
	return nil
}
