package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/breaker"
	"github.com/eevans-d/simulacro/compose/grupogad/api/bus"
	"github.com/eevans-d/simulacro/compose/grupogad/api/defects"
	"github.com/eevans-d/simulacro/compose/grupogad/bot/backend"
	"github.com/eevans-d/simulacro/compose/grupogad/bot/outbox"
	"github.com/eevans-d/simulacro/compose/grupogad/bot/tg"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// app is the wired bot.
type app struct {
	c        config
	log      *zap.Logger
	reg      *prometheus.Registry
	follower *bus.Follower
	telegram *tg.Client
	backend  *backend.Client
	outbox   *outbox.Outbox
	poller   *poller
}

func wire(c config, log *zap.Logger) *app {
	a := &app{c: c, log: log, reg: prometheus.NewRegistry()}
	labelled := prometheus.WrapRegistererWith(prometheus.Labels{"env": c.Environment}, a.reg)
	a.reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	on := func(n defects.Name) func() bool { return func() bool { return c.Defects.On(n) } }
	circuit := func(name string) *breaker.Breaker {
		return breaker.New(name, breaker.Options{OpenFor: c.Breaker, Register: labelled, Disabled: on(breakerDisabled), NeverCloses: on(breakerNeverCloses)})
	}
	a.follower = bus.NewFollower(bus.Options{
		Sentinels: c.Sentinels, Master: c.RedisMaster, Addr: c.RedisAddr, Password: c.RedisPassword,
		Timeout: c.RedisTimeout, Poll: c.RedisPoll, Log: log.Named("bus"),
	})
	a.telegram = tg.New(c.TelegramURL, c.TelegramToken)
	sender := tg.NewSender(a.telegram, circuit("telegram"), on(sendOnce), labelled, log.Named("sender"))
	a.backend = backend.New(backend.Options{
		URL: c.APIURL, User: c.APIUser, Password: c.APIPassword, Circuit: circuit("api"),
		Retried: func() { sender.Retried("api") },
	})
	a.outbox = outbox.New(outbox.Options{
		Client: a.follower.Client, Consumer: c.Instance, Send: deliver(sender),
		Refused: func(err error) bool { return errors.Is(err, tg.ErrRefused) }, NoDedupe: on(noDedupe), NeverReclaim: on(neverReclaims),
		Register: labelled, Log: log.Named("outbox"),
	})
	cmds := &commands{api: a.backend, whitelist: c.Whitelist, pretend: on(createNeverCalls)}
	p := &poller{tg: a.telegram, send: sender, answer: cmds.answer, wait: c.Poll, log: log.Named("poller")}
	a.poller = p.register(labelled)
	return a
}

// deliver sends a notification with a button that carries its id.
func deliver(s *tg.Sender) func(context.Context, outbox.Notification) error {
	return func(ctx context.Context, n outbox.Notification) error {
		chatID, err := strconv.ParseInt(n.ChatID, 10, 64)
		if err != nil {
			return errors.Join(tg.ErrRefused, err)
		}
		return s.Send(ctx, tg.Notification, tg.Message{ChatID: chatID, Text: n.Text, Button: n.ID})
	}
}

// serve runs until ctx ends and everything has stopped. Neither Redis, Telegram nor the API needs to be there.
func serve(ctx context.Context, c config, log *zap.Logger) error {
	redis.SetLogger(libraryLog{log.Named("redis")})
	a := wire(c, log)
	defer a.telegram.Close()
	defer a.backend.Close()
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen (is the port taken?): %w", err)
	}
	log.Info("listening", zap.String("addr", ln.Addr().String()), zap.Any("defects", c.Defects.List()))
	g, ctx := errgroup.WithContext(ctx)
	srv := &http.Server{Handler: a.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second}
	g.Go(func() error { return a.follower.Run(ctx) })
	g.Go(func() error { return a.outbox.Run(ctx) })
	g.Go(func() error { return a.poller.run(ctx) })
	g.Go(func() error {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		return srv.Shutdown(grace)
	})
	return g.Wait()
}

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, map[string]any{"status": "ok"}) })
	mux.HandleFunc("GET /health/ready", a.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.reg, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	if a.c.Environment == reference {
		mux.HandleFunc("GET /_reference/defects", a.getDefects)
		mux.HandleFunc("PUT /_reference/defects", a.putDefects)
	}
	return mux
}

// reference is the environment in which the switches exist.
const reference = "reference"

// ready is the truth: Telegram answers polls and Redis the questions for notifications.
func (a *app) ready(w http.ResponseWriter, _ *http.Request) {
	checks := map[string]string{"telegram": "ok", "redis": "ok"}
	status, word := http.StatusOK, "ready"
	if time.Since(time.UnixMilli(a.poller.polled.Load())) > a.c.Poll+5*time.Second {
		checks["telegram"] = "no poll was answered lately"
	}
	if !a.outbox.Alive() {
		checks["redis"] = "the stream of notifications does not answer"
	}
	if (checks["telegram"] != "ok" || checks["redis"] != "ok") && !a.c.Defects.On(healthLies) {
		status, word = http.StatusServiceUnavailable, "not_ready"
	}
	reply(w, status, map[string]any{"status": word, "checks": checks})
}

func (a *app) getDefects(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{"defects": a.c.Defects.List(), "available": allDefects()})
}

// putDefects replaces the whole set; an empty list makes the bot sound again.
func (a *app) putDefects(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Defects []string `json:"defects"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&in)
	if err == nil {
		err = a.c.Defects.Replace(in.Defects)
	}
	if err != nil {
		reply(w, http.StatusUnprocessableEntity, map[string]any{"detail": err.Error()})
		return
	}
	a.log.Info("defects", zap.Any("on", a.c.Defects.List()))
	a.getDefects(w, r)
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may have gone; there is nobody left to tell
}

// libraryLog sends go-redis's own complaints to our log.
type libraryLog struct{ log *zap.Logger }

// Printf implements the library's logger.
func (l libraryLog) Printf(_ context.Context, format string, v ...any) {
	l.log.Info(fmt.Sprintf(format, v...))
}
