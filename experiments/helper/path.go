package helper

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The protocols that a path may name; empty means every one.
const (
	TCP  = "tcp"
	UDP  = "udp"
	ICMP = "icmp"
)

// Path is the traffic that a fault acts on, as the target sees it. Without peers and hosts it is all that does not stay
// inside the target. Everything given must match.
type Path struct {
	Peers     []string `json:"peers,omitempty"`     // IPv4 or IPv6 addresses
	Hosts     []string `json:"hosts,omitempty"`     // names, resolved in the target's namespace and followed when they move
	Direction string   `json:"direction,omitempty"` // both, in or out; what empty means is the fault's business
	Ports     []int    `json:"ports,omitempty"`     // of the peers, over TCP and UDP unless Protocol says one
	OwnPorts  []int    `json:"own_ports,omitempty"` // of the target
	Protocol  string   `json:"protocol,omitempty"`
}

func (p Path) validate() error {
	if !slices.Contains([]string{"", Both, In, Out}, p.Direction) {
		return fmt.Errorf("spec: direction %q is not both, in or out", p.Direction)
	}
	if !slices.Contains([]string{"", TCP, UDP, ICMP}, p.Protocol) {
		return fmt.Errorf("spec: protocol %q is not tcp, udp or icmp", p.Protocol)
	}
	ports := slices.Concat(p.Ports, p.OwnPorts)
	for _, n := range ports {
		if n < 1 || n > 65535 {
			return fmt.Errorf("spec: %d is not a port", n)
		}
	}
	if len(ports) > 0 && p.Protocol == ICMP {
		return fmt.Errorf("spec: icmp has no ports")
	}
	return nil
}

// everyone reports whether the path is not narrowed to peers.
func (p Path) everyone() bool { return len(p.Peers) == 0 && len(p.Hosts) == 0 }

// tail makes the statements that follow a rule's match; the chain and family say where the rule is.
type tail func(chain string, family nftables.TableFamily) []expr.Any

// rules lists the path's rules for the given addresses, which stand for its peers and hosts.
func (p Path) rules(peers []netip.Addr, end tail) []rule {
	var out []rule
	add := func(label string, family nftables.TableFamily, match func(chain string) []expr.Any) {
		for _, chain := range chainsOf(p.Direction) {
			for _, m := range p.transport(chain, family) {
				exprs := slices.Concat(match(chain), m, end(chain, family))
				out = append(out, rule{peer: label, family: family, chain: chain, exprs: exprs})
			}
		}
	}
	if p.everyone() {
		for _, family := range []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6} {
			add(Everyone, family, outside)
		}
	}
	for _, peer := range peers {
		add(peer.String(), familyOf(peer), func(chain string) []expr.Any { return addressMatch(peer, chain) })
	}
	return out
}

// Everyone stands for the peers of a path that names none.
const Everyone = "*"

// outside matches what does not stay on the loopback interface.
func outside(chain string) []expr.Any {
	key := expr.MetaKeyIIFNAME
	if chain == Out {
		key = expr.MetaKeyOIFNAME
	}
	lo := make([]byte, unix.IFNAMSIZ)
	copy(lo, "lo")
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: lo}}
}

// transport is one match per protocol and pair of ports, or one that matches everything.
func (p Path) transport(chain string, family nftables.TableFamily) [][]expr.Any {
	protocols := map[string][]byte{TCP: {unix.IPPROTO_TCP}, UDP: {unix.IPPROTO_UDP}, "": {unix.IPPROTO_TCP, unix.IPPROTO_UDP}}
	protocols[ICMP] = []byte{unix.IPPROTO_ICMP}
	if family == nftables.TableFamilyIPv6 {
		protocols[ICMP] = []byte{unix.IPPROTO_ICMPV6}
	}
	if p.Protocol == "" && len(p.Ports) == 0 && len(p.OwnPorts) == 0 {
		return [][]expr.Any{nil}
	}
	source, destination := p.Ports, p.OwnPorts // of what comes in
	if chain == Out {
		source, destination = p.OwnPorts, p.Ports
	}
	var out [][]expr.Any
	for _, proto := range protocols[p.Protocol] {
		for _, from := range orAny(source) {
			for _, to := range orAny(destination) {
				m := []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}}}
				out = append(out, slices.Concat(m, portMatch(0, from), portMatch(2, to)))
			}
		}
	}
	return out
}

func orAny(ports []int) []int {
	if len(ports) == 0 {
		return []int{0}
	}
	return ports
}

// portMatch compares the port at an offset of the transport header; port 0 is any.
func portMatch(offset uint32, port int) []expr.Any {
	if port == 0 {
		return nil
	}
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, uint16(port))},
	}
}
