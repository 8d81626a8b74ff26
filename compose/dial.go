package compose

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/docker/docker/api/types/container"
)

// DialContext connects from the host to an address inside the system's networks: the host part may be a Compose
// service, a container's name, a network alias or a container's host name. Any other name and every IP address is dialled
// as it is. Where a name means several containers, they are tried in turn.
func (e *Engine) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	host, port, err := net.SplitHostPort(addr)
	if err != nil || net.ParseIP(host) != nil {
		return d.DialContext(ctx, network, addr)
	}
	ips, known, err := e.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	if !known {
		return d.DialContext(ctx, network, addr)
	}
	if len(ips) == 0 {
		return nil, fmt.Errorf("dial %s: no container of %q has an address now", addr, host)
	}
	var errs []error
	for _, ip := range ips {
		c, err := d.DialContext(ctx, network, net.JoinHostPort(ip, port))
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("dial %s: %w", addr, errors.Join(errs...))
}

// lookup finds the addresses of a name in the project; known is false when no container has it. Services and container
// names are in the list; aliases and host names need every container inspected, so they come second.
func (e *Engine) lookup(ctx context.Context, name string) (ips []string, known bool, err error) {
	list, err := e.listProject(ctx)
	if err != nil {
		return nil, false, err
	}
	for _, c := range list {
		if c.Labels[labelService] == name || slices.Contains(c.Names, "/"+name) {
			known = true
			if c.State == container.StateRunning || c.State == container.StatePaused {
				ips = append(ips, addressesOf(c)...)
			}
		}
	}
	if known {
		return ips, true, nil
	}
	return e.lookupAlias(ctx, name)
}

func addressesOf(c container.Summary) []string {
	var out []string
	if c.NetworkSettings == nil {
		return nil
	}
	for _, n := range c.NetworkSettings.Networks {
		if n.IPAddress != "" {
			out = append(out, n.IPAddress)
		}
	}
	slices.Sort(out)
	return out
}

func (e *Engine) lookupAlias(ctx context.Context, name string) (ips []string, known bool, err error) {
	found, err := e.inspectProject(ctx)
	if err != nil {
		return nil, false, err
	}
	for _, c := range found {
		if c.NetworkSettings == nil {
			continue
		}
		for _, n := range c.NetworkSettings.Networks {
			if c.Config.Hostname != name && !slices.Contains(n.Aliases, name) {
				continue
			}
			known = true
			if n.IPAddress != "" {
				ips = append(ips, n.IPAddress)
			}
		}
	}
	slices.Sort(ips)
	return ips, known, nil
}
