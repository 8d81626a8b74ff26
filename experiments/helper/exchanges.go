package helper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper/between"
)

// WayProxy is the way of a fault on exchanges: our rules lead connections to a proxy of ours.
const WayProxy = "redirect-proxy"

// ExchangeSpec asks for a proxy of ours to stand in a path until the stream or the lease ends. Direction out is what the
// target asks of its peers, in what it is asked at its own ports.
type ExchangeSpec struct {
	Kind     string          `json:"kind"`
	Op       string          `json:"op"`
	Lease    drills.Duration `json:"lease"`
	Seed     uint64          `json:"seed,omitempty"`
	Exchange string          `json:"exchange"` // the protocol that is read: http, or tcp for any other
	Rules    []between.Rule  `json:"rules"`
	Path                     // direction: out or in; ports or own_ports; tcp
}

// Exchanges is what became of them.
type Exchanges struct {
	between.Counts
	// Connections that existed before: ended at once, and reset when they were used again.
	Ended uint64 `json:"ended"`
	Stale uint64 `json:"stale_packets,omitempty"`
}

func (s ExchangeSpec) validate() error {
	errs := []error{mayRaise(s.Op, s.Lease), s.Path.validate(), between.Validate(s.Exchange, s.Rules)}
	switch {
	case s.Protocol != "" && s.Protocol != TCP:
		errs = append(errs, errors.New("spec: exchanges go over tcp"))
	case s.Direction == Out && s.everyone():
		errs = append(errs, errors.New("spec: exchanges out need peers"))
	case s.Direction == Out && (len(s.Ports) == 0 || len(s.OwnPorts) > 0):
		errs = append(errs, errors.New("spec: exchanges out need the peers' ports, and no own ones"))
	case s.Direction == In && (len(s.OwnPorts) == 0 || len(s.Ports) > 0):
		errs = append(errs, errors.New("spec: exchanges in need the target's own ports, and none of the peers'"))
	case s.Direction != Out && s.Direction != In:
		errs = append(errs, errors.New("spec: exchanges are either out or in"))
	}
	return errors.Join(errs...)
}

func spoilExchanges(ctx context.Context, p *drills.Pipe, s ExchangeSpec) error {
	if err := s.validate(); err != nil {
		return err
	}
	s.Protocol = TCP
	peers, err := s.addresses(ctx)
	if err != nil {
		return err
	}
	proxy := between.New(between.Config{Protocol: s.Exchange, Rules: s.Rules, Seed: s.Seed, Original: original, Dial: dialMarked})
	d := diversion{path: s.Path}
	if err := d.open(ctx, peers); err != nil {
		return errors.Join(err, proxy.Close())
	}
	for _, door := range d.doors {
		proxy.Serve(door)
	}
	f, from, to, err := raiseAt(TablePrefix+s.Op, d.chains(), d.rules(peers), drills.Monotonic)
	if err != nil {
		return errors.Join(err, proxy.Close())
	}
	x := &exchanging{fence: f, proxy: proxy, to: d, hosts: newHosts(s.Path, peers)}
	if x.ended, err = endEstablished(s.Path, peers); err != nil {
		return errors.Join(err, x.lower())
	}
	a := Applied{AppliedFrom: from, AppliedTo: to, Table: TablePrefix + s.Op, Rules: len(d.rules(peers)), Way: WayProxy}
	return keep(ctx, p, s.Lease.D(), a, x)
}

// exchanging is a proxy in force.
type exchanging struct {
	fence *fence
	proxy *between.Proxy
	to    diversion
	hosts *hosts
	ended uint64
}

func (x *exchanging) beat() (Beat, error) {
	counts, err := x.fence.counts()
	e := &Exchanges{Counts: x.proxy.Counts(), Ended: x.ended, Stale: counts[stale]}
	delete(counts, stale)
	return Beat{Peers: counts, Exchanges: e}, err
}

// lower takes the rules away first, so that nobody new is led here, then lets go what is held.
func (x *exchanging) lower() error { return errors.Join(x.fence.lower(), x.proxy.Close()) }

// settle adds what only the end has shown: what was cut, and what was let go.
func (x *exchanging) settle(b *Beat) {
	if b.Exchanges != nil {
		b.Exchanges.Counts = x.proxy.Counts()
	}
}

func (x *exchanging) over() string { return "" }

func (x *exchanging) follow(ctx context.Context) { x.hosts.each(ctx, x.fence, x.to.rules) }

// ourMark is on every packet of the proxy's own connections, which must not be led to it again.
const ourMark = 0x73696d75

// dialMarked connects with our mark.
func dialMarked(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, ourMark) }); cerr != nil {
			return cerr
		}
		return err
	}}
	d.SetMultipathTCP(false)
	return d.DialContext(ctx, "tcp", to.String())
}

// original asks the kernel where a connection was going before a rule led it here.
func original(c net.Conn) (netip.AddrPort, error) {
	tc, ok := c.(*net.TCPConn)
	if !ok {
		return netip.AddrPort{}, errors.New("not a TCP connection")
	}
	raw, err := tc.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, err
	}
	var to netip.AddrPort
	cerr := raw.Control(func(fd uintptr) { to, err = originalOf(int(fd), c.LocalAddr()) })
	return to, errors.Join(cerr, err)
}

const soOriginalDst = 80 // SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST

func originalOf(fd int, local net.Addr) (netip.AddrPort, error) {
	if a, ok := local.(*net.TCPAddr); ok && a.IP.To4() == nil {
		i, err := unix.GetsockoptIPv6MTUInfo(fd, unix.IPPROTO_IPV6, soOriginalDst) // a sockaddr_in6 begins it
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("where it was going: %w", err)
		}
		return netip.AddrPortFrom(netip.AddrFrom16(i.Addr.Addr), ntohs(i.Addr.Port)), nil
	}
	m, err := unix.GetsockoptIPv6Mreq(fd, unix.IPPROTO_IP, soOriginalDst) // its 16 bytes of address are a sockaddr_in
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("where it was going: %w", err)
	}
	b := m.Multiaddr
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), uint16(b[2])<<8|uint16(b[3])), nil
}

func ntohs(p uint16) uint16 { return p>>8 | p<<8 }
