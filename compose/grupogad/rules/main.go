package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

const loadTimeout = 30 * time.Second

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

// run is the program; its result is the exit code: 0 done, 1 not written or not in force, 2 wrong usage.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	var dir, name, prometheus, alertmanager string
	var defects []string
	var list bool
	fs := flag.NewFlagSet("rules", flag.ContinueOnError)
	fs.SetOutput(errs)
	fs.StringVar(&name, "set", "fast", "rule `set`")
	fs.StringVar(&dir, "out", "", "`directory` to write to")
	fs.StringVar(&prometheus, "prometheus", "", "`URL` of a running Prometheus to load the rules into")
	fs.StringVar(&alertmanager, "alertmanager", "", "`URL` of a running Alertmanager to reload")
	fs.BoolVar(&list, "list", false, "say which sets, alerts and defects there are")
	fs.Func("defect", "`name` of a defect; may be repeated", func(d string) error { defects = append(defects, d); return nil })
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if list {
		describe(out)
		return 0
	}
	s, err := setNamed(name)
	if err != nil || dir == "" || fs.NArg() > 0 {
		fmt.Fprintln(errs, "rules: want -out DIRECTORY and a known -set", orEmpty(err))
		return 2
	}
	c := choice{set: s, defects: defects}
	files, err := c.files()
	if err != nil {
		fmt.Fprintln(errs, "rules:", err)
		return 2
	}
	if err := apply(ctx, c, dir, files, prometheus, alertmanager); err != nil {
		fmt.Fprintln(errs, "rules:", err)
		return 1
	}
	fmt.Fprintf(out, "rules: set %s, defects: %s\n", s.Name, orNone(c.defectLabel()))
	return 0
}

func apply(ctx context.Context, c choice, dir string, files map[string][]byte, prometheus, alertmanager string) error {
	if err := write(dir, files); err != nil || prometheus == "" {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	return load(ctx, c, prometheus, alertmanager)
}

func orEmpty(err error) string {
	if err == nil {
		return ""
	}
	return "(" + err.Error() + ")"
}

func describe(out io.Writer) {
	for _, s := range sets() {
		fmt.Fprintf(out, "set %-10s scrape every %s, rate window %s\n", s.Name, promDuration(s.Scrape), promDuration(s.Window))
	}
	for _, r := range catalogue() {
		fmt.Fprintf(out, "alert %-28s %-8s for %s (blueprint) %s (fast)\n", r.Name, r.Severity, promDuration(r.Blueprint), promDuration(r.Fast))
	}
	fmt.Fprintf(out, "defects: %s\n", strings.Join(defectNames(), ", "))
}
