package experiments

import (
	"math"

	"github.com/eevans-d/simulacro/drills"
)

// FileDescriptors lowers the soft limit of open files of a member's main process, so that those that it has open are a share
// of it, or nearly all of it. Nothing is opened, and nothing outside of the member is touched.
type FileDescriptors struct {
	Use  Percent `yaml:"use" json:"use,omitempty"`   // of the limit that is then in use
	Left *int    `yaml:"left" json:"left,omitempty"` // how many it may still open
	To   int     `yaml:"to" json:"to,omitempty"`     // the limit itself
}

// leastNofile keeps a process able to do anything at all.
const leastNofile = 4

func fileDescriptorsKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "file-descriptors",
		Summary:  "Let a member's main process open hardly any further file or connection, by its soft limit",
		Class:    drills.ClassUndo,
		Verbs:    []string{"unit.nofile", "unit.nofile-back"},
		Duration: "required",
		Proof:    "the limit read back from the process",
		Undo:     "the limit is raised to what it was, on the main process and on children that inherited it",
	}, func() *FileDescriptors { return new(FileDescriptors) })
}

// Validate checks the parameters.
func (f *FileDescriptors) Validate() error {
	given := 0
	for _, x := range []bool{f.Use > 0, f.Left != nil, f.To != 0} {
		if x {
			given++
		}
	}
	switch {
	case given != 1:
		return drills.Errorf(drills.Input, "for example `use: 90%`", "file-descriptors: exactly one of use, left and to is needed")
	case f.To < 0 || f.Left != nil && *f.Left < 0:
		return drills.Errorf(drills.Input, "", "file-descriptors: a number is below zero")
	}
	return nil
}

type nofileArgs struct {
	Nofile    int64 `json:"nofile"`
	NofileWas int64 `json:"nofile_was"`
}

// Plan lowers the limit of each target.
func (f *FileDescriptors) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "file-descriptors stays in force"); err != nil {
		return nil, err
	}
	var out []drills.Change
	for _, m := range s.Targets {
		if err := running(m); err != nil {
			return nil, err
		}
		to, err := f.limit(m)
		if err != nil {
			return nil, err
		}
		a := nofileArgs{Nofile: to, NofileWas: m.Limits[haveNofile]}
		c, err := change(s, m, plan{class: drills.ClassUndo, do: "unit.nofile", undo: "unit.nofile-back"}, a, a)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func (f *FileDescriptors) limit(m drills.Member) (int64, error) {
	was, open, to := m.Limits[haveNofile], m.Limits[haveFiles], int64(f.To)
	blind := func(what, hint string) error {
		return drills.Errorf(drills.Blocked, hint, "this host does not let us see %s of %s", what, m.Name)
	}
	switch {
	case was <= 0:
		return 0, blind("the limit of open files", "run simulacro on the engine's host itself, outside of a container")
	case to == 0 && open <= 0:
		return 0, blind("the open files", "run simulacro as root, or say the limit itself, such as `to: 64`")
	case f.Left != nil:
		to = open + int64(*f.Left)
	case f.Use > 0:
		to = int64(math.Ceil(float64(open) / float64(f.Use)))
	}
	to = max(to, leastNofile)
	return to, lower(m, "open files", to, was)
}
