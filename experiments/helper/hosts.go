package helper

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

const (
	// lookEvery is how often names are resolved again while a fault is in force.
	lookEvery = 2 * time.Second
	// lookLimit bounds one resolution.
	lookLimit = 3 * time.Second
)

// addresses are the path's peers and what its hosts resolve to now, from inside the target's namespace.
func (p Path) addresses(ctx context.Context) ([]netip.Addr, error) {
	out, err := parsePeers(p.Peers)
	if err != nil {
		return nil, err
	}
	for _, h := range p.Hosts {
		found, err := resolve(ctx, h)
		if err != nil {
			return nil, fmt.Errorf("resolve %s inside the target's namespace: %w", h, err)
		}
		for _, a := range found {
			if !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	if len(out) == 0 && !p.everyone() {
		return nil, fmt.Errorf("none of the hosts %v has an address outside the target", p.Hosts)
	}
	return out, nil
}

func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, a := range found {
		if a = a.Unmap().WithZone(""); !a.IsLoopback() && !a.IsUnspecified() && !a.IsMulticast() {
			out = append(out, a)
		}
	}
	return out, nil
}

// hosts follows names whose addresses move while a fault is in force. A name that has lost an address keeps its rule.
type hosts struct {
	path  Path
	known []netip.Addr
}

func newHosts(p Path, known []netip.Addr) *hosts { return &hosts{path: p, known: slices.Clone(known)} }

func (h *hosts) follow(ctx context.Context, f *fence, end tail) {
	h.each(ctx, f, func(found []netip.Addr) []rule { return h.path.rules(found, end) })
}

// each keeps the fence's rules, as rules makes them, up with the names' addresses.
func (h *hosts) each(ctx context.Context, f *fence, rules func([]netip.Addr) []rule) {
	if len(h.path.Hosts) == 0 {
		return
	}
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		for _, name := range h.path.Hosts {
			found, err := resolve(ctx, name)
			if err != nil {
				continue // a name that is gone has no address to add
			}
			h.add(f, found, rules)
		}
	}
}

func (h *hosts) add(f *fence, found []netip.Addr, rules func([]netip.Addr) []rule) {
	fresh := slices.DeleteFunc(slices.Clone(found), func(a netip.Addr) bool { return slices.Contains(h.known, a) })
	if len(fresh) == 0 || f.extend(rules(fresh)) != nil {
		return // tried again at the next look
	}
	h.known = append(h.known, fresh...)
}
