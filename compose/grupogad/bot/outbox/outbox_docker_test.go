package outbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/metricstest"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

const redisImage = "gad/redis:dev"

// realRedis starts a Redis of our own: consumer groups are the very thing under test, and no imitation has all of them.
func realRedis(t *testing.T) *redis.Client {
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
	id := docker("run", "-d", "--rm", "--user", "redis", "--label", "io.simulacro.test=outbox", redisImage,
		"redis-server", "--save", "", "--protected-mode", "no", "--dir", "/tmp")
	t.Cleanup(func() { docker("rm", "-f", id) })
	c := redis.NewClient(&redis.Options{Addr: docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", id) + ":6379", Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = c.Close() })
	for end := time.Now().Add(30 * time.Second); c.Ping(t.Context()).Err() != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("Redis does not answer")
		}
	}
	return c
}

// telegram takes what it is sent, or not.
type telegram struct {
	mu   sync.Mutex
	got  []string
	how  func(context.Context, Notification) error
	seen int
}

func (g *telegram) send(ctx context.Context, n Notification) error {
	g.mu.Lock()
	how := g.how
	g.seen++
	g.mu.Unlock()
	if how != nil {
		if err := how(ctx, n); err != nil {
			return err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.got = append(g.got, n.ID)
	return nil
}

func (g *telegram) list() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.got)
}

var errRefused = errors.New("refused")

// start runs a bot; stop is its death: what it is sending ends with its context.
func start(t *testing.T, c *redis.Client, g *telegram, change func(*Options)) (reg *prometheus.Registry, stop func()) {
	t.Helper()
	reg = prometheus.NewRegistry()
	no := func() bool { return false }
	o := Options{
		Client: func() (*redis.Client, error) { return c, nil }, Send: g.send, Consumer: "bot",
		Refused: func(err error) bool { return errors.Is(err, errRefused) }, NoDedupe: no, NeverReclaim: no, Register: reg, Log: zap.NewNop(),
	}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	b := New(o)
	go func() { done <- b.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return reg, stop
}

func issue(t *testing.T, c *redis.Client, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := c.XAdd(t.Context(), &redis.XAddArgs{Stream: Stream, Values: map[string]any{"id": id, "chat_id": "7", "text": "t"}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func unacknowledged(t *testing.T, c *redis.Client) int64 {
	t.Helper()
	p, err := c.XPending(t.Context(), Stream, group).Result()
	if err != nil {
		return -1 // no group yet
	}
	return p.Count
}

// What was issued before there was a bot, and after, is delivered once each, in order, and acknowledged.
func TestDeliversOnce(t *testing.T) {
	t.Parallel()
	c, g := realRedis(t), &telegram{}
	issue(t, c, "a", "b")
	reg, _ := start(t, c, g, nil)
	eventually(t, "two", func() bool { return len(g.list()) == 2 })
	issue(t, c, "c", "a", "d") // a is a producer's second try
	eventually(t, "four", func() bool { return len(g.list()) == 4 && unacknowledged(t, c) == 0 })
	if got := strings.Join(g.list(), ""); got != "abcd" {
		t.Errorf("delivered %s", got)
	}
	if n := metricstest.Value(t, reg, "bot_notifications_duplicate_total"); n != 1 {
		t.Errorf("%v duplicates noticed", n)
	}
}

// A bot that dies while it sends loses nothing: the next one takes up what it held. With the defect that is lost.
func TestTakesUpWhatADeadBotHeld(t *testing.T) {
	t.Parallel()
	for _, defect := range []bool{false, true} {
		t.Run(fmt.Sprint("never reclaims ", defect), func(t *testing.T) {
			t.Parallel()
			c, g := realRedis(t), &telegram{}
			g.how = func(ctx context.Context, n Notification) error {
				if n.ID == "a" {
					return nil
				}
				<-ctx.Done() // Telegram does not answer
				return ctx.Err()
			}
			_, stop := start(t, c, g, nil)
			issue(t, c, "a", "b", "c")
			eventually(t, "it holds two", func() bool { return unacknowledged(t, c) == 2 && len(g.list()) == 1 })
			stop()
			g.mu.Lock()
			g.how = nil
			g.mu.Unlock()
			_, _ = start(t, c, g, func(o *Options) { o.NeverReclaim = func() bool { return defect } })
			issue(t, c, "d")
			eventually(t, "the new one", func() bool { return slices.Contains(g.list(), "d") })
			want, left := []string{"a", "b", "c", "d"}, int64(0)
			if defect {
				want, left = []string{"a", "d"}, 2
			}
			eventually(t, fmt.Sprint(want), func() bool {
				got := g.list()
				slices.Sort(got)
				return slices.Equal(got, want) && unacknowledged(t, c) == left
			})
		})
	}
}

// A restarted bot knows from Redis what its predecessor delivered.
func TestRemembersAcrossARestart(t *testing.T) {
	t.Parallel()
	c, g := realRedis(t), &telegram{}
	_, stop := start(t, c, g, nil)
	issue(t, c, "a")
	eventually(t, "a", func() bool { return len(g.list()) == 1 && unacknowledged(t, c) == 0 })
	stop()
	_, _ = start(t, c, g, nil)
	issue(t, c, "a", "b")
	eventually(t, "b", func() bool { return slices.Contains(g.list(), "b") && unacknowledged(t, c) == 0 })
	if got := strings.Join(g.list(), ""); got != "ab" {
		t.Errorf("delivered %s", got)
	}
}

// An outage of Telegram that is longer than what is idle may be: what is taken up again is not sent twice. With the defect it is.
func TestALongOutageDeliversOnce(t *testing.T) {
	t.Parallel()
	for _, defect := range []bool{false, true} {
		t.Run(fmt.Sprint("no dedupe ", defect), func(t *testing.T) {
			t.Parallel()
			c, g := realRedis(t), &telegram{}
			back := make(chan struct{})
			g.how = func(ctx context.Context, _ Notification) error {
				select {
				case <-back:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			reg, _ := start(t, c, g, func(o *Options) { o.NoDedupe = func() bool { return defect } })
			issue(t, c, "a", "b", "c")
			eventually(t, "taken up again", func() bool { return metricstest.Value(t, reg, "bot_notifications_reclaimed_total") >= 3 })
			close(back)
			eventually(t, "three", func() bool {
				got := g.list()
				slices.Sort(got)
				return len(slices.Compact(got)) == 3 && unacknowledged(t, c) == 0
			})
			if twice := len(g.list()) > 3; twice != defect {
				t.Errorf("delivered %v", g.list())
			}
		})
	}
}

// What Telegram refuses for good is set aside and does not stop what follows.
func TestRefusedForGood(t *testing.T) {
	t.Parallel()
	c, g := realRedis(t), &telegram{}
	g.how = func(_ context.Context, n Notification) error {
		if n.ID == "bad" {
			return errRefused
		}
		return nil
	}
	_, _ = start(t, c, g, nil)
	issue(t, c, "bad", "good")
	eventually(t, "the good one", func() bool { return slices.Equal(g.list(), []string{"good"}) && unacknowledged(t, c) == 0 })
	if dead, err := c.XLen(t.Context(), Dead).Result(); err != nil || dead != 1 {
		t.Errorf("%d set aside, %v", dead, err)
	}
}
