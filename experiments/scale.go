package experiments

import (
	"slices"

	"github.com/eevans-d/simulacro/drills"
)

// Scale brings a component down to a number of running members, in an orderly way.
type Scale struct {
	To    int             `yaml:"to" json:"to"`
	Grace drills.Duration `yaml:"grace" json:"grace"` // between SIGTERM and SIGKILL
}

func scaleKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "scale",
		Summary:  "Bring a component down to a number of running members; the target comes first, then the last by name",
		Class:    drills.ClassUndo,
		Verbs:    []string{"unit.stop", "unit.start"},
		Duration: "required",
		Proof:    "the engine's die event of each member that is stopped",
		Undo:     "those that were stopped are started again, unless somebody has started them since",
	}, func() *Scale { return &Scale{Grace: grace} })
}

// Validate checks the parameters.
func (f *Scale) Validate() error {
	if f.To < 0 {
		return drills.Errorf(drills.Input, "", "scale: to: %d is below zero", f.To)
	}
	return validGrace("scale", f.Grace)
}

// Plan stops as many members as there are too many.
func (f *Scale) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "scale keeps members down"); err != nil {
		return nil, err
	}
	all, keep, err := wholeComponent(s)
	if err != nil {
		return nil, err
	}
	name := s.Targets[0].Component
	switch {
	case f.To >= len(all):
		return nil, drills.Errorf(drills.Blocked, "containers that do not exist yet are the business of whoever deploys them", "%s has %d running members: scaling to %d would stop none", name, len(all), f.To)
	case f.To < keep:
		return nil, drills.Errorf(drills.Blocked, "scale to at least as many", "scaling %s to %d would go below its keep-healthy of %d", name, f.To, keep)
	}
	slices.Reverse(all)
	s.Targets = targetFirst(s.Targets, all)[:len(all)-f.To]
	return each(s, plan{class: drills.ClassUndo, do: "unit.stop", doArgs: graceArgs{f.Grace}, undo: "unit.start", undoArgs: startedAt})
}

// wholeComponent lists the running members of the targets' component, by name, and how many must stay.
func wholeComponent(s drills.Scene) ([]drills.Member, int, error) {
	name := s.Targets[0].Component
	var out []drills.Member
	for _, m := range s.Of(name) {
		if m.State == "running" {
			out = append(out, m)
		}
	}
	if len(out) == 0 {
		return nil, 0, drills.Errorf(drills.Blocked, "bring it up before the drill", "component %q has no running member", name)
	}
	keep := 0
	if s.System != nil {
		keep = s.System.Components[name].KeepHealthy
	}
	return out, keep, nil
}

// targetFirst puts the selected members before the others.
func targetFirst(targets, all []drills.Member) []drills.Member {
	out := slices.Clone(targets)
	for _, m := range all {
		if !slices.ContainsFunc(out, func(x drills.Member) bool { return x.ID == m.ID }) {
			out = append(out, m)
		}
	}
	return slices.DeleteFunc(out, func(m drills.Member) bool { return m.State != "running" })
}
