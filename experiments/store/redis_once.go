package store

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"
)

// nothingToEnd is what faults have that happen once.
type nothingToEnd struct{}

// End undoes nothing.
func (nothingToEnd) End(context.Context) (string, error) { return "it happened once", nil }

// Present finds nothing in force.
func (nothingToEnd) Present(context.Context) (bool, error) { return false, nil }

// Flush are the parameters of redis-flushall.
type Flush struct {
	Async bool `json:"async,omitempty"` // memory is given back in the background
}

// flush removes every key of every database.
type flush struct {
	redisNode
	nothingToEnd
	with          Flush
	before, after int64
}

// Check refuses a replica, which would refuse.
func (f *flush) Check(ctx context.Context) (map[string]string, error) {
	kv, err := f.info(ctx, "replication")
	if err != nil {
		return nil, err
	}
	if kv["role"] == "slave" {
		return nil, blocked("target the primary: `role: primary`", "%s is a replica and takes no writes", f.spec.Redis.Address)
	}
	return nil, f.may(ctx, []any{"flushall"})
}

// Begin flushes, between two counts.
func (f *flush) Begin(ctx context.Context) error {
	var err error
	if f.before, err = f.count(ctx); err != nil {
		return err
	}
	cmd := f.ctl.FlushAll
	if f.with.Async {
		cmd = f.ctl.FlushAllAsync
	}
	if err := cmd(ctx).Err(); err != nil {
		return f.explain(err, "FLUSHALL", "+flushall")
	}
	f.after, err = f.count(ctx)
	return err
}

// count is the number of keys in all databases.
func (f *flush) count(ctx context.Context) (n int64, err error) {
	kv, err := f.info(ctx, "keyspace")
	for k, v := range kv {
		if strings.HasPrefix(k, "db") {
			n += member(v, "keys")
		}
	}
	return n, err
}

// Beat is proof when there was something to lose.
func (f *flush) Beat(context.Context) (Beat, error) {
	return Beat{Proven: f.before > 0 && f.after < f.before, Facts: map[string]any{"keys_before": f.before, "keys_after": f.after}}, nil
}

// Kill are the parameters of redis-client-kill.
type Kill struct {
	Type string `json:"type"` // normal, pubsub or replica
}

// clientKill closes the server's connections of one type.
type clientKill struct {
	redisNode
	nothingToEnd
	with   Kill
	killed int64
}

// Check asks for the permission.
func (f *clientKill) Check(ctx context.Context) (map[string]string, error) {
	if _, err := f.info(ctx, "clients"); err != nil {
		return nil, err
	}
	return nil, f.may(ctx, []any{"client|kill", "type", f.with.Type})
}

// Begin kills all but our own.
func (f *clientKill) Begin(ctx context.Context) error {
	c, err := f.control()
	if err != nil {
		return err
	}
	cmd := redis.NewIntCmd(ctx, "client", "kill", "type", f.with.Type, "skipme", "yes")
	if err := c.Process(ctx, cmd); err != nil {
		return f.explain(err, "CLIENT KILL", "+client|kill")
	}
	f.killed = cmd.Val()
	return nil
}

// Beat is proof when somebody was connected.
func (f *clientKill) Beat(context.Context) (Beat, error) {
	return Beat{Proven: f.killed > 0, Facts: map[string]any{"type": f.with.Type, "killed": f.killed}}, nil
}
