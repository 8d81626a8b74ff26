package experiments

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// Path is the part of a target's traffic that a fault acts on. Everything given must match; nothing given is all that the
// target exchanges with others, our own probes included: to it, they are users.
type Path struct {
	Peers     []drills.Target `yaml:"peers" json:"peers,omitempty"`
	Hosts     []string        `yaml:"hosts" json:"hosts,omitempty"`         // names outside the system, resolved inside the target
	Direction string          `yaml:"direction" json:"direction,omitempty"` // as the target sees it: out, in, both
	Ports     []int           `yaml:"ports" json:"ports,omitempty"`         // the peers'
	OwnPorts  []int           `yaml:"own-ports" json:"own-ports,omitempty"` // the target's
	Protocol  string          `yaml:"protocol" json:"protocol,omitempty"`   // tcp, udp, icmp; default all
}

func (p Path) validate(fault string) error {
	bad := func(hint, format string, args ...any) error {
		return drills.Errorf(drills.Input, hint, fault+": "+format, args...)
	}
	for _, t := range p.Peers {
		if t.Component == "" {
			return bad("", "peers: every entry needs a component")
		}
		if t.Pick != "" && t.Pick != "all" {
			return bad("name the peers with `names:` instead", "peers: pick is not used: all that match are meant")
		}
	}
	if slices.Contains(p.Hosts, "") {
		return bad("", "hosts: a name is empty")
	}
	if !slices.Contains([]string{helper.Both, helper.In, helper.Out}, p.Direction) {
		return bad("", "direction: must be both, in or out, found %q", p.Direction)
	}
	if !slices.Contains([]string{"", helper.TCP, helper.UDP, helper.ICMP}, p.Protocol) {
		return bad("", "protocol: must be tcp, udp or icmp, found %q", p.Protocol)
	}
	ports := slices.Concat(p.Ports, p.OwnPorts)
	for _, port := range ports {
		if port < 1 || port > 65535 {
			return bad("", "ports: %d is not a port", port)
		}
	}
	if len(ports) > 0 && p.Protocol == helper.ICMP {
		return bad("remove one of them", "icmp has no ports")
	}
	return nil
}

func (p Path) spec() helper.Path {
	return helper.Path{Hosts: p.Hosts, Direction: p.Direction, Ports: p.Ports, OwnPorts: p.OwnPorts, Protocol: p.Protocol}
}

// trafficArgs are the arguments of every net.* verb that is neither a partition nor a heal.
type trafficArgs struct {
	Mark  string        `json:"mark"`
	Peers []peerAddress `json:"peers,omitempty"`
	helper.Path
	helper.Effects
	Seed  uint64          `json:"seed"` // of the packets' lots
	Prove drills.Duration `json:"prove,omitempty"`
}

func (a trafficArgs) spec() helper.TrafficSpec {
	return helper.TrafficSpec{
		Kind: helper.KindTraffic, Op: a.Mark, Lease: drills.Duration(helperLease), Seed: a.Seed,
		Path: withPeers(a.Path, a.Peers), Effects: a.Effects,
	}
}

// trafficKind is a registry entry of a fault on traffic.
func trafficKind[F drills.Fault](kind, verb, summary, proof string, blank func() F) drills.Kind {
	return kindOf(drills.Info{
		Kind:     kind,
		Summary:  summary,
		Class:    drills.ClassUndo,
		Verbs:    []string{verb, verbHeal},
		Duration: "required",
		Proof:    proof,
		Undo:     "rules, queue and netem are removed and what waits is let go; rules and queue also vanish when the helper dies, freezes, loses its stream or its lease, and nothing comes to netem without them",
	}, blank)
}

// onTraffic plans one effect on each target's traffic along a path.
func onTraffic(s drills.Scene, fault, verb string, path Path, effects helper.Effects) ([]drills.Change, error) {
	if err := needDuration(s, fault+" stays in force"); err != nil {
		return nil, err
	}
	peers, err := peersOf(s, path.Peers, "peers")
	if err != nil {
		return nil, err
	}
	var out []drills.Change
	for i, m := range s.Targets {
		if err := running(m); err != nil {
			return nil, err
		}
		args := trafficArgs{Mark: mark(s, m), Path: path.spec(), Effects: effects, Seed: uint64(i) + 1, Prove: proveWithin}
		if args.Peers, err = addressesOf(peers, m); err != nil {
			return nil, err
		}
		c, err := change(s, m, plan{class: drills.ClassUndo, do: verb, undo: verbHeal}, args, healArgs{Mark: args.Mark})
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// Percent is a share of packets, written "10%" in files; its value is 0..1.
type Percent float64

// UnmarshalText reads "10%" or "0.5%".
func (p *Percent) UnmarshalText(b []byte) error {
	number, ok := strings.CutSuffix(strings.TrimSpace(string(b)), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if !ok || err != nil || math.IsNaN(v) || v < 0 || v > 100 {
		return fmt.Errorf("%q is not a percentage such as 10%% or 0.5%%", b)
	}
	*p = Percent(v / 100)
	return nil
}

// MarshalText writes it as it is read.
func (p Percent) MarshalText() ([]byte, error) {
	return []byte(strconv.FormatFloat(float64(p)*100, 'g', -1, 64) + "%"), nil
}

// needShare refuses a share that does nothing.
func needShare(fault string, p Percent) error {
	if p > 0 {
		return nil
	}
	return drills.Errorf(drills.Input, "for example `share: 10%`", "%s: share: must be above 0%%", fault)
}
