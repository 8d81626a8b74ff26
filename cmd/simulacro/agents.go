package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/eevans-d/simulacro/compose"
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
	"github.com/eevans-d/simulacro/experiments/store"
	"github.com/eevans-d/simulacro/verifier"
	"github.com/eevans-d/simulacro/verifier/calibrate"
	"github.com/eevans-d/simulacro/verifier/load"
)

// agents are the processes of ours, by name: frames on stdin, frames on stdout.
func agents() map[string]func(context.Context, io.Reader, io.Writer) error {
	return map[string]func(context.Context, io.Reader, io.Writer) error{
		"helper":    helper.Main,
		"probe":     verifier.ProbeMain,
		"canary":    verifier.CanaryMain,
		"breakers":  verifier.BreakerMain,
		"rates":     verifier.RatesMain,
		"witness":   verifier.WitnessMain,
		"ws-load":   load.WebSocketMain,
		"ws-share":  load.ShareMain,
		"open-load": load.OpenMain,
		"ws-quiet":  load.QuietMain,
		"guard":     compose.GuardMain,

		"store-fault":        store.Main,
		calibrate.NullServer: calibrate.NullServerMain,
	}
}

func agentCmd() *cobra.Command {
	return &cobra.Command{Use: "_agent NAME", Hidden: true, Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		main, ok := agents()[args[0]]
		if !ok {
			return drills.Errorf(drills.Usage, "", "there is no agent %q", args[0])
		}
		return main(verifier.OwnProcess(c.Context()), c.InOrStdin(), c.OutOrStdout())
	}}
}
