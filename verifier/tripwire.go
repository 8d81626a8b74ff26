package verifier

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// tripwireAgain is how long after a connection broke, or could not be opened, the next one is tried.
const tripwireAgain = time.Second

// wired is a checker whose target an idle connection can be held to.
type wired interface {
	// idle opens a connection that the target keeps open while nothing is sent.
	idle(ctx context.Context) (net.Conn, error)
}

// tripwire holds an idle connection to a target. When the process at its other end dies, the kernel there breaks it at once:
// that moment, stamped, is the best estimate of when an outage began, where probes confirm that one did. By itself it proves
// nothing: servers close idle connections for many reasons, and one may have stopped answering before it died.
type tripwire struct {
	open func(context.Context) (net.Conn, error)
	now  func() int64
}

// run holds a connection, a new one after each that breaks, until ctx is done. Each break is told to cut.
func (t tripwire) run(ctx context.Context, cut func(Sample)) {
	for n := int64(1); ctx.Err() == nil; n++ {
		if conn, err := t.dial(ctx); err == nil {
			t.hold(ctx, conn, n, cut)
		}
		drills.Wait(ctx, tripwireAgain)
	}
}

func (t tripwire) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialAtMost)
	defer cancel()
	return t.open(ctx)
}

// hold waits until the connection breaks. What the server sends of itself is of no interest.
func (t tripwire) hold(ctx context.Context, conn net.Conn, n int64, cut func(Sample)) {
	opened := t.now()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() { stop(); _ = conn.Close() }()
	_ = conn.SetDeadline(time.Time{})
	buf := make([]byte, 512)
	for {
		_, err := conn.Read(buf)
		if err == nil {
			continue
		}
		at := t.now()
		if ctx.Err() == nil {
			cut(Sample{Seq: n, Due: opened, Send: opened, Done: at, Class: Failed, Text: brief(err), Origin: Cut})
		}
		return
	}
}

func (c *tcpCheck) idle(ctx context.Context) (net.Conn, error) {
	return c.dial.DialContext(ctx, "tcp", c.address)
}

func (c *httpCheck) idle(ctx context.Context) (net.Conn, error) {
	conn, err := c.dial.DialContext(ctx, "tcp", c.origin.Host)
	if err != nil || c.origin.Scheme != "https" {
		return conn, err
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.tls != nil {
		cfg = c.tls.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName = c.origin.Hostname()
	}
	secure := tls.Client(conn, cfg)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

func (c *redisCheck) idle(ctx context.Context) (net.Conn, error) {
	t := c.target
	if c.via != nil {
		addr, err := c.via.primary(ctx)
		if err != nil {
			return nil, err
		}
		t.address = addr
	}
	conn, err := dialRESP(ctx, c.dial, t)
	if err != nil {
		return nil, err
	}
	if _, err := conn.do(append(t.auth(), []string{"PING"})...); err != nil {
		conn.close()
		return nil, err
	}
	return conn.c, nil
}

func (c *pgCheck) idle(ctx context.Context) (net.Conn, error) {
	link, err := dialPG(ctx, c.config)
	if err != nil {
		return nil, err
	}
	return link.socket, nil // below TLS, if there is any: only its end is looked for
}
