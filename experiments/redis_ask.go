package experiments

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// answerWithin is how long one node of a control plane or data store may take to answer. A dead one costs this much.
// nameWithin is longer, because a dial by name may have to ask a busy engine for the address.
const (
	answerWithin = time.Second
	nameWithin   = 2 * time.Second
)

// redisConns keeps one small pool per address, so that a reading costs a round trip and no dial. A connection that a fault
// broke is dropped with its first error and dialled anew by the next reading.
type redisConns struct {
	dial Dial

	mu        sync.Mutex
	nodes     map[string]*redis.Client
	sentinels map[string]*redis.SentinelClient
}

// entry is how a server is entered, secrets expanded.
type entry struct {
	username, password string
	tls                *tls.Config
}

// options retry nothing and announce nothing.
func (r *redisConns) options(addr string, e entry, within time.Duration) *redis.Options {
	return &redis.Options{
		Addr: addr, Dialer: r.dial.secure(e.tls), Protocol: 2, Username: e.username, Password: e.password,
		MaxRetries: -1, DialerRetries: 1, PoolSize: 3, PipelinePoolSize: -1, DisableIdentity: true,
		DialTimeout: within, ReadTimeout: within, WriteTimeout: within, ContextTimeoutEnabled: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

func (r *redisConns) node(addr string, e entry) *redis.Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := addr + " " + e.username + " " + e.password
	if r.nodes[key] == nil {
		if r.nodes == nil {
			r.nodes = map[string]*redis.Client{}
		}
		r.nodes[key] = redis.NewClient(r.options(addr, e, answerWithin))
	}
	return r.nodes[key]
}

func (r *redisConns) sentinel(addr string, e entry) *redis.SentinelClient {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := addr + " " + e.username + " " + e.password
	if r.sentinels[key] == nil {
		if r.sentinels == nil {
			r.sentinels = map[string]*redis.SentinelClient{}
		}
		r.sentinels[key] = redis.NewSentinelClient(r.options(addr, e, nameWithin))
	}
	return r.sentinels[key]
}

func (r *redisConns) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for c := range maps.Values(r.nodes) {
		errs = append(errs, c.Close())
	}
	for c := range maps.Values(r.sentinels) {
		errs = append(errs, c.Close())
	}
	r.nodes, r.sentinels = nil, nil
	return errors.Join(errs...)
}

// dataWord is what one data node says of itself.
type dataWord struct {
	role    string // master or slave, as Redis says
	follows string // a replica's primary, as it knows it
	linked  bool   // a replica's link is up
	offset  int64  // of the replication stream: written by a primary, received by a replica
	lastIO  time.Duration
	acks    map[string]time.Duration // by a primary: replica -> time since its last acknowledgement
	at      time.Time
}

// askData reads INFO replication of a data node.
func (r *redisConns) askData(ctx context.Context, addr string, e entry) (dataWord, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	text, err := r.node(addr, e).Info(ctx, "replication").Result()
	if err != nil {
		return dataWord{}, err
	}
	w := parseReplication(text)
	w.at = time.Now()
	return w, nil
}

// parseReplication reads the text of INFO replication.
func parseReplication(text string) dataWord {
	kv := map[string]string{}
	for line := range strings.Lines(text) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), ":")
		kv[k] = v
	}
	w := dataWord{role: kv["role"], follows: kv["master_host"], linked: kv["master_link_status"] == "up", acks: map[string]time.Duration{}}
	field := "master_repl_offset"
	if w.role == "slave" {
		field = "slave_repl_offset"
	}
	w.offset, _ = strconv.ParseInt(kv[field], 10, 64)
	w.lastIO = seconds(kv["master_last_io_seconds_ago"])
	for k, v := range kv {
		if !strings.HasPrefix(k, "slave") || !strings.Contains(v, "ip=") {
			continue
		}
		f := map[string]string{}
		for part := range strings.SplitSeq(v, ",") {
			name, value, _ := strings.Cut(part, "=")
			f[name] = value
		}
		if f["state"] == "online" {
			w.acks[f["ip"]] = seconds(f["lag"])
		}
	}
	return w
}

// seconds reads a count of whole seconds; what is not there or negative (never) is zero.
func seconds(s string) time.Duration {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(n) * time.Second
}

// sentinelWord is what one sentinel says of the primary.
type sentinelWord struct {
	addr     string
	host     string // of the primary
	epoch    int64  // of the configuration that it knows: the highest is the newest
	replicas int
	quorum   bool          // enough sentinels can be reached to authorise a failover, and it is not in TILT
	tilt     bool          // its clock jumped or it was held up: it only watches, for 30 s
	since    time.Duration // since the primary last changed its reported role
	busy     bool          // a failover is under way
}

// askSentinel reads SENTINEL MASTER, GET-MASTER-ADDR-BY-NAME, CKQUORUM and INFO sentinel.
func (r *redisConns) askSentinel(ctx context.Context, addr, master string, e entry) (sentinelWord, error) {
	ctx, cancel := context.WithTimeout(ctx, nameWithin)
	defer cancel()
	c := r.sentinel(addr, e)
	kv, err := c.Master(ctx, master).Result()
	if err != nil {
		return sentinelWord{}, err
	}
	// While a failover is under way this already names the promoted replica, SENTINEL MASTER not yet.
	at, err := c.GetMasterAddrByName(ctx, master).Result()
	if err == nil && len(at) != 2 {
		err = errors.New("not a host and a port")
	}
	if err != nil {
		return sentinelWord{}, fmt.Errorf("get-master-addr-by-name: %w", err)
	}
	w := sentinelWord{addr: addr, host: at[0], busy: strings.Contains(kv["flags"], "failover_in_progress")}
	w.epoch, _ = strconv.ParseInt(kv["config-epoch"], 10, 64)
	w.replicas, _ = strconv.Atoi(kv["num-slaves"])
	if ms, err := strconv.ParseInt(kv["role-reported-time"], 10, 64); err == nil {
		w.since = time.Duration(ms) * time.Millisecond
	}
	info := redis.NewStringCmd(ctx, "info", "sentinel")
	if err := c.Process(ctx, info); err != nil {
		return sentinelWord{}, fmt.Errorf("info sentinel: %w", err)
	}
	w.tilt = strings.Contains(info.Val(), "sentinel_tilt:1")
	w.quorum = !w.tilt && c.CkQuorum(ctx, master).Err() == nil
	return w, nil
}

// hostPort is an address with a default port.
func hostPort(host string, port, otherwise int) string {
	if port == 0 {
		port = otherwise
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}
