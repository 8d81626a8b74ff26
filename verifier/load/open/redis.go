package open

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/eevans-d/simulacro/drills"
)

const (
	// keyLife is how long a key of the load stays if nobody removes it.
	keyLife = 10 * time.Minute
	// purgeBatch is how many keys are removed in one command.
	purgeBatch = 500
)

// Redis makes clients that GET and SET keys of their own namespace.
type Redis struct {
	spec    drills.RedisLoad
	clients []*redis.Client // one per member, or the one that follows the Sentinels; each keeps the connections of its workers
	value   string
	seed    uint64
}

// NewRedis prepares the load; nothing is dialled yet. connections and timeout are those of the flow.
func NewRedis(spec drills.RedisLoad, connections int, timeout time.Duration, run string, seed uint64) (*Redis, error) {
	spec.Prefix = strings.ReplaceAll(spec.Prefix, "{run}", run)
	if spec.Prefix == "" || spec.Keys < 1 || spec.Size < 1 || len(spec.Addresses) == 0 && (len(spec.Sentinels) == 0 || spec.Master == "") {
		return nil, errors.New("redis: needs a prefix, keys, a size, and addresses or Sentinels with a master")
	}
	secure, err := spec.TLS.Config()
	if err != nil {
		return nil, err
	}
	r := &Redis{spec: spec, value: strings.Repeat("x", spec.Size), seed: seed}
	options := func(addr string, connections int) *redis.Options {
		return &redis.Options{
			Addr: addr, Username: spec.Username, Password: spec.Password, TLSConfig: secure, Protocol: 2, MaxRetries: -1, DialerRetries: 1, DisableIdentity: true,
			PoolSize: connections, PipelinePoolSize: -1, DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, ContextTimeoutEnabled: true,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		}
	}
	for _, addr := range spec.Addresses {
		r.clients = append(r.clients, redis.NewClient(options(addr, connections/len(spec.Addresses)+1)))
	}
	if len(spec.Addresses) == 0 {
		o := options("sentinel:"+spec.Master, connections)
		o.Dialer, err = viaSentinels(spec, secure, timeout)
		r.clients = []*redis.Client{redis.NewClient(o)}
	}
	return r, err
}

// viaSentinels dials the primary that the first Sentinel which answers names. A connection stays where it is until it
// breaks or the member says that it is read-only now (go-redis drops it then); the next one follows the Sentinels.
func viaSentinels(spec drills.RedisLoad, secure *tls.Config, timeout time.Duration) (func(context.Context, string, string) (net.Conn, error), error) {
	o := redis.Options{
		Protocol: 2, MaxRetries: -1, DialerRetries: 1, DisableIdentity: true, PoolSize: 1, DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout,
		ContextTimeoutEnabled: true, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if a := spec.Auth; a != nil {
		t, err := a.TLS.Config()
		if err != nil {
			return nil, err
		}
		o.Username, o.Password, o.TLSConfig = a.Username, a.Password, t
	}
	ask := func(ctx context.Context, addr string) (string, error) {
		one := o
		one.Addr = addr
		c := redis.NewSentinelClient(&one)
		defer c.Close() //nolint:errcheck // only read from
		found, err := c.GetMasterAddrByName(ctx, spec.Master).Result()
		if err == nil && len(found) != 2 {
			err = errors.New("no address")
		}
		if err != nil {
			return "", err
		}
		return net.JoinHostPort(found[0], found[1]), nil
	}
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		var last error
		for _, sentinel := range spec.Sentinels {
			addr, err := ask(ctx, sentinel)
			if err != nil {
				last = err
				continue
			}
			d := &net.Dialer{Timeout: timeout}
			if secure != nil {
				return (&tls.Dialer{NetDialer: d, Config: secure}).DialContext(ctx, "tcp", addr)
			}
			return d.DialContext(ctx, "tcp", addr)
		}
		return nil, fmt.Errorf("no Sentinel names the primary of %s: %w", spec.Master, last)
	}, nil
}

// Names of the operations, for Flow.Ops.
func (*Redis) Names() []string { return []string{"get", "set"} }

// Open makes the client of worker n.
func (r *Redis) Open(n int) Client { return &redisClient{load: r, client: r.clients[n%len(r.clients)]} }

// Close ends every connection.
func (r *Redis) Close() {
	for _, c := range r.clients {
		_ = c.Close() // nothing is lost
	}
}

// Purge removes the keys of the load and proves it by asking for each. It returns how many there were.
func (r *Redis) Purge(ctx context.Context) (int64, error) {
	if r.spec.Writes <= 0 {
		return 0, nil
	}
	var removed, left int64
	for first := 0; first < r.spec.Keys; first += purgeBatch {
		var keys []string
		for k := first; k < min(first+purgeBatch, r.spec.Keys); k++ {
			keys = append(keys, r.key(k))
		}
		n, err := r.clients[0].Unlink(ctx, keys...).Result()
		if err != nil {
			return removed, fmt.Errorf("remove the keys %s*: %s", r.spec.Prefix, text(err))
		}
		removed += n
		n, err = r.clients[0].Exists(ctx, keys...).Result()
		if err != nil {
			return removed, fmt.Errorf("look for the keys %s*: %s", r.spec.Prefix, text(err))
		}
		left += n
	}
	if left > 0 {
		return removed, fmt.Errorf("%d keys %s* are still there", left, r.spec.Prefix)
	}
	return removed, nil
}

func (r *Redis) key(k int) string { return r.spec.Prefix + strconv.Itoa(k) }

type redisClient struct {
	load   *Redis
	client *redis.Client
}

// Close leaves the connections to Redis.Close: they are pooled.
func (*redisClient) Close() {}

// Do sends all commands in one write and reads their replies.
func (c *redisClient) Do(ctx context.Context, first int64, out []Outcome) {
	pipe := c.client.Pipeline()
	cmds := make([]redis.Cmder, len(out))
	for i := range out {
		d := roll(c.load.seed, first+int64(i))
		write := d.unit() < float64(c.load.spec.Writes)
		key := c.load.key(int(d.next() % uint64(c.load.spec.Keys)))
		if write {
			out[i].Op = 1
			cmds[i] = pipe.Set(ctx, key, c.load.value, keyLife)
		} else {
			cmds[i] = pipe.Get(ctx, key)
		}
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for i, cmd := range cmds {
		out[i].Class, out[i].Text = redisClass(cmd.Err())
	}
}

// redisClass: an absent key is an answer.
func redisClass(err error) (Class, string) {
	var reply redis.Error
	switch {
	case err == nil, errors.Is(err, redis.Nil):
		return Good, ""
	case errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return Timeout, "timeout"
	case !errors.As(err, &reply):
		return classify(err)
	}
	word, _, _ := strings.Cut(reply.Error(), " ")
	class := Failed
	switch word {
	case "NOAUTH", "WRONGPASS", "NOPERM":
		class = Unauthorised
	case "ERR", "WRONGTYPE":
		class = Malformed
	}
	if class == Malformed && strings.Contains(reply.Error(), "max number of clients") {
		class = Refused // that is the target's limit, not a mistake of ours
	}
	return class, word
}
