package experiments

import "github.com/eevans-d/simulacro/drills"

// Processes leaves a member no room for further processes and threads.
type Processes struct {
	Left *int `yaml:"left" json:"left,omitempty"` // how many it may still start
	To   int  `yaml:"to" json:"to,omitempty"`     // how many it may have in all
}

func processesKind() drills.Kind {
	return limitKind("processes", "Leave a member no room for further processes and threads, by the limit of its control group",
		"the engine's update event, and the limit that the kernel states", func() *Processes { return new(Processes) })
}

// Validate checks the parameters.
func (f *Processes) Validate() error {
	switch {
	case (f.Left != nil) == (f.To > 0):
		return drills.Errorf(drills.Input, "for example `left: 0`", "processes: exactly one of left and to is needed")
	case f.To < 0 || f.Left != nil && *f.Left < 0:
		return drills.Errorf(drills.Input, "", "processes: a number is below zero")
	}
	return nil
}

// Plan limits each target to what it has now and what is left to it.
func (f *Processes) Plan(s drills.Scene) ([]drills.Change, error) {
	return onLimits(s, "processes", func(m drills.Member) (limitArgs, error) {
		have, was, to := m.Limits[havePIDs], m.Limits[limitPIDs], int64(f.To)
		if f.Left != nil {
			if have <= 0 {
				return limitArgs{}, drills.Errorf(drills.Blocked, "say how many it may have in all, such as `to: 20`", "this host does not let us see how many processes %s has", m.Name)
			}
			to = have + int64(*f.Left)
		}
		if err := lower(m, "process", to, was); err != nil {
			return limitArgs{}, err
		}
		if was <= 0 {
			was = -1
		}
		return limitArgs{Limit: limits{PIDs: to}, Was: limits{PIDs: was}}, nil
	})
}
