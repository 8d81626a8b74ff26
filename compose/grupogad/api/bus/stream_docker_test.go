package bus

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/defects"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

const redisImage = "gad/redis:dev"

// startRedis starts a Redis of our own and returns its address.
func startRedis(t *testing.T, args ...string) string {
	t.Helper()
	if os.Getenv("SIMULACRO_NO_DOCKER") == "1" {
		t.Skip("SIMULACRO_NO_DOCKER=1")
	}
	if err := exec.CommandContext(t.Context(), "docker", "image", "inspect", redisImage).Run(); err != nil {
		if os.Getenv("SIMULACRO_REQUIRE_DOCKER") == "1" {
			t.Fatalf("no image %s: %v; make images", redisImage, err)
		}
		t.Skipf("no image %s; make images", redisImage)
	}
	docker := func(args ...string) string {
		out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "docker", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("docker %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	id := docker(append([]string{
		"run", "-d", "--rm", "--user", "redis", "--label", "io.simulacro.test=bus", redisImage,
		"redis-server", "--save", "", "--protected-mode", "no", "--dir", "/tmp",
	}, args...)...)
	t.Cleanup(func() { docker("rm", "-f", id) })
	addr := docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", id)
	c := redis.NewClient(&redis.Options{Addr: addr + ":6379"})
	defer c.Close()
	for end := time.Now().Add(30 * time.Second); c.Ping(t.Context()).Err() != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("Redis does not answer")
		}
	}
	return addr
}

func following(t *testing.T, addr string) *Follower {
	t.Helper()
	f := NewFollower(Options{Addr: addr + ":6379", Timeout: time.Second, Poll: time.Second, Log: zap.NewNop()})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return f
}

// An entry is confirmed by a replica where there is one, and its lack is told where there is none.
func TestAppendSaysWhetherAReplicaHasIt(t *testing.T) {
	t.Parallel()
	addr := startRedis(t)
	f := following(t, addr)
	if e, err := f.Append(t.Context(), "s", map[string]any{"k": "v"}); err != nil || e.ID == "" || e.Replicas != 0 {
		t.Errorf("alone: %+v %v", e, err)
	}
	startRedis(t, "--replicaof", addr, "6379")
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		e, err := f.Append(t.Context(), "s", map[string]any{"k": "v"})
		if err == nil && e.Replicas == 1 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("with a replica: %+v %v", e, err)
		}
	}
}

// received is what arrived, by message.
type received struct {
	mu  sync.Mutex
	got map[string]int
}

func (r *received) take(b []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got[string(b)]++
	return nil
}

func (r *received) count() (distinct, twice int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.got {
		twice += n - 1
	}
	return len(r.got), twice
}

// While connections are cut again and again, the Stream loses nothing and gives nothing twice; Pub/Sub loses, which is the
// baseline, and so does the Stream with the defect.
func TestStreamReplaysWhatPubSubLoses(t *testing.T) {
	t.Parallel()
	for _, defect := range []string{"", string(defects.StreamNeverReplays)} {
		t.Run("defect "+defect, func(t *testing.T) {
			t.Parallel()
			f := following(t, startRedis(t))
			d, err := defects.Parse(defect)
			if err != nil {
				t.Fatal(err)
			}
			stream, pubsub := &received{got: map[string]int{}}, &received{got: map[string]int{}}
			reader := NewStreamReader(f, stream.take, d, prometheus.NewRegistry(), zap.NewNop())
			sub := NewSubscriber(f, pubsub.take, d, prometheus.NewRegistry(), zap.NewNop())
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { _ = reader.Run(ctx) })
			wg.Go(func() { _ = sub.Run(ctx) })
			t.Cleanup(func() { cancel(); wg.Wait() })
			own := redis.NewClient(&redis.Options{Addr: f.Master(), PoolSize: 1})
			defer own.Close()
			const all = 600
			n := 0
			say := func() {
				text := fmt.Sprint(n)
				n++
				if err := own.XAdd(ctx, &redis.XAddArgs{Stream: Broadcasts, Values: map[string]any{"payload": text}}).Err(); err != nil {
					t.Fatal(err)
				}
				if err := own.Publish(ctx, Channel, text).Err(); err != nil {
					t.Fatal(err)
				}
			}
			for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) { // until both are listening
				s, _ := stream.count()
				p, _ := pubsub.count()
				if s > 0 && p > 0 {
					break
				}
				if say(); time.Now().After(end) {
					t.Fatalf("nothing arrives: %d by stream, %d by Pub/Sub", s, p)
				}
			}
			before := n // of these the readers may have missed the first, when they were not there yet
			sBefore, _ := stream.count()
			for n < before+all {
				if say(); n%100 == 0 {
					for _, kind := range []string{"normal", "pubsub"} {
						if err := own.ClientKillByFilter(ctx, "TYPE", kind, "SKIPME", "yes").Err(); err != nil {
							t.Fatal(err)
						}
					}
				}
				time.Sleep(time.Millisecond)
			}
			for end := time.Now().Add(10 * time.Second); defect == "" && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				if s, _ := stream.count(); s >= sBefore+all {
					break
				}
			}
			time.Sleep(time.Second) // whatever else would come, by Pub/Sub or twice
			s, twice := stream.count()
			p, _ := pubsub.count()
			t.Logf("of %d messages %d came by the Stream, %d by Pub/Sub", n, s, p)
			if lost := s < sBefore+all; lost != (defect != "") || twice != 0 {
				t.Errorf("by the Stream %d of %d came, %d twice", s, n, twice)
			}
			if p >= before+all {
				t.Error("Pub/Sub lost nothing, so the connections were not cut and this shows nothing")
			}
		})
	}
}
