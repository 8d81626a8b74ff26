package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/catalog"
	"github.com/eevans-d/simulacro/drills/journal"
	"github.com/eevans-d/simulacro/reports"
)

// render is a report of one record.
type render struct {
	file string
	to   func(io.Writer, drills.Record) error
}

func renders() []render {
	return []render{{"record/drill.json", reports.JSON}, {"report/report.txt", reports.Text}, {"report/report.html", reports.HTML}, {"ci/junit.xml", reports.JUnit}}
}

// keep writes the record and every report into the run's directory.
func (a *app) keep(dir *journal.Run, rec *drills.Record) error {
	rec.Head = dir.Head()
	var errs []error
	for _, r := range renders() {
		var b bytes.Buffer
		if err := r.to(&b, *rec); err != nil {
			errs = append(errs, drills.Wrap(drills.Internal, err, "render "+r.file, ""))
			continue
		}
		errs = append(errs, dir.WriteFile(r.file, b.Bytes()))
	}
	return errors.Join(errs...)
}

// readSource reads a drill or system file; those of the catalogue are inside the binary.
func readSource(file string) ([]byte, error) {
	if name, ok := strings.CutPrefix(file, "catalog/"); ok {
		return catalog.Read(strings.TrimSuffix(path.Base(name), ".yaml"))
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		if in, cerr := catalog.Read(strings.TrimSuffix(filepath.Base(file), ".yaml")); cerr == nil {
			return in, nil
		}
	}
	return b, err
}

// printResults prints the table of all runs, or their records as JSON, and what did not begin.
func (a *app) printResults(results []result, left []job) {
	if a.asJSON {
		out := []map[string]any{}
		for _, r := range results {
			m := map[string]any{"record": r.record, "dir": r.dir, "exit": r.code()}
			if r.err != nil {
				m["error"] = r.err.Error()
			}
			out = append(out, m)
		}
		for _, j := range left {
			out = append(out, map[string]any{"not_run": j.drill.Name, "exit": drills.ExitUnproven})
		}
		a.json(out)
		return
	}
	var rows []reports.Ref
	for _, r := range results {
		rows = append(rows, reports.Ref{Record: r.record, Dir: r.dir})
	}
	if err := reports.Summary(a.stdout, rows); err != nil {
		a.printf("the table could not be printed: %v\n", err)
	}
	for _, r := range results {
		if r.err != nil {
			a.printf("%s: our own failure: %v\n", r.record.Opened.Drill.Name, r.err)
		}
	}
	a.printLeft(left)
}
