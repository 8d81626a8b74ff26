package verifier

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/eevans-d/simulacro/drills"
)

// probeKeyExpiry (milliseconds) removes what a write probe leaves: the last value of one key.
const probeKeyExpiry = "60000"

// redisCheck writes, reads or pings on a new connection per probe, with AUTH and the command in one round trip.
type redisCheck struct {
	dial   *dialer
	target respTarget
	via    *sentinels // nil: direct
	verb   string
	key    string
}

func newRedisCheck(name string, s drills.ProbeSpec) (*redisCheck, error) {
	d := newDialer()
	cfg, err := s.TLS.Config()
	if err != nil {
		return nil, err
	}
	c := &redisCheck{
		dial: d, verb: s.Operation, key: s.Key,
		target: respTarget{address: s.Address, username: s.Username, password: s.Password, tls: cfg},
	}
	if c.key == "" {
		c.key = "simulacro:probe:" + name
	}
	if s.Via == "sentinel" {
		c.via, err = newSentinels(d, s.Sentinels, s.Master, s.SentinelAuth)
	}
	return c, err
}

// keep keeps the primary's address fresh.
func (c *redisCheck) keep(ctx context.Context, opened func()) {
	if c.via == nil {
		opened()
		<-ctx.Done()
		return
	}
	c.via.watch(ctx, opened, nil)
}

func (c *redisCheck) command(seq int64) []string {
	switch c.verb {
	case "read":
		return []string{"GET", c.key}
	case "ping":
		return []string{"PING"}
	}
	return []string{"SET", c.key, strconv.FormatInt(seq, 10), "PX", probeKeyExpiry}
}

func (c *redisCheck) check(ctx context.Context, seq int64) result {
	if c.via == nil {
		return c.at(ctx, c.target.address, seq)
	}
	addr, err := c.via.primary(ctx)
	if err != nil {
		return c.sentinelTrouble(err)
	}
	r := c.at(ctx, addr, seq)
	if !r.class.Bad() {
		return r
	}
	c.via.forget(addr)
	if ctx.Err() != nil {
		return r
	}
	// Time is left: the primary may have moved between the last question and now.
	if now, err := c.via.ask(ctx); err == nil && now != addr {
		return c.at(ctx, now, seq)
	}
	return r
}

func (c *redisCheck) at(ctx context.Context, addr string, seq int64) result {
	t := c.target
	t.address = addr
	conn, err := dialRESP(ctx, c.dial, t)
	if err != nil {
		return transport(err, c.dial.known(addr))
	}
	defer conn.close()
	_, err = conn.do(append(t.auth(), c.command(seq))...)
	return redisError(err, c.dial.known(addr))
}

func redisError(err error, known bool) result {
	var re replyError
	if errors.As(err, &re) {
		return redisReply(re)
	}
	return transport(err, known)
}

func (c *redisCheck) sentinelTrouble(err error) result {
	var re replyError
	if errors.As(err, &re) {
		return redisReply(re)
	}
	known := false
	for _, a := range c.via.addresses {
		known = known || c.dial.known(a)
	}
	r := transport(err, known)
	r.text = clip(fmt.Sprintf("sentinel: %s", r.text))
	return r
}
