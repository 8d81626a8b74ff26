package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// plan is what an engine is to hold.
type plan struct {
	Args
	first   int // number of the first connection among all
	count   int
	tokens  tokens
	secure  *tls.Config // nil: plain
	sources []netip.Addr
	receive int  // SO_RCVBUF in bytes; zero: the engine's
	once    bool // a connection that was open is not opened again
}

func (p plan) topic() string {
	if p.Publish == nil {
		return ""
	}
	return p.Publish.Topic
}

// scheme of the targets.
func (a Args) scheme() string {
	if a.TLS != nil {
		return "wss"
	}
	return "ws"
}

// perPair is how many connections one pair of source and target address gets: with more, the kernel searches longer and
// longer for a free port (MEASUREMENT.md: six times the cost of a connect beyond 14,000).
const perPair = 10_000

// sourcesFor are the addresses that connections are made from; none leaves it to the kernel. Loopback targets may be
// reached from any of 127.0.0.0/8, so as many as the connections need are taken from 127.0.1.0/24. Elsewhere only
// declared addresses are used: an address is not ours to add.
func sourcesFor(a Args, targets []netip.AddrPort) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, s := range a.Sources {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("sources: %w", err)
		}
		out = append(out, addr)
	}
	if len(out) > 0 || len(targets) == 0 {
		return out, nil
	}
	for _, t := range targets {
		if !t.Addr().Unmap().Is4() || !t.Addr().IsLoopback() {
			return nil, nil
		}
	}
	need := (a.Connections + perPair*len(targets) - 1) / (perPair * len(targets))
	for i := 0; i < min(need, 254) && need > 1; i++ {
		out = append(out, netip.AddrFrom4([4]byte{127, 0, 1, byte(i + 1)}))
	}
	return out, nil
}

// resolve finds the targets' addresses, once: a load is not to measure the name server.
func resolve(ctx context.Context, targets []string) ([]netip.AddrPort, error) {
	var out []netip.AddrPort
	for _, t := range targets {
		if addr, err := netip.ParseAddrPort(t); err == nil {
			out = append(out, addr)
			continue
		}
		tcp, err := lookup(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("target %s: %w", t, err)
		}
		out = append(out, tcp)
	}
	return out, nil
}

func lookup(ctx context.Context, target string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return netip.AddrPort{}, err
	}
	list, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	n, err := net.DefaultResolver.LookupPort(ctx, "tcp", port)
	return netip.AddrPortFrom(list[0].Unmap(), uint16(n)), err
}

func withToken(path, token string) string {
	if token == "" {
		return path
	}
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	return path + sep + "token=" + token
}

// crowded says that pairs of addresses get more connections than they should; empty when not.
func crowded(connections, targets, sources int) string {
	pairs := targets * max(sources, 1)
	if n := (connections + pairs - 1) / pairs; n > perPair+perPair/10 {
		return fmt.Sprintf("%d connections for each pair of addresses: beyond %d a connect gets several times as expensive; give more targets or source addresses", n, perPair)
	}
	return ""
}

// engineFor is the engine that can do what is asked: the raw loop for plain connections, the library for the rest.
func engineFor(a Args) engine {
	if a.Engine == EngineLibrary || a.Engine == "" && (a.TLS != nil || a.Compress) {
		return newGoroutines()
	}
	return &loops{}
}
