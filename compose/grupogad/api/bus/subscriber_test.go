package bus

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/defects"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// fakeRedis hands out subscriptions until it is down; broken subscriptions stay broken.
type fakeRedis struct {
	mu      sync.Mutex
	down    bool
	mute    bool // pings are taken and never answered
	opened  int
	current *fakeSub
}

type fakeSub struct {
	r        *fakeRedis
	messages chan []byte
	broken   chan struct{}
	once     sync.Once
}

func (r *fakeRedis) open(context.Context) (subscription, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return nil, errors.New("connection refused")
	}
	r.opened++
	r.current = &fakeSub{r: r, messages: make(chan []byte, 100), broken: make(chan struct{})}
	return r.current, nil
}

func (r *fakeRedis) set(down, mute bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down, r.mute = down, mute
	if down && r.current != nil {
		r.current.once.Do(func() { close(r.current.broken) })
	}
}

// publish reaches whoever is subscribed, and nobody else, as in Redis.
func (r *fakeRedis) publish(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != nil && !r.down && !r.mute {
		r.current.messages <- []byte(text)
	}
}

func (r *fakeRedis) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.opened
}

func (s *fakeSub) Receive(ctx context.Context, wait time.Duration) ([]byte, error) {
	select {
	case m := <-s.messages:
		return m, nil
	case <-s.broken:
		return nil, errors.New("EOF")
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(wait):
		return nil, errQuiet
	}
}

func (s *fakeSub) Ping(context.Context) error {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if !s.r.mute {
		s.messages <- nil // the pong
	}
	return nil
}

func (s *fakeSub) Close() error { return nil }

// listening runs a subscriber on a fake Redis in a bubble; got returns what was delivered so far.
func listening(t *testing.T, list string, down bool) (r *fakeRedis, s *Subscriber, got func() []string) {
	t.Helper()
	d, err := defects.Parse(list)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var delivered []string
	r = &fakeRedis{down: down}
	s = NewSubscriber(&Follower{}, func(b []byte) error {
		mu.Lock()
		defer mu.Unlock()
		delivered = append(delivered, string(b))
		return nil
	}, d, prometheus.NewRegistry(), zap.NewNop())
	s.open = r.open
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r, s, func() []string {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), delivered...)
	}
}

func TestResubscribesAfterAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, s, got := listening(t, "", false)
		synctest.Wait()
		r.publish("before")
		r.set(true, false)
		time.Sleep(10 * time.Second)
		if s.Up() {
			t.Error("says it is subscribed while Redis is down")
		}
		r.publish("during")
		r.set(false, false)
		time.Sleep(maxBackoff)
		r.publish("after")
		if d := cmp.Diff([]string{"before", "after"}, got()); d != "" {
			t.Errorf("delivered (-want +got):\n%s", d)
		}
		if !s.Up() {
			t.Error("says it is not subscribed")
		}
	})
}

func TestWithTheDefectItNeverComesBackUntilThatIsTakenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, s, got := listening(t, string(defects.SubscriberNeverResubscribes), false)
		synctest.Wait()
		r.publish("before")
		r.set(true, false)
		synctest.Wait()
		r.set(false, false)
		time.Sleep(time.Hour)
		r.publish("after")
		if d := cmp.Diff([]string{"before"}, got()); d != "" {
			t.Errorf("delivered (-want +got):\n%s", d)
		}
		if s.Up() || r.count() != 1 {
			t.Errorf("up = %v after %d subscriptions; want down after 1", s.Up(), r.count())
		}
		if err := s.defects.Replace(nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(maxBackoff)
		r.publish("sound again")
		if d := cmp.Diff([]string{"before", "sound again"}, got()); d != "" {
			t.Errorf("delivered (-want +got):\n%s", d)
		}
	})
}

// A service that starts before Redis is not an outage of a live subscription: even with the defect it
// must come up, or the steady state would never hold.
func TestWithTheDefectItStillWaitsForTheFirstConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, s, _ := listening(t, string(defects.SubscriberNeverResubscribes), true)
		time.Sleep(10 * time.Second)
		r.set(false, false)
		time.Sleep(2 * maxBackoff)
		if !s.Up() {
			t.Error("ended for good before it was ever subscribed")
		}
	})
}

// Behind a partition nothing closes the connection: only silence tells.
func TestASilentRedisIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _, _ := listening(t, "", false)
		time.Sleep(time.Minute)
		if r.count() != 1 {
			t.Fatalf("%d subscriptions in a quiet but healthy minute, want 1", r.count())
		}
		r.set(false, true)
		time.Sleep(maxSilent - time.Second)
		if r.count() != 1 {
			t.Error("given up too early")
		}
		time.Sleep(3 * time.Second)
		if r.count() < 2 {
			t.Error("still waiting for a Redis that says nothing")
		}
	})
}
