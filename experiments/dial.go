package experiments

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
)

// Dial reaches an address inside the system's networks, by name or by number, from wherever this process runs.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// secure dials and then shakes hands; nil is no TLS. The name that the certificate must have is the dialled one unless cfg
// gives another.
func (d Dial) secure(cfg *tls.Config) Dial {
	if cfg == nil {
		return d
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := d(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		own := cfg.Clone()
		if host, _, err := net.SplitHostPort(addr); err == nil && own.ServerName == "" {
			own.ServerName = host
		}
		s := tls.Client(c, own)
		if err := s.HandshakeContext(ctx); err != nil {
			_ = c.Close()
			return nil, err
		}
		return s, nil
	}
}

// Expand replaces references to secrets, such as ${env:NAME}, by their values, at the moment of use.
type Expand func(string) (string, error)

func (e Expand) value(s string) (string, error) {
	if e == nil || !strings.Contains(s, "${") {
		return s, nil
	}
	return e(s)
}
