package helper

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The kernel's socket diagnosis (linux/sock_diag.h, linux/inet_diag.h).
const (
	sockByFamily = 20
	sockDestroy  = 21
	established  = 1 << 1 // TCP_ESTABLISHED
	sizeSockID   = 48
	sizeRequest  = 8 + sizeSockID
)

// endEstablished ends the target's connections along the path, both ends of them, and counts them. Rules of address
// translation would not see them any more. A kernel that cannot do it (INET_DIAG_DESTROY) ends none: they are then reset by
// the rules as soon as they are used.
func endEstablished(p Path, peers []netip.Addr) (uint64, error) {
	c, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	if err != nil {
		return 0, fmt.Errorf("open the kernel's socket diagnosis: %w", err)
	}
	defer c.Close() //nolint:errcheck // it was only read from
	var ended uint64
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		found, err := sockets(c, family)
		if err != nil {
			return ended, err
		}
		for _, id := range found {
			if !p.carries(id, peers) {
				continue
			}
			ok, err := destroy(c, family, id)
			if err != nil {
				return ended, err
			}
			if ok {
				ended++
			}
		}
	}
	return ended, nil
}

// sockID is a socket as the kernel names it: ports, addresses, interface and cookie, as on the wire.
type sockID [sizeSockID]byte

func (s sockID) local() netip.AddrPort {
	return netip.AddrPortFrom(s.address(4), binary.BigEndian.Uint16(s[0:]))
}

func (s sockID) remote() netip.AddrPort {
	return netip.AddrPortFrom(s.address(20), binary.BigEndian.Uint16(s[2:]))
}

// address reads one that is IPv4 when all but its first four bytes are zero; ::x would be read so too, and is nobody's.
func (s sockID) address(at int) netip.Addr {
	a := netip.AddrFrom16([16]byte(s[at : at+16]))
	if slices.Max(s[at+4:at+16]) == 0 {
		return netip.AddrFrom4([4]byte(s[at : at+4]))
	}
	return a.Unmap()
}

// carries tells whether a socket of the target is a connection along the path.
func (p Path) carries(id sockID, peers []netip.Addr) bool {
	local, remote := id.local(), id.remote()
	if remote.Addr().IsLoopback() || local.Addr() == remote.Addr() {
		return false
	}
	if !p.everyone() && !slices.Contains(peers, remote.Addr()) {
		return false
	}
	fits := func(ports []int, port uint16) bool { return len(ports) == 0 || slices.Contains(ports, int(port)) }
	return fits(p.Ports, remote.Port()) && fits(p.OwnPorts, local.Port())
}

// sockets lists the established TCP sockets of the namespace.
func sockets(c *netlink.Conn, family byte) ([]sockID, error) {
	got, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: sockByFamily, Flags: netlink.Request | netlink.Dump},
		Data:   sockRequest(family, established, sockID{}),
	})
	if err != nil {
		return nil, fmt.Errorf("list the target's connections: %w", err)
	}
	var out []sockID
	for _, m := range got {
		if len(m.Data) >= 4+sizeSockID {
			out = append(out, sockID(m.Data[4:]))
		}
	}
	return out, nil
}

// destroy ends one socket; false: it had gone already, or the kernel cannot.
func destroy(c *netlink.Conn, family byte, id sockID) (bool, error) {
	_, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: sockDestroy, Flags: netlink.Request | netlink.Acknowledge},
		Data:   sockRequest(family, 0xffffffff, id),
	})
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		return false, nil
	}
	return false, fmt.Errorf("end a connection of the target: %w", err)
}

// sockRequest is a struct inet_diag_req_v2.
func sockRequest(family byte, states uint32, id sockID) []byte {
	b := make([]byte, 0, sizeRequest)
	b = append(b, family, unix.IPPROTO_TCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, states)
	return append(b, id[:]...)
}
