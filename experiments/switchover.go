package experiments

import (
	"slices"

	"github.com/eevans-d/simulacro/drills"
)

// Switchover asks Patroni to hand the primary role over in an orderly way: the old primary shuts down cleanly first.
type Switchover struct {
	To string `yaml:"to" json:"to,omitempty"` // member name; default: Patroni chooses
	// Back is a fail back: whoever is primary by then hands the role to the one that was when the run was planned.
	Back bool `yaml:"back" json:"back,omitempty"`
}

func switchoverKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "switchover",
		Summary:  "Ask Patroni for an orderly hand-over of the primary role",
		Class:    drills.ClassHeals,
		Verbs:    []string{verbSwitchover},
		Duration: "none",
		Proof:    "another member answers as primary",
		Undo:     "none: the old primary becomes a replica by itself",
	}, func() *Switchover { return new(Switchover) })
}

// Validate checks the parameters.
func (f *Switchover) Validate() error {
	if f.Back && f.To != "" {
		return drills.Errorf(drills.Input, "remove one of them", "switchover: back: hands the role to the primary of the plan, to: to somebody else")
	}
	return nil
}

// Plan hands the role over from the targeted primary, or back to it.
func (f *Switchover) Plan(s drills.Scene) ([]drills.Change, error) {
	m, src, err := roleSource(s, "switchover", "patroni")
	if err != nil {
		return nil, err
	}
	args := postgresArgs{Mark: mark(s, m), Within: moveWithin, From: nodeOf(m)}
	to := f.To
	if f.Back {
		to = m.Name
		if len(s.Planned) == 1 {
			to = s.Planned[0].Name
		}
	}
	switch {
	case f.Back && to == m.Name: // it has not moved yet, and who will have it is not known
		args.From, args.To = node{}, new(nodeOf(m))
	case to != "":
		if args.To, err = candidate(s, m, to); err != nil {
			return nil, err
		}
	}
	if args.REST, err = restOf(s.Of(m.Component), *src); err != nil {
		return nil, err
	}
	return each(s, plan{class: drills.ClassHeals, do: verbSwitchover, doArgs: args})
}

// candidate finds the member that shall become primary: the named one, else the first running replica.
func candidate(s drills.Scene, primary drills.Member, name string) (*node, error) {
	all := s.Of(primary.Component)
	i := slices.IndexFunc(all, func(m drills.Member) bool {
		return m.ID != primary.ID && m.State == "running" && (m.Name == name || name == "" && m.Role == "replica")
	})
	if i < 0 {
		return nil, drills.Errorf(drills.Blocked, "see `simulacro status`", "no running member %s of %s could take over from %s", name, primary.Component, primary.Name)
	}
	n := nodeOf(all[i])
	return &n, nil
}
