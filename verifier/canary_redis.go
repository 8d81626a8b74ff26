package verifier

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

const (
	readTimeout    = 5 * time.Second
	readChunk      = 500
	canaryExpiryMS = "3600000" // an hour: should we be killed, nothing of ours stays for longer
)

// redisStore writes numbered keys. Every key expires after an hour as a safety net.
type redisStore struct {
	spec   drills.CanarySpec
	book   *book
	dial   *dialer
	target respTarget
	via    *sentinels // nil: direct
	prefix string     // of every key
	trial  []string   // a write of the kind that will follow

	pool *pool[*respConn]

	mu     sync.Mutex
	pinned string // address that the pinned connection stays with
}

func newRedisStore(s drills.CanarySpec, b *book) (*redisStore, error) {
	cfg, err := s.TLS.Config()
	if err != nil {
		return nil, err
	}
	d := newDialer()
	r := &redisStore{
		spec: s, book: b, dial: d, prefix: strings.TrimSuffix(s.Keys, "*"),
		target: respTarget{address: s.Address, username: s.Username, password: s.Password, tls: cfg},
	}
	r.trial = []string{"SET", r.prefix + "open", r.book.run, "PX", probeKeyExpiry}
	if s.Via == "sentinel" {
		if r.via, err = newSentinels(d, s.Sentinels, s.Master, s.SentinelAuth); err != nil {
			return nil, err
		}
	}
	r.pool = newPool(func(ctx context.Context) (*respConn, error) {
		addr, err := r.address(ctx)
		if err != nil {
			return nil, err
		}
		return r.connect(ctx, addr)
	})
	r.pool.once = s.Connection == "fresh"
	return r, nil
}

// open finds the primary, checks that we may write there, and pins it where asked to.
func (r *redisStore) open(ctx context.Context) error {
	addr, err := r.address(ctx)
	if err != nil {
		return err
	}
	link, err := r.connect(ctx, addr)
	if err != nil {
		return err
	}
	defer link.close()
	if _, err := link.do(r.trial, []string{"UNLINK", r.trialKey()}); err != nil {
		return fmt.Errorf("a trial write failed: %w", err)
	}
	if r.spec.Connection == "pinned" {
		r.mu.Lock()
		r.pinned = addr
		r.mu.Unlock()
	}
	return nil
}

// trialKey is what open writes and deletes again.
func (r *redisStore) trialKey() string { return r.prefix + "open" }

// address is where the next connection goes: as a client library does, the sentinels are asked for each.
func (r *redisStore) address(ctx context.Context) (string, error) {
	r.mu.Lock()
	pinned := r.pinned
	r.mu.Unlock()
	switch {
	case pinned != "":
		return pinned, nil
	case r.via == nil:
		return r.target.address, nil
	}
	return r.via.ask(ctx)
}

// connect dials and authenticates.
func (r *redisStore) connect(ctx context.Context, addr string) (*respConn, error) {
	t := r.target
	t.address = addr
	c, err := dialRESP(ctx, r.dial, t)
	if err != nil {
		return nil, err
	}
	if auth := t.auth(); auth != nil {
		if _, err := c.do(auth...); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

// keep follows the sentinels: when they name another primary, a persistent connection is given up, as client libraries
// do upon +switch-master.
func (r *redisStore) keep(ctx context.Context) {
	if r.via == nil || r.spec.Connection != "persistent" {
		<-ctx.Done()
	} else {
		r.via.watch(ctx, func() {}, func(_, _ string) { r.pool.renew() })
	}
	r.pool.close()
}

// check writes number seq. Timeout means: sent, no answer.
func (r *redisStore) check(ctx context.Context, seq int64) result {
	link, _, err := r.pool.get(ctx)
	if err != nil {
		return beforeSending(redisError(err, true))
	}
	at := drills.Monotonic()
	r.book.note(seq, at)
	server := link.c.RemoteAddr().String()
	err = r.pool.use(ctx, patience(r.spec.Timeout.D()), link, func(ctx context.Context, link *respConn) error {
		if d, ok := ctx.Deadline(); ok {
			_ = link.c.SetDeadline(d)
		}
		_, err := link.do([]string{"SET", r.prefix + itoa(seq), r.book.value(seq, at), "PX", canaryExpiryMS})
		return err
	}, r.usable)
	var reply replyError
	switch {
	case err == nil:
		return result{Good, server}
	case errors.As(err, &reply):
		return redisReply(reply)
	}
	return result{Timeout, transport(err, true).text}
}

// usable tells whether the application would keep its connection after this error: client libraries drop it after
// READONLY and look for the primary again; a pinned one stays.
func (r *redisStore) usable(err error) bool {
	var reply replyError
	return errors.As(err, &reply) && (r.spec.Connection == "pinned" || !strings.HasPrefix(string(reply), "READONLY"))
}

// beforeSending is the outcome of a write that never left: it had no effect, whatever kept it.
func beforeSending(r result) result {
	if r.class == Timeout {
		r.class = Refused
	}
	r.text = clip("not sent: " + r.text)
	return r
}
