package helper

import (
	"context"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
)

const (
	// pings is how many round trips are tried; the shortest counts.
	pings = 3
	// pingLimit bounds them together.
	pingLimit = time.Second
)

// pinged is where a round trip is measured: the first IPv4 peer; with a port, by a TCP handshake, else by an ICMP echo.
func pinged(p Path, peers []netip.Addr) netip.AddrPort {
	for _, a := range peers {
		if !a.Is4() || p.Protocol == UDP || len(p.OwnPorts) > 0 || a.IsLoopback() {
			continue
		}
		if len(p.Ports) > 0 {
			return netip.AddrPortFrom(a, uint16(p.Ports[0]))
		}
		if p.Protocol != TCP {
			return netip.AddrPortFrom(a, 0)
		}
	}
	return netip.AddrPort{}
}

// roundTrip is the shortest of a few round trips; zero when there is nobody to ask, or no answer.
func roundTrip(ctx context.Context, to netip.AddrPort) time.Duration {
	var best time.Duration
	if !to.IsValid() {
		return 0
	}
	ctx, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	for range pings {
		began := time.Now()
		ok := false
		if to.Port() > 0 {
			ok = handshake(ctx, to)
		} else {
			ok = echo(ctx, to.Addr())
		}
		if took := time.Since(began); ok && (best == 0 || took < best) {
			best = took
		}
		if ctx.Err() != nil {
			break
		}
	}
	return best
}

func handshake(ctx context.Context, to netip.AddrPort) bool {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", to.String())
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// echo needs no privilege where net.ipv4.ping_group_range allows it, which engines set in their containers.
func echo(ctx context.Context, to netip.Addr) bool {
	c, err := icmp.ListenPacket("udp4", "0.0.0.0")
	if err != nil {
		return false
	}
	defer func() { _ = c.Close() }()
	m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: 1, Seq: 1, Data: []byte("simulacro")}}
	b, err := m.Marshal(nil)
	if err != nil {
		return false
	}
	if until, _ := ctx.Deadline(); c.SetDeadline(until) != nil {
		return false
	}
	if _, err := c.WriteTo(b, &net.UDPAddr{IP: to.AsSlice()}); err != nil {
		return false
	}
	_, _, err = c.ReadFrom(make([]byte, 1500))
	return err == nil
}
