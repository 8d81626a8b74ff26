// Command simulacro runs disaster-recovery drills against a real system and writes the evidence.
//
// It is the only place that knows every package: everything is wired here. The same static binary is the orchestrator
// and, as `simulacro _agent NAME`, every process of ours that runs beside or inside the system.
package main

import (
	"context"
	"io"
	"os"
)

// version is set by the Makefile (-ldflags -X main.version=…).
var version = "dev"

// env is the world of one invocation, so that tests can call run.
type env struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	lookup func(string) (string, bool)
	binary string // the static binary that agents are started from; empty: this one
}

func main() {
	e := &env{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, lookup: os.LookupEnv}
	e.binary, _ = os.LookupEnv("SIMULACRO_BINARY")
	os.Exit(run(context.Background(), os.Args[1:], e))
}
