package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"github.com/eevans-d/simulacro/drills"
)

// commandPoll is how often a query is asked again while an effect is waited for.
const commandPoll = 200 * time.Millisecond

// runner runs one command and returns its exit code and the end of what it said.
type runner func(ctx context.Context, target string, argv, env []string) (code int, said string, err error)

// commands is the actuator of command.*: acts that a drill pairs with their own undo and query.
type commands struct {
	member, host runner                       // host nil: nothing runs beside us, as in the guard
	expand       func(string) (string, error) // nil: a reference to a secret cannot be resolved here
	once         drills.Once
}

// Commands is the actuator of the command.* verbs. expand resolves references to secrets at the moment of use.
func (e *Engine) Commands(expand func(string) (string, error)) drills.Actuator {
	return &commands{member: e.exec, host: runHere, expand: expand}
}

// Apply does a command (at most once per op) or its undo (idempotent, and only while the effect is there).
func (c *commands) Apply(ctx context.Context, op drills.Op) (drills.Effect, error) {
	a, run, err := c.read(ctx, op)
	if err != nil {
		return drills.Effect{}, err
	}
	switch op.Verb {
	case drills.VerbExec, drills.VerbRun:
		return c.once.Do(ctx, op.ID, func() (drills.Effect, error) { return a.do(ctx, op, run) })
	}
	return a.undo(ctx, op, run)
}

// Present asks the query.
func (c *commands) Present(ctx context.Context, op drills.Op) (bool, error) {
	a, run, err := c.read(ctx, op)
	if err != nil {
		return false, err
	}
	there, err := a.query(ctx, op, run)
	if errdefs.IsNotFound(err) {
		return false, nil // the member is gone, and what was inside it
	}
	return there, err
}

// act is an op's commands with their secrets in place.
type act struct {
	drills.CommandArgs
	env     []string
	secrets []string
}

func (c *commands) read(ctx context.Context, op drills.Op) (act, runner, error) {
	var a act
	if ctx.Err() != nil {
		return a, nil, fmt.Errorf("%s: %w", op.Verb, context.Cause(ctx))
	}
	if err := op.Decode(&a.CommandArgs); err != nil {
		return a, nil, err
	}
	run := c.member
	switch op.Verb {
	case drills.VerbExec, drills.VerbUnexec:
	case drills.VerbRun, drills.VerbUnrun:
		run = c.host
	default:
		return a, nil, fmt.Errorf("%q is not a verb of commands", op.Verb)
	}
	if run == nil {
		return a, nil, drills.Errorf(drills.Blocked, "run `simulacro restore` where the drill ran", "%s: commands of the host cannot be run here", op.Verb)
	}
	return a, run, a.resolve(c.expand)
}

// resolve puts secrets into the environment and the arguments.
func (a *act) resolve(expand func(string) (string, error)) error {
	value := func(s string) (string, error) {
		if !strings.Contains(s, "${") {
			return s, nil
		}
		if expand == nil {
			return "", errors.New("a reference to a secret cannot be resolved here")
		}
		v, err := expand(s)
		a.secrets = append(a.secrets, v)
		return v, err
	}
	var errs []error
	for _, k := range slices.Sorted(maps.Keys(a.Env)) {
		v, err := value(a.Env[k])
		errs = append(errs, err)
		a.env = append(a.env, k+"="+v)
	}
	for _, argv := range []*[]string{&a.Do, &a.Undo, &a.Query} {
		out := slices.Clone(*argv)
		for i := range out {
			v, err := value(out[i])
			errs = append(errs, err)
			out[i] = v
		}
		*argv = out
	}
	return errors.Join(errs...)
}

func (a *act) run(ctx context.Context, op drills.Op, run runner, argv []string) (int, string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, a.Timeout.D(), fmt.Errorf("%s did not end within %s", argv[0], a.Timeout))
	defer cancel()
	code, said, err := run(ctx, op.Target, argv, a.env)
	for _, s := range a.secrets {
		said = strings.ReplaceAll(said, s, "***")
	}
	if err != nil {
		return code, said, fmt.Errorf("%s: run %s: %w", op.Verb, argv[0], err)
	}
	return code, said, nil
}

// query tells whether the effect is there.
func (a *act) query(ctx context.Context, op drills.Op, run runner) (bool, error) {
	code, said, err := a.run(ctx, op, run, a.Query)
	switch {
	case err != nil:
		return false, err
	case code == 0 || code == 1:
		return code == 0, nil
	}
	return false, fmt.Errorf("%s: the query ended with %d, which says neither yes (0) nor no (1): %s", op.Verb, code, said)
}

// until asks the query until it says so, for as long as a command may take.
func (a *act) until(ctx context.Context, op drills.Op, run runner, want bool) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, a.Timeout.D())
	defer cancel()
	for {
		there, err := a.query(ctx, op, run)
		if err != nil || there == want {
			return there == want, err
		}
		if !drills.Wait(ctx, commandPoll) {
			return false, nil
		}
	}
}

type commandEvidence struct {
	Argv []string `json:"argv"` // as the drill has it: references, not values
	Exit int      `json:"exit"`
	Said string   `json:"said,omitempty"`
}

func (a *act) do(ctx context.Context, op drills.Op, run runner) (drills.Effect, error) {
	if there, err := a.query(ctx, op, run); err != nil || there {
		if there {
			err = drills.Errorf(drills.Blocked, "undo it by hand, or mend the query", "%s: the effect is there already: it would not be ours to undo", op.Verb)
		}
		return drills.Effect{}, err
	}
	e := drills.Effect{From: time.Now().UTC(), Source: "the drill's query"}
	if err := a.mustRun(ctx, op, run, a.Do, &e); err != nil {
		return drills.Effect{}, err
	}
	there, err := a.until(ctx, op, run, true)
	e.To, e.Proven = time.Now().UTC(), there
	return e, err
}

func (a *act) undo(ctx context.Context, op drills.Op, run runner) (drills.Effect, error) {
	now := time.Now().UTC()
	there, err := a.query(ctx, op, run)
	switch {
	case errdefs.IsNotFound(err):
		return drills.Effect{From: now, To: now, Source: "docker exec", Proven: true, Skipped: "the member is gone: removed or replaced by somebody"}, nil
	case err != nil:
		return drills.Effect{}, err
	case !there:
		return drills.Effect{From: now, To: time.Now().UTC(), Source: "the drill's query", Proven: true, Skipped: "the effect is not there: nothing to undo"}, nil
	}
	e := drills.Effect{From: now, Source: "the drill's query"}
	if err := a.mustRun(ctx, op, run, a.Undo, &e); err != nil {
		return drills.Effect{}, err
	}
	gone, err := a.until(ctx, op, run, false)
	e.To, e.Proven = time.Now().UTC(), gone
	return e, err
}

// mustRun runs a command that has to end with 0.
func (a *act) mustRun(ctx context.Context, op drills.Op, run runner, argv []string, e *drills.Effect) error {
	code, said, err := a.run(ctx, op, run, argv)
	if err == nil && code != 0 {
		err = fmt.Errorf("%s: %s ended with %d: %s", op.Verb, argv[0], code, said)
	}
	if err != nil {
		return err
	}
	var raw drills.CommandArgs
	if err := op.Decode(&raw); err != nil {
		return err
	}
	ev := commandEvidence{Argv: raw.Do, Exit: code, Said: said}
	if op.Verb == drills.VerbUnexec || op.Verb == drills.VerbUnrun {
		ev.Argv = raw.Undo
	}
	e.Evidence, err = json.Marshal(ev)
	return err
}
