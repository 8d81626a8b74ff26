package verifier

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// replyError is an error reply of Redis: the server answered.
type replyError string

func (e replyError) Error() string { return string(e) }

// maxBulk bounds one reply of a server.
const maxBulk = 64 << 20

// respConn speaks RESP2 over one connection. It is small on purpose: no pool, no retries, nothing that could hide an
// outage or cost more than the probe. Not safe for concurrent use. Specification: redis.io/docs/reference/protocol-spec.
type respConn struct {
	c net.Conn
	r *bufio.Reader
	b []byte
}

// respTarget says how to reach and enter a Redis server.
type respTarget struct {
	address  string
	username string
	password string
	tls      *tls.Config
}

// dialRESP connects (with TLS where configured). The connection's deadline is the context's. Nothing is sent yet:
// callers pipeline auth with their first command.
func dialRESP(ctx context.Context, d *dialer, t respTarget) (*respConn, error) {
	c, err := d.DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(deadline)
	}
	if t.tls != nil {
		cfg := t.tls.Clone()
		if cfg.ServerName == "" {
			cfg.ServerName = hostOf(t.address)
		}
		tc := tls.Client(c, cfg)
		if err := tc.HandshakeContext(ctx); err != nil {
			_ = c.Close()
			return nil, err
		}
		c = tc
	}
	return &respConn{c: c, r: bufio.NewReader(c)}, nil
}

func (t respTarget) auth() [][]string {
	switch {
	case t.password == "":
		return nil
	case t.username == "":
		return [][]string{{"AUTH", t.password}}
	}
	return [][]string{{"AUTH", t.username, t.password}}
}

// do sends commands in one write and reads as many replies. The first error reply is returned as error (replyError)
// after all replies have been read; any other error breaks the connection.
func (c *respConn) do(commands ...[]string) ([]any, error) {
	c.b = c.b[:0]
	for _, args := range commands {
		c.b = appendCommand(c.b, args)
	}
	if _, err := c.c.Write(c.b); err != nil {
		return nil, err
	}
	out := make([]any, len(commands))
	var first error
	for i := range commands {
		v, err := c.read()
		var re replyError
		switch {
		case errors.As(err, &re):
			if first == nil {
				first = re
			}
		case err != nil:
			return nil, err
		}
		out[i] = v
	}
	return out, first
}

// until sets the deadline of what follows.
func (c *respConn) until(d time.Duration) { _ = c.c.SetDeadline(time.Now().Add(d)) }

func (c *respConn) close() { _ = c.c.Close() }

// drop is close, for pools.
func (c *respConn) drop() { c.close() }

func appendCommand(b []byte, args []string) []byte {
	b = append(b, '*')
	b = strconv.AppendInt(b, int64(len(args)), 10)
	b = append(b, '\r', '\n')
	for _, a := range args {
		b = append(b, '$')
		b = strconv.AppendInt(b, int64(len(a)), 10)
		b = append(b, '\r', '\n')
		b = append(b, a...)
		b = append(b, '\r', '\n')
	}
	return b
}

// read returns a string, int64, nil (null) or []any.
func (c *respConn) read() (any, error) {
	line, err := c.line()
	if err != nil {
		return nil, err
	}
	if len(line) == 0 {
		return nil, errors.New("redis: empty reply line")
	}
	body := line[1:]
	switch line[0] {
	case '+':
		return body, nil
	case '-':
		return nil, replyError(body)
	case ':':
		return strconv.ParseInt(body, 10, 64)
	case '$':
		return c.bulk(body)
	case '*':
		return c.array(body)
	}
	return nil, fmt.Errorf("redis: reply starts with %q: is this a Redis server?", line[:1])
}

func (c *respConn) line() (string, error) {
	b, err := c.r.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	if len(b) < 2 || b[len(b)-2] != '\r' {
		return "", errors.New("redis: reply line without CRLF")
	}
	return string(b[:len(b)-2]), nil
}

func (c *respConn) bulk(size string) (any, error) {
	n, err := strconv.Atoi(size)
	if err != nil || n > maxBulk {
		return nil, fmt.Errorf("redis: bulk of %q bytes", size)
	}
	if n < 0 {
		return nil, nil
	}
	b := make([]byte, n+2)
	if _, err := io.ReadFull(c.r, b); err != nil {
		return nil, err
	}
	return string(b[:n]), nil
}

func (c *respConn) array(size string) (any, error) {
	n, err := strconv.Atoi(size)
	if err != nil || n > 1<<20 {
		return nil, fmt.Errorf("redis: array of %q replies", size)
	}
	if n < 0 {
		return nil, nil
	}
	out := make([]any, n)
	for i := range out {
		v, err := c.read()
		var re replyError
		if errors.As(err, &re) {
			v, err = re, nil
		}
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}
