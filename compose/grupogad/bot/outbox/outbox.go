// Package outbox delivers the notifications that the API put into a Redis Stream. An entry is acknowledged only when Telegram
// has taken it (or refuses it for good), so that a bot or a Redis that dies loses none. What was taken but not acknowledged is
// recognised by its id, so that nobody gets it twice; the one exception is a bot that is killed between Telegram's taking a
// message and its noting that: Telegram offers nothing to ask, and telling twice is better than not at all.
package outbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// Names in Redis.
const (
	Stream = "gad:notifications"
	Dead   = "gad:notifications:dead" // what Telegram refuses for good
	group  = "bot"
	marks  = "gad:notified:" // + id: delivered
)

const (
	batch     = 16
	block     = time.Second
	markFor   = 24 * time.Hour
	idleClaim = 5 * time.Second // a notification that nobody has finished for so long is taken up again
	claimTick = time.Second
	pauseBad  = 300 * time.Millisecond // after an error of Redis
)

// Notification is one entry.
type Notification struct {
	Entry  string // id in the stream
	ID     string // the notification's own; the same notification has the same one
	ChatID string
	Text   string
	Issued time.Time
}

// Options wires an outbox. The two questions are the defects.
type Options struct {
	Client       func() (*redis.Client, error)
	Send         func(context.Context, Notification) error
	Refused      func(error) bool // will it never be taken?
	Consumer     string
	NoDedupe     func() bool
	NeverReclaim func() bool
	Register     prometheus.Registerer
	Log          *zap.Logger
}

// Outbox is the consumer.
type Outbox struct {
	o       Options
	seen    *memory
	fresh   atomic.Bool // nothing has been reclaimed since the start
	latency prometheus.Histogram
	again   prometheus.Counter
	claimed prometheus.Counter
	dead    prometheus.Counter
	pending prometheus.Gauge
	oldest  prometheus.Gauge
	asked   atomic.Int64 // Unix milliseconds of the last good answer of Redis
}

// New registers the metrics; it connects to nothing.
func New(o Options) *Outbox {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		o.Register.MustRegister(c)
		return c
	}
	b := &Outbox{
		o: o, seen: newMemory(),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "bot_notification_delivery_seconds", Help: "From the API taking a notification to Telegram taking it.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
		}),
		again:   counter("bot_notifications_duplicate_total", "Notifications that were there again and were not sent a second time."),
		claimed: counter("bot_notifications_reclaimed_total", "Entries taken up again that an earlier delivery had left unfinished."),
		dead:    counter("bot_notifications_dead_total", "Notifications that Telegram refused for good."),
		pending: prometheus.NewGauge(prometheus.GaugeOpts{Name: "bot_notifications_pending", Help: "Entries handed out and not acknowledged."}),
		oldest:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "bot_notifications_undelivered", Help: "Entries not yet acknowledged, those not handed out included."}),
	}
	o.Register.MustRegister(b.latency, b.pending, b.oldest)
	b.fresh.Store(true)
	return b
}

// Alive reports whether Redis answered lately.
func (b *Outbox) Alive() bool {
	return time.Since(time.UnixMilli(b.asked.Load())) < 5*block
}

// Run reads new entries and takes up old ones until ctx ends.
func (b *Outbox) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.loop(ctx, "read", 0, b.readNew) })
	g.Go(func() error { return b.loop(ctx, "reclaim", claimTick, b.reclaim) })
	return g.Wait()
}

// loop repeats step until ctx ends; an error of Redis is waited out, for Sentinel to name a new primary.
func (b *Outbox) loop(ctx context.Context, what string, every time.Duration, step func(context.Context, *redis.Client) error) error {
	for ctx.Err() == nil {
		c, err := b.o.Client()
		if err == nil {
			err = step(ctx, c)
		}
		wait := every
		switch {
		case err == nil:
			b.asked.Store(time.Now().UnixMilli())
		case ctx.Err() == nil:
			b.o.Log.Info("the stream of notifications", zap.String("step", what), zap.Error(err))
			b.ensure(ctx, c)
			wait = max(every, pauseBad)
		}
		rest(ctx, wait)
	}
	return nil
}

// ensure makes the group, from the beginning: what was issued before there was a bot is delivered too.
func (b *Outbox) ensure(ctx context.Context, c *redis.Client) {
	if c == nil {
		return
	}
	err := c.XGroupCreateMkStream(ctx, Stream, group, "0").Err()
	if err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
		b.o.Log.Info("no group yet", zap.Error(err))
	}
}

func (b *Outbox) readNew(ctx context.Context, c *redis.Client) error {
	got, err := ask(ctx, c, b.o.Consumer)
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	for _, s := range got {
		if err := b.all(ctx, s.Messages); err != nil {
			return err
		}
	}
	return nil
}

// ask has a deadline of its own: the library would wait 10 s longer for a Redis behind a partition.
func ask(ctx context.Context, c *redis.Client, consumer string) ([]redis.XStream, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*block)
	defer cancel()
	return c.XReadGroup(ctx, &redis.XReadGroupArgs{Group: group, Consumer: consumer, Streams: []string{Stream, ">"}, Count: batch, Block: block}).Result()
}

// reclaim takes up entries that nobody finished: after a start all of them at once, because there is one bot and whoever held
// them is dead; later those that have been idle for long.
func (b *Outbox) reclaim(ctx context.Context, c *redis.Client) error {
	if err := b.measure(ctx, c); err != nil {
		return err
	}
	if b.o.NeverReclaim() {
		b.fresh.Store(false)
		return nil
	}
	idle := idleClaim
	if b.fresh.Load() {
		idle = 0
	}
	for start := "0-0"; ; {
		got, next, err := c.XAutoClaim(ctx, &redis.XAutoClaimArgs{Stream: Stream, Group: group, Consumer: b.o.Consumer, MinIdle: idle, Start: start, Count: batch}).Result()
		if err != nil {
			return fmt.Errorf("reclaim: %w", err)
		}
		b.claimed.Add(float64(len(got)))
		if err := b.all(ctx, got); err != nil {
			return err
		}
		if start = next; next == "0-0" || next == "" {
			b.fresh.Store(false)
			return nil
		}
	}
}

func (b *Outbox) measure(ctx context.Context, c *redis.Client) error {
	groups, err := c.XInfoGroups(ctx, Stream).Result()
	if err != nil {
		return fmt.Errorf("look at the group: %w", err)
	}
	for _, g := range groups {
		if g.Name == group {
			b.pending.Set(float64(g.Pending))
			b.oldest.Set(float64(g.Pending + max(g.Lag, 0)))
			return nil
		}
	}
	return errors.New("the group is not there")
}

// all delivers entries one after the other, in the order of the stream.
func (b *Outbox) all(ctx context.Context, list []redis.XMessage) error {
	for _, m := range list {
		if err := b.one(ctx, parse(m)); err != nil {
			return err
		}
	}
	return nil
}

func (b *Outbox) one(ctx context.Context, n Notification) error {
	if !b.o.NoDedupe() {
		switch fresh, err := b.begin(ctx, n); {
		case err != nil:
			return err
		case !fresh:
			return nil
		}
		defer b.seen.end(n.ID)
	}
	err := b.o.Send(ctx, n)
	switch {
	case err == nil:
		b.seen.delivered(n.ID)
		b.latency.Observe(time.Since(n.Issued).Seconds())
		return b.ack(ctx, n, false)
	case ctx.Err() != nil:
		return nil // it stays pending, for the next start
	case b.o.Refused(err):
		b.dead.Inc()
		b.o.Log.Warn("notification refused for good", zap.String("id", n.ID), zap.Error(err))
		return b.ack(ctx, n, true)
	}
	b.o.Log.Warn("notification lost", zap.String("id", n.ID), zap.Error(err)) // only with a defect: Send does not give up
	return b.ack(ctx, n, false)
}

// begin reports whether a notification is to be sent now: not while that is under way, and not when it was delivered.
func (b *Outbox) begin(ctx context.Context, n Notification) (bool, error) {
	switch b.seen.begin(n.ID) {
	case underWay:
		return false, nil
	case done:
		b.again.Inc()
		return false, b.ack(ctx, n, false)
	case unknown:
	}
	c, err := b.o.Client()
	if err == nil {
		var there int64
		if there, err = c.Exists(ctx, marks+n.ID).Result(); err == nil && there == 0 {
			return true, nil
		}
	}
	b.seen.end(n.ID)
	if err != nil {
		return false, fmt.Errorf("was it delivered: %w", err)
	}
	b.again.Inc()
	return false, b.ack(ctx, n, false)
}

// ack notes that a notification is done and takes it off the list, both or neither.
func (b *Outbox) ack(ctx context.Context, n Notification, dead bool) error {
	c, err := b.o.Client()
	if err != nil {
		return err
	}
	_, err = c.TxPipelined(ctx, func(p redis.Pipeliner) error {
		if dead {
			p.XAdd(ctx, &redis.XAddArgs{Stream: Dead, MaxLen: 1000, Approx: true, Values: map[string]any{"id": n.ID, "chat_id": n.ChatID, "text": n.Text}})
		}
		p.Set(ctx, marks+n.ID, 1, markFor)
		p.XAck(ctx, Stream, group, n.Entry)
		return nil
	})
	if err != nil {
		return fmt.Errorf("acknowledge: %w", err)
	}
	return nil
}

func parse(m redis.XMessage) Notification {
	text := func(k string) string { s, _ := m.Values[k].(string); return s }
	n := Notification{Entry: m.ID, ID: text("id"), ChatID: text("chat_id"), Text: text("text")}
	if ms, _, ok := strings.Cut(m.ID, "-"); ok {
		var at int64
		if _, err := fmt.Sscan(ms, &at); err == nil {
			n.Issued = time.UnixMilli(at)
		}
	}
	return n
}

func rest(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// memory knows what is being sent and what was delivered lately.
type memory struct {
	mu    sync.Mutex
	going map[string]bool
	done  map[string]bool
	order []string // of done, oldest first
}

const remembered = 20_000

type standing int

const (
	unknown standing = iota
	underWay
	done
)

func newMemory() *memory { return &memory{going: map[string]bool{}, done: map[string]bool{}} }

func (m *memory) begin(id string) standing {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.done[id]:
		return done
	case m.going[id]:
		return underWay
	}
	m.going[id] = true
	return unknown
}

func (m *memory) end(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.going, id)
}

func (m *memory) delivered(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.going, id)
	if m.done[id] {
		return
	}
	m.done[id] = true
	m.order = append(m.order, id)
	if len(m.order) > remembered {
		delete(m.done, m.order[0])
		m.order = m.order[1:]
	}
}
