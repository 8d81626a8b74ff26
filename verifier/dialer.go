package verifier

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// dialer dials and remembers which hosts' names have resolved, see transport.
type dialer struct {
	net.Dialer
	mu    sync.Mutex
	hosts map[string]bool
}

func newDialer() *dialer { return &dialer{hosts: map[string]bool{}} }

// DialContext dials addr (host:port).
func (d *dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	nd := d.Dialer
	nd.KeepAlive = -1
	nd.FallbackDelay = -1
	nd.ControlContext = func(context.Context, string, string, syscall.RawConn) error {
		d.mark(addr) // called once the name has been resolved
		return nil
	}
	return nd.DialContext(ctx, network, addr)
}

func (d *dialer) mark(addr string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hosts[hostOf(addr)] = true
}

// known tells whether the host of addr (host:port or host) has resolved before.
func (d *dialer) known(addr string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hosts[hostOf(addr)]
}

func hostOf(addr string) string {
	if h, _, err := net.SplitHostPort(addr); err == nil {
		return h
	}
	return addr
}
