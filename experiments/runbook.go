package experiments

import (
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// The verbs of runbooks.
const (
	verbRunbook    = "runbook.begin"
	verbRunbookEnd = "runbook.end"
)

// itemWithin is how long a step of a runbook may take unless it says so.
const itemWithin = drills.Duration(10 * time.Minute)

// Runbook is what people do in a disaster, as data: steps that a person does and confirms by name, and steps that are
// commands. Each is shown, timed and kept in the record.
type Runbook struct {
	Title    string        `yaml:"title" json:"title"`
	Steps    []RunbookStep `yaml:"steps" json:"steps"`
	Files    []string      `yaml:"files" json:"files,omitempty"`       // that the runbook refers to; relative to the system file
	Services []string      `yaml:"services" json:"services,omitempty"` // of the system
	URLs     []string      `yaml:"urls" json:"urls,omitempty"`         // that must answer before the drill
}

// RunbookStep is one step: without a command a person does it.
type RunbookStep struct {
	Do      string          `yaml:"do" json:"do"`
	By      string          `yaml:"by" json:"by,omitempty"`           // who is meant to do it, such as dba
	Command []string        `yaml:"command" json:"command,omitempty"` // run on this host, in the system file's folder
	Within  drills.Duration `yaml:"within" json:"within,omitempty"`   // default 10m
}

// runbookArgs are the arguments of runbook.begin.
type runbookArgs struct {
	Runbook
	Step string `json:"step"`
}

func runbookKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "runbook",
		Summary:  "Carry out a runbook: steps of people, confirmed by name, and commands, each timed",
		Class:    drills.ClassUndo,
		Verbs:    []string{verbRunbook, verbRunbookEnd},
		Duration: "none",
		Proof:    "its first step was shown; then what came of every step",
		Undo:     "a command that still runs is killed with all it started; what has been done stays done",
	}, func() *Runbook { return new(Runbook) })
}

// Validate checks the parameters.
func (f *Runbook) Validate() error {
	const kind = complaint("runbook")
	if f.Title == "" {
		return kind.bad("title: is required: what the runbook is for")
	}
	if len(f.Steps) == 0 {
		return kind.bad("steps: at least one is needed, such as {do: Declare the incident, by: incident-lead}")
	}
	for i, s := range f.Steps {
		switch {
		case s.Do == "":
			return kind.bad("steps[%d]: do: is required: what is to be done, for a person to read", i)
		case s.Within < 0:
			return kind.bad("steps[%d]: within: cannot be negative", i)
		case len(s.Command) > 0 && (s.Command[0] == "" || s.By != ""):
			return kind.bad("steps[%d]: a command has a name, and nobody confirms it", i)
		}
	}
	return nil
}

// Needs implements drills.Needer: every command is needed too.
func (f *Runbook) Needs() drills.Needs {
	n := drills.Needs{Files: f.Files, Services: f.Services, URLs: f.URLs}
	for _, s := range f.Steps {
		if len(s.Command) > 0 {
			n.Files = append(n.Files[:len(n.Files):len(n.Files)], s.Command[0])
		}
	}
	return n
}

// Plan is one change: the whole runbook, on behalf of the first target's component.
func (f *Runbook) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := noDuration(s, "runbook"); err != nil {
		return nil, err
	}
	args := runbookArgs{Runbook: *f, Step: s.Step}
	args.Steps = append([]RunbookStep(nil), f.Steps...)
	for i := range args.Steps {
		if args.Steps[i].Within == 0 {
			args.Steps[i].Within = itemWithin
		}
	}
	c, err := change(s, s.Targets[0], plan{class: drills.ClassUndo, do: verbRunbook, undo: verbRunbookEnd, note: f.Title}, args, nil)
	return []drills.Change{c}, err
}
