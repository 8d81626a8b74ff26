package drills

import (
	"fmt"
	"slices"
)

// Plan is what a drill would do to a system as it is now: every change with its inverse, in order. It touches nothing.
type Plan struct {
	Steps []PlannedStep `json:"steps"`
}

// PlannedStep is one step with its resolved targets and changes.
type PlannedStep struct {
	Step    Step     `json:"step"`
	Targets []Member `json:"targets"`
	Changes []Change `json:"changes"`
}

// Changes lists every change of the plan in order.
func (p Plan) Changes() []Change {
	var out []Change
	for _, s := range p.Steps {
		out = append(out, s.Changes...)
	}
	return out
}

// targets are those that a step had in the plan.
func (p Plan) targets(step string) []Member {
	for _, s := range p.Steps {
		if s.Step.ID == step {
			return s.Targets
		}
	}
	return nil
}

// MakePlan plans every step against one topology. All errors are returned at once, one per step.
func MakePlan(d *Drill, sys *System, t Topology, run string) (Plan, []error) {
	var p Plan
	var errs []error
	for _, s := range d.Method {
		ps, err := PlanStep(s, sys, t, run, nil)
		if err != nil {
			errs = append(errs, fmt.Errorf("step %s: %w", s.ID, err))
			continue
		}
		p.Steps = append(p.Steps, ps)
	}
	return p, append(errs, duplicates(p)...)
}

// PlanStep resolves one step against a topology and gives its changes their ids. planned are the step's targets in the plan
// of the run; nil means that this is it.
func PlanStep(s Step, sys *System, t Topology, run string, planned []Member) (PlannedStep, error) {
	targets, err := t.Select(s.Target, s.Seed, 0)
	if err != nil {
		return PlannedStep{}, err
	}
	if planned == nil {
		planned = targets
	}
	changes, err := s.Plan.Plan(Scene{Topology: t, Step: s.ID, Targets: targets, Planned: planned, Duration: s.Duration, Run: run, System: sys})
	if err != nil {
		return PlannedStep{}, err
	}
	if len(changes) == 0 {
		return PlannedStep{}, Errorf(Blocked, "", "fault %s planned no change: it would prove nothing", s.Fault)
	}
	if !onlyLoad(changes) && !s.Below { // work that is put on a member takes it away from nobody
		if err := t.keeps(s.Target.Component, targets, sys.Components[s.Target.Component].KeepHealthy); err != nil {
			return PlannedStep{}, err
		}
	}
	for i := range changes {
		if err := complete(&changes[i], s, i, sys, t); err != nil {
			return PlannedStep{}, err
		}
	}
	return PlannedStep{Step: s, Targets: targets, Changes: changes}, nil
}

func onlyLoad(changes []Change) bool {
	return !slices.ContainsFunc(changes, func(c Change) bool { return c.Do.Prefix() != "load" && c.Do.Prefix() != "clients" })
}

func complete(c *Change, s Step, i int, sys *System, t Topology) error {
	c.ID = fmt.Sprintf("%s.%d", s.ID, i+1)
	c.Step, c.Fault, c.Duration = s.ID, s.Fault, s.Duration
	c.Do.ID, c.Undo.ID = c.ID+".do", c.ID+".undo"
	if c.Member == "" {
		m, _ := t.Member(c.Do.Target)
		c.Member = m.Name
	}
	if c.Class == ClassIrreversible && !sys.Disposable {
		return Errorf(Blocked, "only a system that says disposable: true may be broken for good", "fault %s cannot be undone", s.Fault)
	}
	if !slices.Contains(t.Verbs, c.Do.Prefix()) {
		return Errorf(Blocked, "see `simulacro doctor`", "nothing here can do %s", c.Do.Verb)
	}
	return nil
}

// duplicates refuses two identical acts on one target: undoing one would undo, or seem to leave, the other.
func duplicates(p Plan) []error {
	seen := map[string]string{}
	var errs []error
	for _, c := range p.Changes() {
		key := c.Do.Verb + " " + c.Do.Target + " " + string(c.Do.Args)
		if other, ok := seen[key]; ok {
			errs = append(errs, Errorf(Input, "give one of them another target", "changes %s and %s are the same act", other, c.ID))
		}
		seen[key] = c.ID
	}
	return errs
}
