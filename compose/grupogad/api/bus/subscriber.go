package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/defects"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// Channel is the one Redis channel of broadcasts.
const Channel = "ws_broadcast"

const (
	// A subscription that hears nothing is pinged every tick and given up when it stays silent: a peer
	// behind a partition or a stopped process closes no connection.
	tick      = time.Second
	maxSilent = 3 * time.Second

	firstBackoff = 100 * time.Millisecond
	maxBackoff   = time.Second
)

// subscription is one live subscription. Receive returns the payload of a message, nil for anything
// else that was heard, or errQuiet when wait passed in silence.
type subscription interface {
	Receive(ctx context.Context, wait time.Duration) ([]byte, error)
	Ping(ctx context.Context) error
	Close() error
}

var errQuiet = errors.New("nothing was heard")

// Subscriber delivers the broadcasts of other instances.
type Subscriber struct {
	open    func(context.Context) (subscription, error)
	changed func() <-chan struct{} // a new master: try at once
	deliver func([]byte) error
	defects *defects.Set
	log     *zap.Logger
	up      atomic.Bool
	resubs  prometheus.Counter
}

// NewSubscriber listens on the follower's present master and hands every payload to deliver.
func NewSubscriber(f *Follower, deliver func([]byte) error, d *defects.Set, reg prometheus.Registerer, log *zap.Logger) *Subscriber {
	s := &Subscriber{
		open: f.subscribe, changed: f.Changed, deliver: deliver, defects: d, log: log,
		resubs: prometheus.NewCounter(prometheus.CounterOpts{Name: "ws_pubsub_subscriptions_total", Help: "Times the broadcast channel was subscribed to."}),
	}
	reg.MustRegister(s.resubs, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ws_pubsub_subscribed",
		Help: "1 while broadcasts of other instances can arrive.",
	}, func() float64 {
		if s.Up() {
			return 1
		}
		return 0
	}))
	return s
}

// Up reports whether the subscription is live.
func (s *Subscriber) Up() bool { return s.up.Load() }

// Run keeps the subscription alive until ctx ends: after any error it subscribes again, with backoff.
// With the defect subscriber-never-resubscribes the first error is the last; only taking the defect
// back (or a restart) starts it again.
func (s *Subscriber) Run(ctx context.Context) error {
	backoff := firstBackoff
	for ctx.Err() == nil {
		news := s.changed()
		was := s.resubscribed(ctx, &backoff)
		if ctx.Err() != nil {
			break
		}
		if was && !s.endForGood(ctx) {
			return nil
		}
		sleep(ctx, backoff, news)
		backoff = min(2*backoff, maxBackoff)
	}
	return nil //nolint:nilerr // the end of ctx is how it is told to stop
}

// resubscribed serves one subscription and reports whether it was ever live. A live one resets backoff.
func (s *Subscriber) resubscribed(ctx context.Context, backoff *time.Duration) bool {
	sub, err := s.open(ctx)
	if err != nil {
		s.log.Info("cannot subscribe", zap.Error(err), zap.Duration("again in", *backoff))
		return false
	}
	*backoff = firstBackoff
	s.up.Store(true)
	s.resubs.Inc()
	s.log.Info("subscribed", zap.String("channel", Channel))
	err = s.serve(ctx, sub)
	s.up.Store(false)
	_ = sub.Close() // it failed already, or the process is ending
	if ctx.Err() == nil {
		s.log.Warn("subscription lost", zap.Error(err))
	}
	return true
}

// endForGood waits while the defect is on; false means ctx ended first.
func (s *Subscriber) endForGood(ctx context.Context) bool {
	for {
		changed := s.defects.Changed()
		if !s.defects.On(defects.SubscriberNeverResubscribes) {
			return true
		}
		s.log.Warn("subscriber loop ended for good (defect)")
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}

// serve receives until the subscription breaks, falls silent, or ctx ends; it always returns an error.
func (s *Subscriber) serve(ctx context.Context, sub subscription) error {
	heard := time.Now()
	for ctx.Err() == nil {
		payload, err := sub.Receive(ctx, tick)
		switch {
		case errors.Is(err, errQuiet):
			if time.Since(heard) > maxSilent {
				return fmt.Errorf("silent for %s", time.Since(heard).Round(time.Millisecond))
			}
			if err := sub.Ping(ctx); err != nil {
				return err
			}
		case err != nil:
			return err
		default:
			heard = time.Now()
			s.pass(payload)
		}
	}
	return ctx.Err()
}

func (s *Subscriber) pass(payload []byte) {
	if payload == nil {
		return
	}
	if err := s.deliver(payload); err != nil {
		s.log.Warn("broadcast not delivered", zap.Error(err))
	}
}

func sleep(ctx context.Context, d time.Duration, news <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-news:
	case <-t.C:
	}
}

// subscribe opens a subscription and waits for Redis to confirm it: go-redis's Subscribe alone does not.
func (f *Follower) subscribe(ctx context.Context) (subscription, error) {
	c, err := f.Client()
	if err != nil {
		return nil, err
	}
	ps := c.Subscribe(ctx, Channel)
	if _, err := ps.ReceiveTimeout(ctx, f.o.Timeout); err != nil {
		_ = ps.Close() // the error that matters is err
		return nil, fmt.Errorf("subscribe to %s: %w", f.Master(), err)
	}
	return redisSub{ps}, nil
}

type redisSub struct{ *redis.PubSub }

func (r redisSub) Ping(ctx context.Context) error { return r.PubSub.Ping(ctx) }

func (r redisSub) Receive(ctx context.Context, wait time.Duration) ([]byte, error) {
	got, err := r.ReceiveTimeout(ctx, wait)
	var ne net.Error
	switch {
	case errors.As(err, &ne) && ne.Timeout():
		return nil, errQuiet
	case err != nil:
		return nil, fmt.Errorf("receive: %w", err)
	}
	if m, ok := got.(*redis.Message); ok {
		return []byte(m.Payload), nil
	}
	return nil, nil
}
