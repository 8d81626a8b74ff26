package store

import (
	"context"
	"errors"
	"io"
	"strconv"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// Connections are the parameters of connection-exhaustion.
type Connections struct {
	Count  int `json:"count,omitempty"` // so many and no more; zero: until the server refuses
	AtMost int `json:"at_most"`         // never more than that
	Lower  int `json:"lower,omitempty"` // Redis: lower maxclients to this first
}

// redisConnections holds connections to a Redis.
type redisConnections struct {
	redisNode
	with Connections
	pool *redis.Client
	hold holder

	rejected int64 // the server's counter before
}

// Check makes sure that we can still get in to undo, and that the limit can be reached.
func (f *redisConnections) Check(ctx context.Context) (map[string]string, error) {
	now, err := f.settings(ctx, "maxclients")
	if err != nil {
		return nil, err
	}
	kv, err := f.info(ctx, "clients")
	if err != nil {
		return nil, err
	}
	connected, most := number(kv, "connected_clients"), int64(f.with.Lower)
	if f.with.Lower == 0 {
		most, _ = strconv.ParseInt(now["maxclients"], 10, 64)
	}
	switch {
	case f.with.Lower > 0 && most < connected+5:
		return nil, blocked("give a larger `lower-limit`", "%s has %d clients: with maxclients %d nobody could get in to undo it", f.spec.Redis.Address, connected, most)
	case f.with.Count == 0 && most-connected > int64(f.with.AtMost):
		return nil, blocked("give `at-most`, `connections`, or a `lower-limit`", "%s takes %d more clients, and at most %d are to be opened", f.spec.Redis.Address, most-connected, f.with.AtMost)
	}
	return now, f.may(ctx, []any{"client|list"}, []any{"client|kill", "id", "1"})
}

// Begin lowers the limit where asked to, and opens connections until one is refused.
func (f *redisConnections) Begin(ctx context.Context) error {
	o, err := f.options(f.spec.Name(), answerWithin)
	if err != nil {
		return err
	}
	kv, err := f.info(ctx, "stats") // our own way in, before all are taken
	if err != nil {
		return err
	}
	f.rejected = number(kv, "rejected_connections")
	if f.with.Lower > 0 {
		if err := f.set(ctx, "maxclients", strconv.Itoa(f.with.Lower)); err != nil {
			return err
		}
	}
	o.PoolSize = f.with.AtMost + 1
	f.pool = redis.NewClient(o)
	f.hold = holder{
		most: f.with.most(), open: func(ctx context.Context) (held, error) {
			c := f.pool.Conn()
			if err := c.Ping(ctx).Err(); err != nil {
				_ = c.Close() // it never was
				return nil, err
			}
			return redisHeld{c}, nil
		},
		refused: func(err error) bool {
			var said redis.Error // or it hung up while we were still greeting it
			return errors.As(err, &said) || errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
		},
	}
	return f.hold.begin(ctx)
}

type redisHeld struct{ c *redis.Conn }

func (h redisHeld) close() { _ = h.c.Close() }

// Beat is proof once one was refused, or all that were asked for are held.
func (f *redisConnections) Beat(ctx context.Context) (Beat, error) {
	b := f.hold.beat(f.with.Count)
	kv, err := f.info(ctx, "clients")
	if err == nil {
		b.Facts["clients"] = number(kv, "connected_clients")
	}
	if kv, err = f.info(ctx, "stats"); err == nil {
		b.Facts["rejected"] = number(kv, "rejected_connections") - f.rejected
	}
	return b, nil
}

// End lets go and puts the limit back.
func (f *redisConnections) End(ctx context.Context) (string, error) {
	held := f.hold.end()
	if f.pool != nil {
		_ = f.pool.Close()
	}
	n, err := f.endSessions(ctx)
	if gone(err) {
		return "the server is not there", nil
	}
	if err != nil {
		return "", err
	}
	if f.with.Lower > 0 {
		skipped, err := f.putBack(ctx, [][2]string{{"maxclients", strconv.Itoa(f.with.Lower)}})
		if err != nil || skipped == "" {
			return "", err
		}
	}
	if held+n == 0 {
		return "no such connection was there", nil
	}
	return "", nil
}

// Present looks for our connections and for our limit. A server that takes nobody is not said to be free of us.
func (f *redisConnections) Present(ctx context.Context) (bool, error) {
	ids, err := f.sessions(ctx)
	if err != nil || len(ids) > 0 || f.with.Lower == 0 {
		return absentIfGone(len(ids) > 0, err)
	}
	return f.isOurs(ctx, "maxclients", strconv.Itoa(f.with.Lower))
}
