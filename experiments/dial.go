package experiments

import (
	"context"
	"net"
)

// Dial reaches an address inside the system's networks, by name or by number, from wherever this process runs.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// Expand replaces references to secrets, such as ${env:NAME}, by their values, at the moment of use.
type Expand func(string) (string, error)

func (e Expand) value(s string) (string, error) {
	if e == nil {
		return s, nil
	}
	return e(s)
}
