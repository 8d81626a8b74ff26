package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/bot/tg"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

const (
	atOnce       = 8 // commands of one poll that are worked on side by side
	replyWithin  = 15 * time.Second
	firstBackoff = 250 * time.Millisecond
	maxBackoff   = 2 * time.Second
)

// poller takes updates from Telegram and answers them. The next poll, which confirms them to Telegram, comes only when they have
// been answered: a bot that is killed before gets them again.
type poller struct {
	tg     *tg.Client
	send   *tg.Sender
	answer func(context.Context, tg.Update) (command, text string)
	wait   time.Duration
	log    *zap.Logger

	polled  atomic.Int64 // Unix milliseconds of the last good poll
	latency *prometheus.HistogramVec
	updates prometheus.Counter
	failed  prometheus.Counter
}

// register makes the metrics.
func (p *poller) register(reg prometheus.Registerer) *poller {
	p.latency = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "bot_response_latency", Help: "Seconds from receiving a command to Telegram taking the reply.",
		Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 1.5, 2, 3, 5, 10, 15},
	}, []string{"command"})
	p.updates = prometheus.NewCounter(prometheus.CounterOpts{Name: "bot_updates_total", Help: "Updates received from Telegram."})
	p.failed = prometheus.NewCounter(prometheus.CounterOpts{Name: "bot_polls_failed_total", Help: "Polls that Telegram did not answer."})
	reg.MustRegister(p.latency, p.updates, p.failed)
	for _, c := range []string{"start", "crear", "finalizar", "historial", "estadisticas"} {
		p.latency.WithLabelValues(c)
	}
	return p
}

// run polls until ctx ends.
func (p *poller) run(ctx context.Context) error {
	p.hello(ctx)
	var offset int64
	for backoff := firstBackoff; ctx.Err() == nil; {
		got, err := p.tg.Updates(ctx, offset, p.wait)
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			p.failed.Inc()
			p.log.Info("no updates", zap.Error(err), zap.Duration("again in", backoff))
			pause(ctx, max(backoff, asked(err)))
			backoff = min(2*backoff, maxBackoff)
			continue
		}
		backoff = firstBackoff
		p.polled.Store(time.Now().UnixMilli())
		p.handle(ctx, got)
		if len(got) > 0 {
			offset = got[len(got)-1].ID + 1
		}
	}
	return nil //nolint:nilerr // the end of ctx is how it is told to stop
}

// hello takes a webhook away, which would keep updates from being polled.
func (p *poller) hello(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if err := p.tg.Call(ctx, "deleteWebhook", map[string]any{}, nil); err != nil {
		p.log.Info("deleteWebhook", zap.Error(err))
	}
}

// asked is how long Telegram wants to be left alone.
func asked(err error) time.Duration {
	var e *tg.Error
	if errors.As(err, &e) {
		return min(e.RetryAfter, 30*time.Second)
	}
	return 0
}

func (p *poller) handle(ctx context.Context, list []tg.Update) {
	received := time.Now()
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for _, u := range list {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			p.one(ctx, u, received)
		})
	}
	wg.Wait()
}

func (p *poller) one(ctx context.Context, u tg.Update, received time.Time) {
	ctx, cancel := context.WithTimeout(ctx, replyWithin)
	defer cancel()
	p.updates.Inc()
	if u.Callback != nil {
		if err := p.tg.Call(ctx, "answerCallbackQuery", map[string]any{"callback_query_id": u.Callback.ID}, nil); err != nil {
			p.log.Info("callback not answered", zap.Error(err))
		}
		return
	}
	command, text := p.answer(ctx, u)
	if text == "" {
		return
	}
	if err := p.send.Send(ctx, tg.Reply, tg.Message{ChatID: u.Message.Chat.ID, Text: text, ReplyTo: u.Message.ID}); err != nil {
		p.log.Warn("reply not sent", zap.String("command", command), zap.Error(err))
	}
	p.latency.WithLabelValues(command).Observe(time.Since(received).Seconds()) // also when nothing arrived: that is how long it took
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
