package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/eevans-d/simulacro/drills"
)

const (
	// answerWithin bounds one question to a store.
	answerWithin = 3 * time.Second
	controlName  = "simulacro-control"
)

// redisNode is one data node and a connection to it, dialled when it is first needed.
type redisNode struct {
	spec Spec
	dial Dial
	ctl  *redis.Client
}

// control is our connection for questions and settings.
func (r *redisNode) control() (*redis.Client, error) {
	if r.ctl != nil {
		return r.ctl, nil
	}
	o, err := r.options(controlName, answerWithin)
	if err != nil {
		return nil, err
	}
	r.ctl = redis.NewClient(o)
	return r.ctl, nil
}

// Close gives the connection back.
func (r *redisNode) Close() {
	if r.ctl != nil {
		_ = r.ctl.Close() // nothing is lost
		r.ctl = nil
	}
}

// options retry nothing and announce nothing but the connection's name.
func (r *redisNode) options(name string, within time.Duration) (*redis.Options, error) {
	cfg, err := r.spec.Redis.TLS.Config()
	if err != nil {
		return nil, err
	}
	return &redis.Options{
		Addr: r.spec.Redis.Address, Dialer: secure(r.dial, cfg), Protocol: 2, ClientName: name,
		Username: r.spec.Redis.Username, Password: r.spec.Redis.Password,
		MaxRetries: -1, DialerRetries: 1, PoolSize: 2, PipelinePoolSize: -1, DisableIdentity: true,
		DialTimeout: within, ReadTimeout: within, WriteTimeout: within, ContextTimeoutEnabled: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}, nil
}

// secure dials and shakes hands; nil is no TLS. The name that the certificate must have is the dialled one unless cfg has another.
func secure(dial Dial, cfg *tls.Config) Dial {
	if cfg == nil {
		return dial
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		own := cfg.Clone()
		if host, _, err := net.SplitHostPort(addr); err == nil && own.ServerName == "" {
			own.ServerName = host
		}
		s := tls.Client(c, own)
		if err := s.HandshakeContext(ctx); err != nil {
			_ = c.Close()
			return nil, err
		}
		return s, nil
	}
}

// info reads sections of INFO.
func (r *redisNode) info(ctx context.Context, section string) (map[string]string, error) {
	c, err := r.control()
	if err != nil {
		return nil, err
	}
	text, err := c.Info(ctx, section).Result()
	if err != nil {
		return nil, r.explain(err, "INFO", "+info")
	}
	kv := map[string]string{}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			kv[k] = v
		}
	}
	return kv, nil
}

// number reads a field of INFO, zero where it is not there.
func number(kv map[string]string, key string) int64 {
	n, _ := strconv.ParseInt(kv[key], 10, 64)
	return n
}

// member reads one value out of a field such as "count=3" or "calls=1,usec=20".
func member(field, key string) int64 {
	for part := range strings.SplitSeq(field, ",") {
		if k, v, _ := strings.Cut(part, "="); k == key {
			n, _ := strconv.ParseInt(v, 10, 64)
			return n
		}
	}
	return 0
}

// settings reads CONFIG GET.
func (r *redisNode) settings(ctx context.Context, names ...string) (map[string]string, error) {
	c, err := r.control()
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, name := range names {
		kv, err := c.ConfigGet(ctx, name).Result()
		if err != nil {
			return nil, r.explain(err, "CONFIG GET", "+config|get")
		}
		v, ok := kv[name]
		if !ok {
			return nil, blocked("another version of Redis?", "%s has no setting %s", r.spec.Redis.Address, name)
		}
		out[name] = v
	}
	return out, nil
}

// set changes settings one by one, in the order given: name, value, name, value.
func (r *redisNode) set(ctx context.Context, pairs ...string) error {
	c, err := r.control()
	if err != nil {
		return err
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if err := c.ConfigSet(ctx, pairs[i], pairs[i+1]).Err(); err != nil {
			return r.explain(err, "CONFIG SET "+pairs[i], "+config|set")
		}
	}
	return nil
}

// may asks the server whether our user may run commands, where it can tell (ACL DRYRUN, Redis 7).
func (r *redisNode) may(ctx context.Context, commands ...[]any) error {
	c, err := r.control()
	if err != nil {
		return err
	}
	user, err := c.Do(ctx, "acl", "whoami").Text()
	if err != nil {
		return nil //nolint:nilerr // an older server, or a user who may not ask: the deed itself will tell
	}
	for _, cmd := range commands {
		words := []any{"acl", "dryrun", user}
		for _, w := range strings.Split(fmt.Sprint(cmd[0]), "|") { // config|set is the command config with its first argument
			words = append(words, w)
		}
		said, err := c.Do(ctx, append(words, cmd[1:]...)...).Text()
		if err == nil && said != "OK" {
			return blocked(fmt.Sprintf("ACL SETUSER %s +%v", user, cmd[0]), "%s: %s", r.spec.Redis.Address, said)
		}
	}
	return nil
}

// explain gives the server's refusals a hint.
func (r *redisNode) explain(err error, what, grant string) error {
	var said redis.Error
	if !errors.As(err, &said) {
		return fmt.Errorf("%s: %s: %w", r.spec.Redis.Address, what, err)
	}
	text := said.Error()
	switch {
	case strings.HasPrefix(text, "NOPERM"):
		return drills.Wrap(drills.Blocked, err, r.spec.Redis.Address+": "+what, "ACL SETUSER <our user> "+grant)
	case strings.HasPrefix(text, "NOAUTH"), strings.HasPrefix(text, "WRONGPASS"):
		return drills.Wrap(drills.Blocked, err, r.spec.Redis.Address+": "+what, "give the component `control: {username, password}` or its roles a password")
	case strings.Contains(text, "unknown command"):
		return drills.Wrap(drills.Blocked, err, r.spec.Redis.Address+": "+what, "the server has the command renamed or forbidden: this fault cannot be had there")
	}
	return fmt.Errorf("%s: %s: %w", r.spec.Redis.Address, what, err)
}

// gone tells that no server listens there: what was only in its memory is gone with it.
func gone(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// absentIfGone turns "no server" into "not there".
func absentIfGone(there bool, err error) (bool, error) {
	if gone(err) {
		return false, nil
	}
	return there, err
}

// sessions lists the ids of the connections that carry our act's name.
func (r *redisNode) sessions(ctx context.Context) ([]string, error) {
	c, err := r.control()
	if err != nil {
		return nil, err
	}
	text, err := c.ClientList(ctx).Result()
	if err != nil {
		return nil, r.explain(err, "CLIENT LIST", "+client|list")
	}
	var ids []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, " name="+r.spec.Name()+" ") {
			id, _, _ := strings.Cut(strings.TrimPrefix(line, "id="), " ")
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// endSessions closes what is still connected under our act's name, which may be another process's.
func (r *redisNode) endSessions(ctx context.Context) (int, error) {
	ids, err := r.sessions(ctx)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		if err := r.ctl.ClientKillByFilter(ctx, "ID", id).Err(); err != nil {
			return 0, r.explain(err, "CLIENT KILL", "+client|kill")
		}
	}
	return len(ids), nil
}

// at is the same store at another address.
func (r *redisNode) at(address string) redisNode {
	s := r.spec
	other := *s.Redis
	other.Address = address
	s.Redis = &other
	return redisNode{spec: s, dial: r.dial}
}

// writable is the node itself, or the primary that it follows now: keys are removed where they can be.
func (r *redisNode) writable(ctx context.Context) (*redisNode, error) {
	kv, err := r.info(ctx, "replication")
	if err != nil {
		return nil, err
	}
	if kv["role"] != "slave" {
		return r, nil
	}
	other := r.at(net.JoinHostPort(kv["master_host"], kv["master_port"]))
	return &other, nil
}
