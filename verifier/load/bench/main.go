// Command bench measures the load engines against their goals and, in the same run, against other tools' libraries. It is
// a module of its own, so that the product does not depend on them. `make bench` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) > 1 && args[0] == "_child" {
		return child(ctx, args[1], in, out)
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	short := flags.Bool("short", false, "a few seconds per goal: shows that the command works, not what the machine can do")
	only := flags.String("only", "", "goals whose id begins with this, separated by commas")
	file := flags.String("out", "", "write the tables to this Markdown file")
	program := flags.String("simulacro", "", "the program whose agents are measured, bin/simulacro")
	list := flags.Bool("list", false, "list the goals")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen := choose(goals(), *only)
	if *list {
		for _, g := range chosen {
			fmt.Fprintf(out, "%-16s %s\n", g.id, g.title)
		}
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	m := machine()
	fmt.Fprintln(out, m.line())
	tables, err := measure(ctx, env{short: *short, self: self, simulacro: *program}, chosen, out)
	if *file != "" && len(tables) > 0 {
		err = errors.Join(err, os.WriteFile(*file, []byte(document(m, tables, *short, *only)), 0o644)) //nolint:gosec // a document
	}
	return err
}

// measure runs the goals one after the other. One that cannot be measured does not hide the others.
func measure(ctx context.Context, e env, chosen []goal, out io.Writer) ([]table, error) {
	var tables []table
	var errs []error
	for _, g := range chosen {
		began := time.Now()
		t := table{goal: g, load: load1()}
		err := g.run(ctx, e, &t)
		if ctx.Err() != nil {
			return tables, ctx.Err()
		}
		if err != nil {
			if _, lacking := errors.AsType[missing](err); !lacking {
				errs = append(errs, fmt.Errorf("%s: %w", g.id, err))
			}
			t.verdict = "NOT MEASURED: " + strings.ReplaceAll(err.Error(), "\n", "; ")
		}
		t.took = time.Since(began)
		fmt.Fprint(out, t.markdown())
		tables = append(tables, t)
	}
	return tables, errors.Join(errs...)
}

// missing is what this machine lacks for a goal: the others are measured all the same, and the command does not fail.
type missing string

func (m missing) Error() string { return string(m) }

func choose(all []goal, only string) []goal {
	if only == "" {
		return all
	}
	var out []goal
	for _, g := range all {
		for prefix := range strings.SplitSeq(only, ",") {
			if strings.HasPrefix(g.id, prefix) {
				out = append(out, g)
				break
			}
		}
	}
	return out
}
