package experiments

import "github.com/eevans-d/simulacro/drills"

// OutOfMemory takes memory in a member's control group beyond its limit, so that the kernel ends one of its processes.
type OutOfMemory struct{}

func outOfMemoryKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "out-of-memory",
		Summary:  "Have the kernel end a process of a member for want of memory under its limit",
		Class:    drills.ClassHeals,
		Verbs:    []string{"unit.oom", "unit.start"},
		Duration: "none",
		Proof:    "the engine's oom event",
		Undo:     "none is needed: what took the memory ends at once; a member that stayed down is started as a fallback recorded as ours",
	}, func() *OutOfMemory { return new(OutOfMemory) })
}

// Plan takes each target's memory.
func (*OutOfMemory) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := noDuration(s, "out-of-memory"); err != nil {
		return nil, err
	}
	for _, m := range s.Targets {
		if m.Limits[limitMemory] <= 0 {
			return nil, drills.Errorf(drills.Blocked, "give it a memory limit", "%s has no memory limit: the kernel would look for a victim on the whole host", m.Name)
		}
	}
	return each(s, plan{class: drills.ClassHeals, do: "unit.oom", undo: "unit.start", undoArgs: startedAt})
}
