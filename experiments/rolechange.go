package experiments

import (
	"slices"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// moveWithin is how long a role change that was asked for may take before its effect counts as unproven.
const moveWithin = drills.Duration(time.Minute)

// node is a member as its control plane may call it: by name or by address.
type node struct {
	Member    string   `json:"member"`
	Names     []string `json:"names,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
}

func nodeOf(m drills.Member) node {
	n := node{Member: m.Name, Names: []string{m.Name}, Addresses: m.Addresses()}
	if m.Service != "" && m.Service != m.Name {
		n.Names = append(n.Names, m.Service)
	}
	if len(m.ID) >= 12 {
		n.Names = append(n.Names, m.ID[:12]) // a container's hostname, unless it was given one
	}
	return n
}

// is tells whether a host, as a control plane announces it, means this node.
func (n node) is(host string) bool {
	return host != "" && (slices.Contains(n.Names, host) || slices.Contains(n.Addresses, host))
}

// roleSource checks that a step's one target is the primary of a component whose roles come from that source.
func roleSource(s drills.Scene, fault, from string) (drills.Member, *drills.RoleSource, error) {
	if err := noDuration(s, fault); err != nil {
		return drills.Member{}, nil, err
	}
	if len(s.Targets) != 1 {
		return drills.Member{}, nil, drills.Errorf(drills.Input, "target the primary: `role: primary`", "%s moves one role, but %d members are targeted", fault, len(s.Targets))
	}
	m := s.Targets[0]
	if m.Role != "primary" {
		return m, nil, drills.Errorf(drills.Blocked, "target the primary: `role: primary`", "%s needs the primary, and %s is %q", fault, m.Name, m.Role)
	}
	if s.System == nil || s.System.Components[m.Component].Roles == nil || s.System.Components[m.Component].Roles.From != from {
		return m, nil, drills.Errorf(drills.Blocked, "see `roles:` in the system file", "%s needs a component whose roles come from %s; those of %q do not", fault, from, m.Component)
	}
	return m, s.System.Components[m.Component].Roles, nil
}
