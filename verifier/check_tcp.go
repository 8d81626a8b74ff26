package verifier

import (
	"context"

	"github.com/eevans-d/simulacro/drills"
)

// tcpCheck opens a connection and closes it.
type tcpCheck struct {
	dial    *dialer
	address string
}

func newTCPCheck(s drills.ProbeSpec) *tcpCheck {
	return &tcpCheck{dial: newDialer(), address: s.Address}
}

func (c *tcpCheck) check(ctx context.Context, _ int64) result {
	conn, err := c.dial.DialContext(ctx, "tcp", c.address)
	if err != nil {
		return transport(err, c.dial.known(c.address))
	}
	_ = conn.Close()
	return good()
}
