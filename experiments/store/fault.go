package store

import (
	"context"
	"fmt"
	"sync"

	"github.com/eevans-d/simulacro/drills"
)

// Fault is one act on one store. Only Begin and End change anything. End and Present need no Begin in the same process: what
// they have to know is in the spec.
type Fault interface { //nolint:interfacebloat // one act has these ends; nobody needs only some of them
	// Check tells whether the deed may be done, with a hint at what is missing, and reads what the undo must put back.
	Check(ctx context.Context) (before map[string]string, err error)
	// Begin does the deed and returns when it is in force. What goes on meanwhile ends with ctx.
	Begin(ctx context.Context) error
	// Beat reads what came of it.
	Beat(ctx context.Context) (Beat, error)
	// End undoes it. It is idempotent and conditional: skipped says why there was nothing to undo.
	End(ctx context.Context) (skipped string, err error)
	// Present looks on a fresh connection whether it is in force.
	Present(ctx context.Context) (bool, error)
	// Close gives back what it holds without undoing.
	Close()
}

// The faults of this package.
const (
	RedisMemory      = "redis-maxmemory"
	RedisStorm       = "redis-eviction-storm"
	RedisPersistence = "redis-persistence"
	RedisFlush       = "redis-flushall"
	RedisSlow        = "redis-slow-commands"
	RedisClientKill  = "redis-client-kill"
	RedisConnections = "redis-connections"

	PostgresReplay      = "postgres-replay-pause"
	PostgresTransaction = "postgres-long-transaction"
	PostgresLocks       = "postgres-lock-storm"
	PostgresSlow        = "postgres-slow-queries"
	PostgresIndex       = "postgres-drop-index"
	PostgresConnections = "postgres-connections"
)

// Open makes the fault of a spec whose secrets are expanded. It connects to nothing yet.
func Open(s Spec, dial Dial) (Fault, error) {
	var f Fault
	var params any
	switch s.Fault {
	case RedisMemory, RedisStorm, RedisPersistence, RedisFlush, RedisSlow, RedisClientKill, RedisConnections:
		f, params = openRedis(s, dial)
	default:
		f, params = openPostgres(s, dial)
	}
	if f == nil {
		return nil, fmt.Errorf("%q is not a fault on a store, or the spec says not where", s.Fault)
	}
	return f, s.with(params)
}

func openRedis(s Spec, dial Dial) (Fault, any) {
	if s.Redis == nil {
		return nil, nil
	}
	r := redisNode{spec: s, dial: dial}
	switch s.Fault {
	case RedisMemory:
		f := &memory{redisNode: r}
		return f, &f.with
	case RedisStorm:
		f := &storm{redisNode: r}
		return f, &f.with
	case RedisPersistence:
		f := &persistence{redisNode: r}
		return f, &f.with
	case RedisFlush:
		f := &flush{redisNode: r}
		return f, &f.with
	case RedisSlow:
		f := &slowCommands{redisNode: r}
		return f, &f.with
	case RedisClientKill:
		f := &clientKill{redisNode: r}
		return f, &f.with
	}
	f := &redisConnections{redisNode: r}
	return f, &f.with
}

func openPostgres(s Spec, dial Dial) (Fault, any) {
	if s.Postgres == nil {
		return nil, nil
	}
	p := pgServer{spec: s, dial: dial}
	switch s.Fault {
	case PostgresReplay:
		return &replayPause{pgServer: p}, &struct{}{}
	case PostgresTransaction:
		f := &transactions{pgServer: p}
		return f, &f.with
	case PostgresLocks:
		f := &locks{pgServer: p}
		return f, &f.with
	case PostgresSlow:
		f := &slowQueries{pgServer: p}
		return f, &f.with
	case PostgresIndex:
		f := &dropIndex{pgServer: p}
		return f, &f.with
	case PostgresConnections:
		f := &pgConnections{pgServer: p}
		return f, &f.with
	}
	return nil, nil
}

// crew is the goroutines that keep a fault going.
type crew struct {
	cancel context.CancelFunc
	work   sync.WaitGroup
}

// start begins work that ends with ctx or with stop.
func (c *crew) start(ctx context.Context) context.Context {
	ctx, c.cancel = context.WithCancel(ctx)
	return ctx
}

// stop ends the work and waits for it. It may be called without a start, and twice.
func (c *crew) stop() {
	if c.cancel != nil {
		c.cancel()
	}
	c.work.Wait()
}

// blocked is an error about the store as it is now.
func blocked(hint, format string, args ...any) error {
	return drills.Errorf(drills.Blocked, hint, format, args...)
}
