package bus

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// Options says where Redis is and how long to wait for it.
type Options struct {
	Sentinels        []string // host:port
	Master           string   // its name in Sentinel
	Addr             string   // a lone Redis, when there are no Sentinels
	Password         string
	SentinelPassword string
	Timeout          time.Duration // dial, read and write, each
	Poll             time.Duration // between two questions to the Sentinels
	Log              *zap.Logger
}

// ErrNoMaster means that no Sentinel has named a master yet.
var ErrNoMaster = errors.New("no Sentinel has named a Redis master yet")

// answer is what one Sentinel believes.
type answer struct {
	addr  string
	epoch int64
}

// Follower keeps a client to the present master.
type Follower struct {
	o         Options
	sentinels []*redis.SentinelClient

	mu      sync.Mutex
	current answer
	client  *redis.Client
	changed chan struct{} // closed at the next change of master
}

// NewFollower connects to nothing yet.
func NewFollower(o Options) *Follower {
	f := &Follower{o: o, changed: make(chan struct{})}
	for _, addr := range o.Sentinels {
		so := clientOptions(o)
		so.Addr, so.Password, so.PoolSize = addr, o.SentinelPassword, 2
		f.sentinels = append(f.sentinels, redis.NewSentinelClient(so))
	}
	if len(o.Sentinels) == 0 && o.Addr != "" {
		f.move(answer{addr: o.Addr})
	}
	return f
}

// clientOptions fail fast and do not retry: the circuit breaker and the caller decide what comes next,
// and retries inside the library would turn an outage into latency.
func clientOptions(o Options) *redis.Options {
	return &redis.Options{
		DialTimeout: o.Timeout, ReadTimeout: o.Timeout, WriteTimeout: o.Timeout, PoolTimeout: o.Timeout,
		ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1, PoolSize: 20, PipelinePoolSize: -1,
		ReadBufferSize: 4096, WriteBufferSize: 4096, DisableIdentity: true, Protocol: 2,
	}
}

// Client is a client of the present master; it is closed when the master changes, so do not keep it.
func (f *Follower) Client() (*redis.Client, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.client == nil {
		return nil, ErrNoMaster
	}
	return f.client, nil
}

// Master is the present master's address, empty when unknown.
func (f *Follower) Master() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.current.addr
}

// Changed is closed when the master changes, so that nobody waits out a backoff while a new one is there.
func (f *Follower) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// Run asks the Sentinels every Poll until ctx ends, then closes all connections.
func (f *Follower) Run(ctx context.Context) error {
	defer f.close()
	t := time.NewTicker(f.o.Poll)
	defer t.Stop()
	for len(f.sentinels) > 0 {
		if next, ok := elect(f.state(), f.ask(ctx), len(f.sentinels)); ok {
			f.move(next)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
	<-ctx.Done()
	return nil
}

func (f *Follower) state() answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.current
}

// elect picks the master to follow from the answers. The newest epoch wins; an epoch older than ours
// counts only when a majority of all Sentinels shares it (they were rebuilt), because a lone Sentinel on
// the wrong side of a partition is merely out of date. ok is false when there is nothing to change.
func elect(now answer, answers []answer, sentinels int) (next answer, ok bool) {
	votes := map[answer]int{}
	for _, a := range answers {
		votes[a]++
		if a.epoch > next.epoch || next.addr == "" || (a.epoch == next.epoch && votes[a] > votes[next]) {
			next = a
		}
	}
	if next.addr == "" || next == now {
		return now, false
	}
	if next.epoch > now.epoch || now.addr == "" {
		return next, true
	}
	return next, votes[next] > sentinels/2
}

// ask puts the question to all Sentinels at the same time and returns the answers that came in time.
func (f *Follower) ask(ctx context.Context) []answer {
	ctx, cancel := context.WithTimeout(ctx, 2*f.o.Timeout)
	defer cancel()
	got := make([]*answer, len(f.sentinels))
	var wg sync.WaitGroup
	for i, s := range f.sentinels {
		wg.Go(func() { got[i] = f.askOne(ctx, s) })
	}
	wg.Wait()
	var answers []answer
	for _, a := range got {
		if a != nil {
			answers = append(answers, *a)
		}
	}
	return answers
}

// askOne reads the epoch first: if the master changes between the two questions, the pair is the new
// address with the old epoch, which is corrected at the next poll; the other order could pin the old
// address under the new epoch.
func (f *Follower) askOne(ctx context.Context, s *redis.SentinelClient) *answer {
	about, err := s.Master(ctx, f.o.Master).Result()
	if err != nil {
		f.o.Log.Debug("sentinel does not answer", zap.Error(err))
		return nil
	}
	epoch, err := strconv.ParseInt(about["config-epoch"], 10, 64)
	if err != nil {
		f.o.Log.Warn("sentinel gave no config-epoch", zap.Error(err))
		return nil
	}
	addr, err := s.GetMasterAddrByName(ctx, f.o.Master).Result()
	if err != nil || len(addr) != 2 {
		return nil
	}
	return &answer{addr: net.JoinHostPort(addr[0], addr[1]), epoch: epoch}
}

// move makes next the master. Closing the old client breaks its connections, the subscriber's too:
// that is what sends the subscriber to the new master even while the old one still answers.
func (f *Follower) move(next answer) {
	f.mu.Lock()
	old, before := f.client, f.current
	f.current = next
	if old == nil || before.addr != next.addr {
		co := clientOptions(f.o)
		co.Addr, co.Password = next.addr, f.o.Password
		f.client = redis.NewClient(co)
		close(f.changed)
		f.changed = make(chan struct{})
	} else {
		old = nil
	}
	f.mu.Unlock()
	if before.addr != next.addr {
		f.o.Log.Info("redis master", zap.String("addr", next.addr), zap.Int64("epoch", next.epoch), zap.String("before", before.addr))
	}
	if old != nil {
		_ = old.Close() // its connections go to a server that is not the master any more
	}
}

func (f *Follower) close() {
	for _, s := range f.sentinels {
		_ = s.Close() // the process is ending
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.client != nil {
		_ = f.client.Close()
	}
}
