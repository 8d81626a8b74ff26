package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/eevans-d/simulacro/compose"
	"github.com/eevans-d/simulacro/drills"
)

// orchestrate is an orchestrator to be killed: it takes the guard of a project, starts an agent inside the project's
// network, and does what the changes (JSON, one per argument) say. Then it prints "held" and waits for its fate; it
// prints "lost" when its guard is lost.
func orchestrate(ctx context.Context, project, run string, changes []string) error {
	e, err := compose.Open(ctx, compose.Options{Project: project})
	if err != nil {
		return err
	}
	labels := compose.RunLabels{Run: run}
	g, err := e.Guard(ctx, labels)
	if err != nil {
		return err
	}
	agent, err := e.Launcher(labels).Start(ctx, drills.Place{Kind: drills.PlaceNetwork, Network: "net", Name: "vantage"}, []string{"_agent", "echo"})
	if err != nil {
		return err
	}
	// It does not end by itself: somebody has to remove it.
	if err := agent.Send(drills.Frame{Type: "spec", Data: json.RawMessage(`{"hang":true}`)}); err != nil {
		return err
	}
	units := e.RunUnits(labels)
	for _, raw := range changes {
		var c drills.Change
		if err := json.Unmarshal([]byte(raw), &c); err != nil {
			return err
		}
		if err := g.Intend(ctx, c); err != nil {
			return err
		}
		if _, err := units.Apply(ctx, c.Do); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(os.Stdout, "held"); err != nil {
		return err
	}
	<-g.Lost()
	if _, err := fmt.Fprintln(os.Stdout, "lost", g.Err()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
