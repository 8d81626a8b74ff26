package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/defects"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// The streams. What is in one survives a failover and can be read again, unlike what is published.
const (
	Broadcasts    = "gad:broadcasts"
	Notifications = "gad:notifications"
)

const (
	maxStream   = 100_000 // entries, about
	waitReplica = 500 * time.Millisecond
	streamBatch = 100
	streamBlock = time.Second
)

// ErrNotReplicated means that the primary has the entry and no replica said so in time: should the primary die now, it may be gone.
var ErrNotReplicated = errors.New("no replica has confirmed the entry")

// Entry is what became of an entry.
type Entry struct {
	ID       string
	Replicas int64
}

// Append adds an entry and waits for a replica to have it: Sentinel promotes the one that is furthest, so an entry that one of
// them confirmed survives the primary.
func (f *Follower) Append(ctx context.Context, stream string, values map[string]any) (Entry, error) {
	c, err := f.Client()
	if err != nil {
		return Entry{}, err
	}
	p := c.Pipeline()
	added := p.XAdd(ctx, &redis.XAddArgs{Stream: stream, MaxLen: maxStream, Approx: true, Values: values})
	confirmed := redis.NewIntCmd(ctx, "wait", 1, waitReplica.Milliseconds())
	_ = p.Process(ctx, confirmed) // queued; Exec says what became of it
	if _, err := p.Exec(ctx); err != nil {
		return Entry{ID: added.Val()}, fmt.Errorf("add to %s: %w", stream, err)
	}
	return Entry{ID: added.Val(), Replicas: confirmed.Val()}, nil
}

// StreamReader delivers what other instances put into the stream of broadcasts. After any interruption it goes on after the last
// entry that it had, so nothing is missed.
type StreamReader struct {
	f       *Follower
	deliver func([]byte) error
	defects *defects.Set
	log     *zap.Logger
	last    string
	read    prometheus.Counter
}

// NewStreamReader reads on the follower's present master and hands every payload to deliver.
func NewStreamReader(f *Follower, deliver func([]byte) error, d *defects.Set, reg prometheus.Registerer, log *zap.Logger) *StreamReader {
	s := &StreamReader{
		f: f, deliver: deliver, defects: d, log: log,
		read: prometheus.NewCounter(prometheus.CounterOpts{Name: "ws_stream_entries_total", Help: "Broadcasts read from the stream, our own included."}),
	}
	reg.MustRegister(s.read)
	return s
}

// Run reads until ctx ends.
func (s *StreamReader) Run(ctx context.Context) error {
	for backoff := firstBackoff; ctx.Err() == nil; {
		news := s.f.Changed()
		err := s.step(ctx)
		if err == nil {
			backoff = firstBackoff
			continue
		}
		if ctx.Err() != nil {
			break
		}
		if s.defects.On(defects.StreamNeverReplays) {
			s.last = ""
		}
		s.log.Info("cannot read the stream of broadcasts", zap.Error(err), zap.Duration("again in", backoff))
		sleep(ctx, backoff, news)
		backoff = min(2*backoff, maxBackoff)
	}
	return nil //nolint:nilerr // the end of ctx is how it is told to stop
}

func (s *StreamReader) step(ctx context.Context) error {
	c, err := s.f.Client()
	if err != nil {
		return err
	}
	if s.last == "" {
		return s.begin(ctx, c)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*streamBlock) // the library would wait 10 s longer behind a partition
	defer cancel()
	got, err := c.XRead(ctx, &redis.XReadArgs{Streams: []string{Broadcasts, s.last}, Count: streamBatch, Block: streamBlock}).Result()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	for _, m := range got[0].Messages {
		s.last = m.ID
		s.read.Inc()
		if text, ok := m.Values["payload"].(string); ok {
			if err := s.deliver([]byte(text)); err != nil {
				s.log.Warn("broadcast not delivered", zap.Error(err))
			}
		}
	}
	return nil
}

// begin finds where the stream is now: a new process has no clients that could have missed anything.
func (s *StreamReader) begin(ctx context.Context, c *redis.Client) error {
	newest, err := c.XRevRangeN(ctx, Broadcasts, "+", "-", 1).Result()
	if err != nil {
		return fmt.Errorf("look for the newest entry: %w", err)
	}
	s.last = "0-0"
	if len(newest) > 0 {
		s.last = newest[0].ID
	}
	return nil
}
