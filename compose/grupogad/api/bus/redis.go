package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Publish sends a broadcast to the other instances. A nil error means that the present master took it,
// not that anybody received it: Redis publishes at most once.
func (f *Follower) Publish(ctx context.Context, payload []byte) error {
	c, err := f.Client()
	if err != nil {
		return err
	}
	return c.Publish(ctx, Channel, payload).Err()
}

// Ready makes a write that only a master with its replicas in order accepts, so that readiness does not
// call a read-only or full Redis ready.
func (f *Follower) Ready(ctx context.Context, instance string) error {
	c, err := f.Client()
	if err != nil {
		return err
	}
	if err := c.Set(ctx, "gad:ready:"+instance, time.Now().UnixMilli(), time.Minute).Err(); err != nil {
		return fmt.Errorf("redis %s: %w", f.Master(), err)
	}
	return nil
}

// Get reads a cached value; ok is false when there is none.
func (f *Follower) Get(ctx context.Context, key string) (value []byte, ok bool, err error) {
	c, err := f.Client()
	if err != nil {
		return nil, false, err
	}
	value, err = c.Get(ctx, key).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, false, nil
	}
	return value, err == nil, err
}

// Set caches a value for ttl.
func (f *Follower) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	c, err := f.Client()
	if err != nil {
		return err
	}
	return c.Set(ctx, key, value, ttl).Err()
}

// Del forgets cached values.
func (f *Follower) Del(ctx context.Context, keys ...string) error {
	c, err := f.Client()
	if err != nil {
		return err
	}
	return c.Del(ctx, keys...).Err()
}
