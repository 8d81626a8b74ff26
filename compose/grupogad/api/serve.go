package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/auth"
	"github.com/eevans-d/simulacro/compose/grupogad/api/breaker"
	"github.com/eevans-d/simulacro/compose/grupogad/api/bus"
	"github.com/eevans-d/simulacro/compose/grupogad/api/defects"
	"github.com/eevans-d/simulacro/compose/grupogad/api/hub"
	"github.com/eevans-d/simulacro/compose/grupogad/api/limit"
	"github.com/eevans-d/simulacro/compose/grupogad/api/server"
	"github.com/eevans-d/simulacro/compose/grupogad/api/store"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// app is the wired service.
type app struct {
	c         config
	log       *zap.Logger
	store     *store.Store
	follower  *bus.Follower
	hub       *hub.Hub
	sub       *bus.Subscriber
	stream    *bus.StreamReader
	schema    *schema
	server    *server.Server
	passwords *auth.Passwords
}

// serve runs until ctx ends and everything has stopped. Neither database needs to be there.
func serve(ctx context.Context, c config, log *zap.Logger) error {
	files, err := raiseNoFile()
	if err != nil {
		log.Warn("open files stay limited", zap.Error(err))
	}
	redis.SetLogger(libraryLog{log.Named("redis")})
	a, err := wire(ctx, c, log)
	if err != nil {
		return err
	}
	defer a.store.Close()
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen (is the port taken?): %w", err)
	}
	log.Info("listening", zap.String("addr", ln.Addr().String()), zap.Uint64("open files", files), zap.Any("defects", c.Defects.List()))
	return a.run(ctx, ln)
}

func wire(ctx context.Context, c config, log *zap.Logger) (*app, error) {
	reg := prometheus.NewRegistry()
	labelled := prometheus.WrapRegistererWith(prometheus.Labels{"env": c.Environment}, reg)
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	tokens, err := auth.NewTokens(c.JWTSecret, c.TokenLife)
	if err != nil {
		return nil, err
	}
	a := &app{c: c, log: log, schema: newSchema()}
	if a.passwords, err = auth.NewPasswords(c.BcryptCost); err != nil {
		return nil, err
	}
	a.store, err = store.New(ctx, store.Options{URL: c.DatabaseURL, Timeout: c.PGTimeout, MaxConns: int32(c.PGPool), Register: labelled})
	if err != nil {
		return nil, err
	}
	a.follower = bus.NewFollower(bus.Options{
		Sentinels: c.Sentinels, Master: c.RedisMaster, Addr: c.RedisAddr, Password: c.RedisPassword,
		SentinelPassword: c.SentinelPwd, Timeout: c.RedisTimeout, Poll: c.RedisPoll, Log: log.Named("bus"),
	})
	on := func(n defects.Name) func() bool { return func() bool { return c.Defects.On(n) } }
	self := origin(c.Instance)
	a.hub = hub.New(hub.Options{
		Origin: self, Queue: c.WSQueue, MaxConns: c.WSMaxConns, WriteTimeout: c.WSWriteTimeout,
		Heartbeat: c.Heartbeat, Silence: c.WSSilence, Register: labelled, Log: log.Named("hub"),
		EchoOwn: on(defects.OwnEchoTwice), ActiveZero: on(defects.ActiveConnectionsZero), NoLatency: on(defects.LatencyNeverObserved),
		SlowBlocks: on(defects.SlowConsumerBlocks), KeepGone: on(defects.HalfOpenKept), Outlive: on(defects.SocketsOutliveToken),
	})
	relayed := server.NewRelayLog(self)
	a.sub = bus.NewSubscriber(a.follower, relayed.Note(server.ViaPubSub, a.hub.Relay), c.Defects, labelled, log.Named("subscriber"))
	a.stream = bus.NewStreamReader(a.follower, relayed.Note(server.ViaStream, a.hub.Relay), c.Defects, labelled, log.Named("stream"))
	circuit := func(name string) *breaker.Breaker {
		return breaker.New(name, breaker.Options{
			OpenFor: c.BreakerOpen, Register: labelled,
			CountClient: on(defects.BreakerCounts4xx), Disabled: on(defects.BreakerDisabled),
			NeverCloses: on(defects.BreakerNeverCloses), NoHalfOpen: on(defects.BreakerNoHalfOpen),
		})
	}
	a.server = server.New(server.Deps{
		Instance: c.Instance, Environment: c.Environment,
		Tasks: a.store, Writes: a.store, People: a.store, Cache: a.follower, Publish: a.follower.Publish,
		Append: a.follower.Append, Relayed: relayed,
		PingDB: a.store.Ping, PingRedis: func(ctx context.Context) error { return a.follower.Ready(ctx, c.Instance) },
		Schema: a.schema.Err, Subscribed: a.sub.Up, DB: circuit("postgres"), Redis: circuit("redis"),
		Tokens: tokens, Passwords: a.passwords, Limiter: limit.New(rate(c)), Hub: a.hub, Defects: c.Defects,
		Register: labelled, Gatherer: reg, Log: log.Named("http"),
	})
	return a, nil
}

func rate(c config) func() int {
	return func() int {
		if c.Defects.On(defects.RateLimit100) {
			return 100
		}
		return c.RatePerMinute
	}
}

// run starts the parts in one group, so that every goroutine is waited for, and ends them in order:
// readiness says no, WebSockets are closed with 1012, requests finish, then the connections to Redis go.
func (a *app) run(ctx context.Context, ln net.Listener) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, gctx := errgroup.WithContext(background)
	srv := &http.Server{
		Handler: a.server.Handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 90 * time.Second,
		MaxHeaderBytes: 16 << 10, ErrorLog: zap.NewStdLog(a.log.Named("http")),
	}
	g.Go(func() error { return a.follower.Run(gctx) })
	g.Go(func() error { return a.sub.Run(gctx) })
	g.Go(func() error { return a.stream.Run(gctx) })
	g.Go(func() error { return a.hub.Run(gctx) })
	g.Go(func() error { return a.migrate(gctx) })
	g.Go(func() error {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		select {
		case <-ctx.Done():
		case <-gctx.Done():
		}
		a.shutdown(ctx, srv)
		stop()
		return nil
	})
	return g.Wait()
}

func (a *app) shutdown(ctx context.Context, srv *http.Server) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.c.Drain)
	defer cancel()
	a.log.Info("shutting down", zap.Int("websockets", a.hub.Stats().Connections))
	a.server.Drain()
	a.hub.Shutdown(ctx)
	if err := srv.Shutdown(ctx); err != nil {
		a.log.Warn("requests were cut", zap.Error(err))
		_ = srv.Close() // the grace period is over
	}
	a.log.Info("stopped")
}
