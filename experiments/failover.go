package experiments

import "github.com/eevans-d/simulacro/drills"

// Failover asks Patroni to make a member primary without an orderly hand-over: Patroni does not first check that the old
// primary is well, and in asynchronous mode writes may be lost.
type Failover struct {
	To string `yaml:"to" json:"to,omitempty"` // member name; default: the first running replica
}

func failoverKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "failover",
		Summary:  "Ask Patroni to promote a member at once (manual failover)",
		Class:    drills.ClassHeals,
		Verbs:    []string{verbFailover},
		Duration: "none",
		Proof:    "another member answers as primary",
		Undo:     "none: the old primary becomes a replica by itself",
	}, func() *Failover { return new(Failover) })
}

// Plan promotes another member than the targeted primary.
func (f *Failover) Plan(s drills.Scene) ([]drills.Change, error) {
	m, src, err := roleSource(s, "failover", "patroni")
	if err != nil {
		return nil, err
	}
	to, err := candidate(s, m, f.To)
	if err != nil {
		return nil, err
	}
	args := postgresArgs{Mark: mark(s, m), Within: moveWithin, From: nodeOf(m), To: to}
	if args.REST, err = restOf(s.Of(m.Component), *src); err != nil {
		return nil, err
	}
	return each(s, plan{class: drills.ClassHeals, do: verbFailover, doArgs: args})
}
