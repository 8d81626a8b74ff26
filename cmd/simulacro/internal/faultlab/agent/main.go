// Command agent is the static binary of package faultlab's tests: the member that is drilled, every process of ours that the
// faults need, and an orchestrator to be killed.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/eevans-d/simulacro/compose"
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments"
	"github.com/eevans-d/simulacro/experiments/helper"
	"github.com/eevans-d/simulacro/verifier/load"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch name := strings.Join(args[:min(len(args), 2)], " "); {
	case name == "_agent helper":
		return helper.Main(ctx, os.Stdin, os.Stdout)
	case name == "_agent ws-quiet":
		return load.QuietMain(ctx, os.Stdin, os.Stdout)
	case name == "_agent guard":
		return compose.GuardMain(ctx, os.Stdin, os.Stdout)
	case args[0] == "orchestrate":
		return orchestrate(ctx, args[1], args[2], args[3])
	case args[0] == "serve":
		return serve(ctx, args[1:])
	case args[0] == "worker":
		<-ctx.Done()
		return nil
	}
	return fmt.Errorf("unknown command %q", args)
}

// serve is a member: it supervises as many workers as it is told, and starts them again when they die.
func serve(ctx context.Context, args []string) error {
	workers, size := 0, 0
	if len(args) > 0 {
		workers, _ = strconv.Atoi(args[0])
	}
	if len(args) > 1 {
		size, _ = strconv.Atoi(args[1])
	}
	held := bytes.Repeat([]byte{1}, size<<20) // to be larger than any process of ours
	defer runtime.KeepAlive(held)
	for range workers {
		go func() {
			for ctx.Err() == nil {
				_ = exec.CommandContext(ctx, "/proc/self/exe", "worker").Run()
			}
		}()
	}
	<-ctx.Done()
	return nil
}

// orchestrate takes the project's guard, does one change, says "held" and waits to be killed.
func orchestrate(ctx context.Context, project, run, change string) error {
	var c drills.Change
	if err := json.Unmarshal([]byte(change), &c); err != nil {
		return err
	}
	e, err := compose.Open(ctx, compose.Options{Project: project, Inside: os.Getenv("FAULTLAB_INSIDE") != ""})
	if err != nil {
		return err
	}
	labels := compose.RunLabels{Run: run}
	g, err := e.Guard(ctx, labels)
	if err != nil {
		return err
	}
	if err := g.Intend(ctx, c); err != nil {
		return err
	}
	unit, resource := e.RunUnits(labels), experiments.NewResources(e.Launcher(labels), nil, nil)
	acts := map[string]drills.Actuator{"unit": unit, "resource": resource, "wal": experiments.NewWAL(resource, unit, e.DialContext, nil)}
	effect, err := acts[c.Do.Prefix()].Apply(ctx, c.Do)
	if err != nil {
		return err
	}
	if !effect.Proven {
		return errors.New("not proven")
	}
	fmt.Fprintln(os.Stdout, "held")
	<-ctx.Done()
	return nil
}
