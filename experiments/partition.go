package experiments

import (
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// proveWithin is how long a partition may wait for the first dropped packet.
const proveWithin = drills.Duration(5 * time.Second)

// Partition drops the packets between each target and some peers, at the target. Everybody else still reaches it.
type Partition struct {
	From      []drills.Target `yaml:"from" json:"from"`
	Hosts     []string        `yaml:"hosts" json:"hosts,omitempty"` // names outside the system
	Direction string          `yaml:"direction" json:"direction"`   // as the target sees it: both (default), in, out: one way only
	Ports     []int           `yaml:"ports" json:"ports,omitempty"` // the peers'
	OwnPorts  []int           `yaml:"own-ports" json:"own-ports,omitempty"`
	Protocol  string          `yaml:"protocol" json:"protocol,omitempty"`
}

func partitionKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "partition",
		Summary:  "Cut a member off from others at its own network namespace; whoever is not named still reaches it",
		Class:    drills.ClassUndo,
		Verbs:    []string{"net.partition", "net.heal"},
		Duration: "required",
		Proof:    "packets counted and dropped by our own nftables rules",
		Undo:     "the rules are removed; they also vanish when the helper dies, its stream closes or its lease ends",
	}, func() *Partition { return &Partition{Direction: helper.Both} })
}

// Validate checks the parameters.
func (p *Partition) Validate() error {
	if len(p.From) == 0 && len(p.Hosts) == 0 {
		return drills.Errorf(drills.Input, "for example `from: [{component: redis, role: replica}]`", "partition: from: must name who the target is cut off from")
	}
	return p.path().validate("partition")
}

func (p *Partition) path() Path {
	return Path{Peers: p.From, Hosts: p.Hosts, Direction: p.Direction, Ports: p.Ports, OwnPorts: p.OwnPorts, Protocol: p.Protocol}
}

// Plan cuts each target off from all peers' addresses on the networks that both are in.
func (p *Partition) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "partition cuts the member off"); err != nil {
		return nil, err
	}
	peers, err := peersOf(s, p.From, "from")
	if err != nil {
		return nil, err
	}
	var out []drills.Change
	for _, m := range s.Targets {
		if err := running(m); err != nil {
			return nil, err
		}
		args := partitionArgs{Mark: mark(s, m), Path: p.path().spec(), Prove: proveWithin}
		if args.Peers, err = addressesOf(peers, m); err != nil {
			return nil, err
		}
		c, err := change(s, m, plan{class: drills.ClassUndo, do: verbPartition, undo: verbHeal}, args, healArgs{Mark: args.Mark})
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// peersOf are the members that the targets mean, once each; field is what the drill calls them.
func peersOf(s drills.Scene, targets []drills.Target, field string) ([]drills.Member, error) {
	var out []drills.Member
	for _, t := range targets {
		found, err := s.Match(t)
		if err != nil {
			return nil, err
		}
		for _, m := range found {
			if slices.ContainsFunc(out, func(o drills.Member) bool { return o.ID == m.ID }) {
				continue
			}
			for label := range m.Labels {
				if strings.HasPrefix(label, "io.simulacro.role") {
					return nil, drills.Errorf(drills.Blocked, "narrow `"+field+"`", "%s is a process of simulacro: disturbing it would blind the drill", m.Name)
				}
			}
			out = append(out, m)
		}
	}
	return out, nil
}

func addressesOf(peers []drills.Member, target drills.Member) ([]peerAddress, error) {
	var out []peerAddress
	for _, p := range peers {
		if p.ID == target.ID {
			return nil, drills.Errorf(drills.Blocked, "narrow `from`, for example by role", "%s cannot be cut off from itself", p.Name)
		}
		before := len(out)
		for network, ip := range p.Networks {
			if ip != "" && target.Networks[network] != "" {
				out = append(out, peerAddress{Member: p.Name, IP: ip})
			}
		}
		if len(out) == before {
			return nil, drills.Errorf(drills.Blocked, "is the peer running?", "%s and %s share no network, so there is nothing to cut", target.Name, p.Name)
		}
	}
	slices.SortFunc(out, func(a, b peerAddress) int { return strings.Compare(a.Member+" "+a.IP, b.Member+" "+b.IP) })
	return out, nil
}
