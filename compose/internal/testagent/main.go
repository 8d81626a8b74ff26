// Command testagent is the static binary of package compose's own Docker tests: it is the process inside the test
// members, an agent that reports what it is allowed to do, a helper that kills, the guard, and an orchestrator to be killed.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/eevans-d/simulacro/compose"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "testagent:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	name := strings.Join(args[:min(len(args), 2)], " ")
	switch {
	case name == "_agent guard":
		return compose.GuardMain(ctx, os.Stdin, os.Stdout)
	case name == "_agent helper":
		return helper(os.Stdin, os.Stdout)
	case name == "_agent echo":
		return echo(ctx, os.Stdin, os.Stdout)
	case args[0] == "sleep":
		<-ctx.Done()
		return nil
	case args[0] == "stubborn": // ignores SIGTERM
		signal.Ignore(syscall.SIGTERM)
		select {}
	case args[0] == "file":
		return file(args[1], args[2])
	case args[0] == "listen":
		return listen(ctx, args[1])
	case args[0] == "orchestrate":
		return orchestrate(ctx, args[1], args[2], args[3:])
	}
	return fmt.Errorf("unknown command %q", args)
}

// file makes or removes a file, or tells by its exit whether it is there.
func file(what, path string) error {
	switch what {
	case "make":
		return os.WriteFile(path, nil, 0o600)
	case "remove":
		return os.Remove(path)
	}
	_, err := os.Stat(path)
	return err
}
