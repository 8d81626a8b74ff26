package experiments

import (
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// Where commands run.
const (
	inMember = "member"
	inHost   = "host"
)

// Command does what the drill says, for what has no fault of its own: a command, the command that undoes it, and the one that
// tells whether it is in effect. No shell is involved.
type Command struct {
	In        string            `yaml:"in" json:"in"`       // member: inside each target; host: beside the orchestrator
	Do        []string          `yaml:"do" json:"do"`       // must end with 0
	Undo      []string          `yaml:"undo" json:"undo"`   // must end with 0
	Query     []string          `yaml:"query" json:"query"` // ends with 0: the effect is there; 1: it is not
	Env       map[string]string `yaml:"env" json:"env,omitempty"`
	Timeout   drills.Duration   `yaml:"timeout" json:"timeout"`
	Unguarded bool              `yaml:"unguarded" json:"unguarded,omitempty"` // said by the author: the guard cannot undo this
}

func commandKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "command",
		Summary:  "Run a command in a member or on the host, with the command that undoes it and the one that tells whether it is in effect",
		Class:    drills.ClassUndo,
		Verbs:    []string{drills.VerbExec, drills.VerbUnexec, drills.VerbRun, drills.VerbUnrun},
		Duration: "required",
		Proof:    "the drill's own query said no before and yes afterwards",
		Undo:     "the drill's own undo, after which the query must say no; the guard does it too where it runs in a member and needs no secret",
	}, func() *Command { return &Command{In: inMember, Timeout: drills.Duration(10 * time.Second)} })
}

// Validate checks the parameters.
func (f *Command) Validate() error {
	bad := complaint("command").bad
	for name, argv := range map[string][]string{"do": f.Do, "undo": f.Undo, "query": f.Query} {
		if len(argv) == 0 || argv[0] == "" {
			return bad("%s: is required: a list such as [redis-cli, config, set, maxmemory, 1mb]", name)
		}
	}
	switch {
	case f.In != inMember && f.In != inHost:
		return bad("in: must be member or host, found %q", f.In)
	case f.Timeout <= 0 || f.Timeout.D() > time.Minute:
		return bad("timeout: must be above zero and at most 1m, found %s", f.Timeout)
	case f.unguarded() != "" && !f.Unguarded:
		return drills.Errorf(drills.Input, "say `unguarded: true` if a crash of the tool may leave it in effect until `simulacro restore` runs",
			"command: the guard cannot undo this: %s", f.unguarded())
	}
	return nil
}

// unguarded says why the guard cannot undo it; "" when it can.
func (f *Command) unguarded() string {
	if f.In == inHost {
		return "it has no access to the host's commands"
	}
	texts := slices.Concat(f.Undo, f.Query)
	for _, v := range f.Env {
		texts = append(texts, v)
	}
	if slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(s, "${") }) {
		return "it is given no secrets"
	}
	return ""
}

// Plan runs the command for each target.
func (f *Command) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "command stays in effect"); err != nil {
		return nil, err
	}
	if err := mayBeUnguarded(s, "command", f.unguarded()); err != nil {
		return nil, err
	}
	p := plan{class: drills.ClassUndo, do: drills.VerbExec, undo: drills.VerbUnexec}
	if f.In == inHost {
		if s.System == nil || !s.System.Limits.HostCommands {
			return nil, drills.Errorf(drills.Blocked, "say `limits: {host-commands: true}` in the system file", "command: this system's drills may not run commands on the host")
		}
		if len(s.Targets) > 1 {
			return nil, drills.Errorf(drills.Input, "target one member", "command: the same command of the host would run %d times", len(s.Targets))
		}
		p.do, p.undo = drills.VerbRun, drills.VerbUnrun
	}
	if why := f.unguarded(); why != "" {
		p.note = "unguarded: " + why
	}
	p.doArgs = drills.CommandArgs{Do: f.Do, Undo: f.Undo, Query: f.Query, Env: f.Env, Timeout: f.Timeout}
	p.undoArgs = func(drills.Member) any {
		return drills.CommandArgs{Undo: f.Undo, Query: f.Query, Env: f.Env, Timeout: f.Timeout}
	}
	return each(s, p)
}

// mayBeUnguarded refuses in production what only this process can undo.
func mayBeUnguarded(s drills.Scene, fault, why string) error {
	if why == "" || s.System == nil || s.System.Environment != "production" {
		return nil
	}
	return drills.Errorf(drills.Blocked, "write it so that the guard can undo it: in a member, without secrets", "%s: nothing unguarded is done in production: %s", fault, why)
}
