package helper

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
)

// The chains of a diversion, and what its rules about older connections are counted under.
const (
	divert = "divert"
	stale  = "stale"
)

// diversion leads the new connections of a path to listeners of ours. Address translation sees a connection's first packet
// only; what was established before is reset by rules beside it.
type diversion struct {
	path  Path
	doors []net.Listener
	ports map[nftables.TableFamily]uint16
}

// open listens in the families that the path needs. What goes out is led to loopback, what comes in to the address of the
// interface that it came by.
func (d *diversion) open(ctx context.Context, peers []netip.Addr) error {
	d.ports = map[nftables.TableFamily]uint16{}
	v4 := d.path.everyone() || len(d.path.Hosts) > 0 || slices.ContainsFunc(peers, netip.Addr.Is4)
	v6 := slices.ContainsFunc(peers, netip.Addr.Is6)
	out := d.path.Direction == Out
	if v4 {
		if err := d.listen(ctx, nftables.TableFamilyIPv4, "tcp4", map[bool]string{true: "127.0.0.1:0", false: "0.0.0.0:0"}[out]); err != nil {
			return err
		}
	}
	if v6 || d.path.everyone() || len(d.path.Hosts) > 0 {
		err := d.listen(ctx, nftables.TableFamilyIPv6, "tcp6", map[bool]string{true: "[::1]:0", false: "[::]:0"}[out])
		if err != nil && v6 { // else a namespace without IPv6 has nothing to lead away
			return err
		}
	}
	return nil
}

func (d *diversion) listen(ctx context.Context, family nftables.TableFamily, network, at string) error {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // such a socket does not tell where a connection was going
	door, err := lc.Listen(ctx, network, at)
	if err != nil {
		return fmt.Errorf("listen inside the target's namespace: %w", err)
	}
	d.doors = append(d.doors, door)
	d.ports[family] = door.Addr().(*net.TCPAddr).AddrPort().Port()
	return nil
}

func (d *diversion) chains() map[string]chainAt {
	lead, reset := nftables.ChainHookOutput, nftables.ChainHookOutput
	if d.path.Direction == In {
		lead, reset = nftables.ChainHookPrerouting, nftables.ChainHookInput
	}
	return map[string]chainAt{
		divert: {nftables.ChainTypeNAT, lead, nftables.ChainPriorityNATDest},
		stale:  {nftables.ChainTypeFilter, reset, nftables.ChainPriorityFilter}, // sees addresses as they were translated
	}
}

// rules are those of the path for the given addresses.
func (d *diversion) rules(peers []netip.Addr) []rule {
	var out []rule
	for family, port := range d.ports {
		if d.path.everyone() {
			out = append(out, d.pair(Everyone, family, port, nil)...)
		}
		for _, p := range peers {
			if familyOf(p) == family {
				out = append(out, d.pair(p.String(), family, port, addressMatch(p, d.path.Direction))...)
			}
		}
	}
	return out
}

// pair leads new connections away and resets old ones.
func (d *diversion) pair(label string, family nftables.TableFamily, port uint16, peer []expr.Any) []rule {
	var out []rule
	for _, ports := range d.path.transport(d.path.Direction, family) {
		match := slices.Concat(outside(d.path.Direction), peer, ports)
		if d.path.Direction == Out {
			match = slices.Concat(match, notOurs())
		}
		out = append(out,
			rule{peer: label, family: family, chain: divert, exprs: slices.Concat(match, []expr.Any{
				&expr.Counter{},
				&expr.Immediate{Register: 1, Data: binary.BigEndian.AppendUint16(nil, port)},
				&expr.Redir{RegisterProtoMin: 1},
			})},
			rule{peer: stale, family: family, chain: stale, exprs: slices.Concat(match, Reset{Share: 1}.tail("", family))})
	}
	return out
}

// notOurs matches packets without the proxy's mark.
func notOurs() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(ourMark)},
	}
}
