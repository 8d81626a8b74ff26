package helper

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Directions of a partition, as the target sees its packets.
const (
	Both = "both"
	In   = "in"
	Out  = "out"
)

// rule is one counted drop of the traffic with one peer.
type rule struct {
	peer   netip.Addr
	family nftables.TableFamily
	chain  string // in or out
	exprs  []expr.Any
}

// plan lists the rules for every peer. Ports, when given, are the peers' own, over TCP and UDP.
func plan(peers []netip.Addr, direction string, ports []int) []rule {
	var out []rule
	for _, peer := range peers {
		for _, chain := range chainsOf(direction) {
			for _, match := range portMatches(chain, ports) {
				exprs := append(addressMatch(peer, chain), match...)
				exprs = append(exprs, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop})
				out = append(out, rule{peer: peer, family: familyOf(peer), chain: chain, exprs: exprs})
			}
		}
	}
	return out
}

func chainsOf(direction string) []string {
	if direction == Both || direction == "" {
		return []string{In, Out}
	}
	return []string{direction}
}

func familyOf(a netip.Addr) nftables.TableFamily {
	if a.Is4() {
		return nftables.TableFamilyIPv4
	}
	return nftables.TableFamilyIPv6
}

// addressMatch compares the source of what comes in, the destination of what goes out.
func addressMatch(a netip.Addr, chain string) []expr.Any {
	source, destination := uint32(12), uint32(16) // offsets in an IPv4 header
	if a.Is6() {
		source, destination = 8, 24
	}
	offset := source
	if chain == Out {
		offset = destination
	}
	b := a.AsSlice()
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(len(b))},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: b},
	}
}

// portMatches is one match per port and protocol, or one that matches everything.
func portMatches(chain string, ports []int) [][]expr.Any {
	if len(ports) == 0 {
		return [][]expr.Any{nil}
	}
	offset := uint32(0) // source port
	if chain == Out {
		offset = 2 // destination port
	}
	var out [][]expr.Any
	for _, port := range ports {
		for _, proto := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
			out = append(out, []expr.Any{
				&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
				&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, uint16(port))},
			})
		}
	}
	return out
}

// parsePeers reads addresses; an IPv4 address in IPv6 clothes counts as IPv4, because that is what is on the wire.
func parsePeers(in []string) ([]netip.Addr, error) {
	if len(in) == 0 {
		return nil, fmt.Errorf("spec: peers is empty: a partition from nobody would prove nothing")
	}
	var out []netip.Addr
	for _, s := range in {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("spec: peer %q is not an IP address: %w", s, err)
		}
		a = a.Unmap().WithZone("")
		if a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() {
			return nil, fmt.Errorf("spec: peer %s is not the address of another host", a)
		}
		out = append(out, a)
	}
	return out, nil
}
