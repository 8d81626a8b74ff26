package store

import (
	"context"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Storm are the parameters of redis-eviction-storm.
type Storm struct {
	Rate float64 `json:"rate"` // keys a second
	Size int     `json:"size"` // bytes of a value
}

const (
	// stormKeys is how many keys at most are ours: they are found again by their numbers, without a look through the store.
	stormKeys  = 1_000_000
	stormTick  = 50 * time.Millisecond
	stormBatch = 1000
	// stormSlack is how long the keys outlive the fault when nobody removes them.
	stormSlack = time.Minute
)

// storm writes keys of our own until the server evicts.
type storm struct {
	redisNode
	with    Storm
	crew    crew
	evicted int64
	began   time.Time
	written atomic.Int64
}

// Check refuses a server that would not evict.
func (f *storm) Check(ctx context.Context) (map[string]string, error) {
	now, err := f.settings(ctx, "maxmemory", "maxmemory-policy")
	if err != nil {
		return nil, err
	}
	limit, _ := strconv.ParseInt(now["maxmemory"], 10, 64)
	keys := int64(math.Ceil(1.5 * float64(limit) / float64(f.with.Size)))
	kv, err := f.info(ctx, "replication")
	switch {
	case err != nil:
		return nil, err
	case kv["role"] == "slave":
		return nil, blocked("target the primary: `role: primary`", "%s is a replica and takes no writes", f.spec.Redis.Address)
	case limit == 0:
		return nil, blocked("give it a maxmemory, or use redis-maxmemory", "%s has no maxmemory: it would take keys until the machine is full", f.spec.Redis.Address)
	case now["maxmemory-policy"] == "noeviction":
		return nil, blocked("use redis-maxmemory with policy noeviction", "%s evicts nothing (maxmemory-policy noeviction)", f.spec.Redis.Address)
	case keys > stormKeys:
		return nil, blocked("give a larger `size`", "filling %d bytes takes %d keys, more than %d", limit, keys, stormKeys)
	}
	now["keys"] = strconv.FormatInt(keys, 10)
	return now, f.may(ctx, []any{"set", f.key(0), "x"}, []any{"unlink", f.key(0)})
}

func (f *storm) key(i int64) string {
	return "simulacro:" + f.spec.Name() + ":" + strconv.FormatInt(i, 10)
}

func (f *storm) keys() int64 {
	n, _ := strconv.ParseInt(f.spec.Before["keys"], 10, 64)
	return n
}

// Begin starts to write.
func (f *storm) Begin(ctx context.Context) error {
	var err error
	if f.evicted, _, err = f.refused(ctx); err != nil {
		return err
	}
	f.began = time.Now()
	ctx = f.crew.start(ctx)
	f.crew.work.Go(func() { f.write(ctx) })
	return nil
}

// write goes round its keys at the rate. What a server that is away refuses is not made up for.
func (f *storm) write(ctx context.Context) {
	value := strings.Repeat("x", f.with.Size)
	ttl := f.spec.For.D() + stormSlack
	due, next := time.Now(), int64(0)
	for {
		n := int64(f.with.Rate*time.Since(f.began).Seconds()) - next
		n = min(n, int64(f.with.Rate))
		_, err := f.ctl.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range n {
				p.Set(ctx, f.key((next+i)%f.keys()), value, ttl)
			}
			return nil
		})
		if err == nil {
			f.written.Add(n)
		}
		next = int64(f.with.Rate * time.Since(f.began).Seconds())
		if due = due.Add(stormTick); due.Before(time.Now()) {
			due = time.Now().Add(stormTick)
		}
		if !waitUntil(ctx, due) {
			return
		}
	}
}

// Beat is proof once a key was evicted.
func (f *storm) Beat(ctx context.Context) (Beat, error) {
	evicted, _, err := f.refused(ctx)
	evicted -= f.evicted
	return Beat{Proven: evicted > 0, Facts: map[string]any{
		"written": f.written.Load(), "evicted": evicted, "evicted_a_second": math.Round(float64(evicted) / time.Since(f.began).Seconds()),
	}}, err
}

// End stops writing and removes our keys, at the primary of now.
func (f *storm) End(ctx context.Context) (string, error) {
	f.crew.stop()
	n, err := f.each(ctx, true)
	if gone(err) {
		return "the server is not there; the keys expire by themselves", nil
	}
	if err == nil && n == 0 {
		return "none of its keys was there", nil
	}
	return "", err
}

// Present tells whether one of our keys is there.
func (f *storm) Present(ctx context.Context) (bool, error) {
	n, err := f.each(ctx, false)
	return absentIfGone(n > 0, err)
}

// each counts our keys, or removes them.
func (f *storm) each(ctx context.Context, remove bool) (found int64, err error) {
	at, err := f.writable(ctx)
	if err != nil {
		return 0, err
	}
	if at != &f.redisNode {
		defer at.Close()
	}
	c, err := at.control()
	if err != nil {
		return 0, err
	}
	for from := int64(0); from < f.keys(); from += stormBatch {
		var keys []string
		for i := from; i < min(from+stormBatch, f.keys()); i++ {
			keys = append(keys, f.key(i))
		}
		cmd := c.Exists
		if remove {
			cmd = c.Unlink
		}
		n, err := cmd(ctx, keys...).Result()
		if err != nil {
			return found, at.explain(err, "UNLINK", "+unlink +exists ~simulacro:*")
		}
		found += n
	}
	return found, nil
}
