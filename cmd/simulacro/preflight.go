package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/journal"
)

// check makes a preflight out of a function.
type check func(context.Context, *drills.Drill) []drills.Check

func (c check) Check(ctx context.Context, d *drills.Drill) []drills.Check { return c(ctx, d) }

// preflights are asked before anything is injected, all of them.
func (s *session) preflights() []drills.Preflight {
	return []drills.Preflight{check(s.checkHalt), check(s.checkEnvironment), check(s.checkEngine), check(s.checkSecrets), check(s.checkNeeds), check(s.checkLeftovers)}
}

func (s *session) checkHalt(context.Context, *drills.Drill) []drills.Check {
	if o, halted := (journal.Control{Root: s.app.runs}).Halted(); halted {
		return []drills.Check{{Name: "not halted", Expected: "no halt in force", Actual: o.String(), Hint: "`simulacro resume` takes it back"}}
	}
	return []drills.Check{{Name: "not halted", OK: true}}
}

// checkEnvironment refuses production until approvals exist, and every environment that the drill does not name.
func (s *session) checkEnvironment(_ context.Context, d *drills.Drill) []drills.Check {
	env := s.system.Environment
	c := drills.Check{Name: "environment", Expected: strings.Join(d.Environments, ", "), Actual: env, OK: slices.Contains(d.Environments, env)}
	if env == "production" {
		c.OK, c.Actual = false, "production is refused: approvals (who, ticket, the drill's digest) do not exist yet"
	}
	if !c.OK {
		c.Hint = "the drill's `environments:` must name the system's environment, and production needs approvals"
	}
	return []drills.Check{c}
}

// checkEngine compares the engine with the pin of the system file: the wrong host is the worst thing to break.
func (s *session) checkEngine(_ context.Context, d *drills.Drill) []drills.Check {
	pin, id := s.system.Runtime.Docker.EngineID, s.engine.ID()
	c := drills.Check{Name: "identity: engine id", Expected: pin, Actual: id, OK: pin == id}
	if pin == "" {
		c.OK, c.Expected = s.system.Environment == "reference", "not pinned (environment reference)"
		c.Hint = "put runtime.docker.engine-id: " + id + " into the system file; only environment reference may leave it out"
	}
	return []drills.Check{c}
}

// checkSecrets resolves every reference, so that a missing one is found before anything is broken.
func (s *session) checkSecrets(context.Context, *drills.Drill) []drills.Check {
	var out []drills.Check
	for _, ref := range secretRefs(s.system) {
		if _, err := s.expand(ref); err != nil {
			out = append(out, drills.Check{Name: "secrets", Expected: ref, Actual: err.Error()})
		}
	}
	if len(out) == 0 {
		out = append(out, drills.Check{Name: "secrets", OK: true, Actual: "all references resolve"})
	}
	return out
}

// secretRefs finds every string of the system that holds a reference, wherever it stands.
func secretRefs(sys *drills.System) []string {
	raw, err := json.Marshal(sys)
	if err != nil {
		return nil // it was read from a file a moment ago
	}
	var tree any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return nil
	}
	var out []string
	walkStrings(tree, func(s string) {
		if strings.Contains(s, "${") && !slices.Contains(out, s) {
			out = append(out, s)
		}
	})
	slices.Sort(out)
	return out
}

func walkStrings(v any, visit func(string)) {
	switch x := v.(type) {
	case string:
		visit(x)
	case []any:
		for _, e := range x {
			walkStrings(e, visit)
		}
	case map[string]any:
		for _, e := range x {
			walkStrings(e, visit)
		}
	}
}

// checkLeftovers refuses to start on top of what an earlier run left behind.
func (s *session) checkLeftovers(ctx context.Context, _ *drills.Drill) []drills.Check {
	c := drills.Check{Name: "no leftovers", Expected: "nothing of an earlier run", Hint: "run `simulacro restore`"}
	left, err := s.engine.Leftovers(ctx)
	switch {
	case err != nil:
		c.Actual = err.Error()
	case len(left) > 0:
		c.Actual = fmt.Sprint(left)
	default:
		c.OK = true
	}
	crashed, err := crashedRuns(s.app.runs, s.system.Runtime.Docker.Project)
	if err != nil || len(crashed) > 0 {
		c.OK, c.Actual = false, fmt.Sprintf("%d run(s) crashed and were not restored: %s %v", len(crashed), strings.Join(ids(crashed), ", "), err)
	}
	return []drills.Check{c}
}

func ids(runs []journal.Info) []string {
	var out []string
	for _, r := range runs {
		out = append(out, r.ID)
	}
	return out
}
