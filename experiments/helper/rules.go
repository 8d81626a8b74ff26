package helper

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Directions of a partition, as the target sees its packets.
const (
	Both = "both"
	In   = "in"
	Out  = "out"
)

// rule is one counted statement about the traffic with one peer.
type rule struct {
	peer   string // its address, or Everyone
	family nftables.TableFamily
	chain  string // in or out
	exprs  []expr.Any
}

// countedDrop drops what it counts.
func countedDrop(string, nftables.TableFamily) []expr.Any {
	return []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}}
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

// parsePeers reads addresses; an IPv4 address in IPv6 clothes counts as IPv4, because that is what is on the wire.
func parsePeers(in []string) ([]netip.Addr, error) {
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
