package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/defects"
)

// config is the environment, read once. Required: JWT_SECRET, DATABASE_URL, ADMIN_PASSWORD and either
// REDIS_SENTINELS or REDIS_ADDR.
type config struct {
	Listen, Instance, Environment                          string
	Sentinels                                              []string
	RedisMaster, RedisAddr, RedisPassword, SentinelPwd     string
	DatabaseURL, JWTSecret, AdminUser, AdminPassword       string
	RatePerMinute, WSQueue, WSMaxConns, PGPool, BcryptCost int
	RedisTimeout, RedisPoll, PGTimeout, BreakerOpen        time.Duration
	TokenLife, Heartbeat, WSSilence, WSWriteTimeout, Drain time.Duration
	Defects                                                *defects.Set
}

// env reads variables and collects every mistake, so that one start reports them all.
type env struct {
	get  func(string) string
	errs []error
}

func (e *env) text(name, def string) string { return cmp.Or(e.get(name), def) }

func (e *env) required(name string) string {
	v := e.get(name)
	if v == "" {
		e.errs = append(e.errs, fmt.Errorf("%s is not set", name))
	}
	return v
}

func (e *env) number(name string, def int) int {
	v := e.get(name)
	if v == "" {
		return def
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		e.errs = append(e.errs, fmt.Errorf("%s=%q must be a number above 0", name, v))
	}
	return n
}

func (e *env) duration(name string, def time.Duration) time.Duration {
	v := e.get(name)
	if v == "" {
		return def
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		e.errs = append(e.errs, fmt.Errorf("%s=%q must be a duration such as 2s", name, v))
	}
	return d
}

func loadConfig(get func(string) string) (config, error) {
	e := &env{get: get}
	c := config{
		Listen: e.text("LISTEN", ":8000"), Instance: e.text("INSTANCE", "api"), Environment: e.text("ENVIRONMENT", "reference"),
		RedisMaster: e.text("REDIS_MASTER", "gad"), RedisAddr: get("REDIS_ADDR"), RedisPassword: get("REDIS_PASSWORD"), SentinelPwd: get("SENTINEL_PASSWORD"),
		Sentinels:   strings.FieldsFunc(get("REDIS_SENTINELS"), func(r rune) bool { return r == ',' || r == ' ' }),
		DatabaseURL: e.required("DATABASE_URL"), JWTSecret: e.required("JWT_SECRET"),
		AdminUser: e.text("ADMIN_USER", "admin@gad.example"), AdminPassword: e.required("ADMIN_PASSWORD"),
		RatePerMinute: e.number("RATE_LIMIT_PER_MINUTE", 60000), WSQueue: e.number("WS_QUEUE", 64),
		WSMaxConns: e.number("WS_MAX_CONNECTIONS", 18000), PGPool: e.number("DB_POOL_SIZE", 10), BcryptCost: e.number("BCRYPT_COST", 10),
		RedisTimeout: e.duration("REDIS_TIMEOUT", time.Second), RedisPoll: e.duration("SENTINEL_POLL", 300*time.Millisecond),
		PGTimeout: e.duration("DB_TIMEOUT", 2*time.Second), BreakerOpen: e.duration("BREAKER_OPEN", 2*time.Second),
		TokenLife: e.duration("ACCESS_TOKEN_LIFE", time.Hour), Heartbeat: e.duration("WS_HEARTBEAT", 30*time.Second),
		WSSilence:      e.duration("WS_SILENCE", 20*time.Second), // as uvicorn's: asked after 20 s, cut 20 s later
		WSWriteTimeout: e.duration("WS_WRITE_TIMEOUT", 10*time.Second), Drain: e.duration("DRAIN", 10*time.Second),
	}
	if len(c.Sentinels) == 0 && c.RedisAddr == "" {
		e.errs = append(e.errs, errors.New("REDIS_SENTINELS (or REDIS_ADDR for a lone Redis) is not set"))
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		e.errs = append(e.errs, fmt.Errorf("LISTEN: %w", err))
	}
	var err error
	if c.Defects, err = defects.Parse(get("DEFECTS")); err != nil {
		e.errs = append(e.errs, fmt.Errorf("DEFECTS: %w", err))
	}
	return c, errors.Join(e.errs...)
}

// raiseNoFile lifts the soft limit on open files to the hard one and returns it: every WebSocket is one.
func raiseNoFile() (uint64, error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("read RLIMIT_NOFILE: %w", err)
	}
	l.Cur = l.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("raise RLIMIT_NOFILE: %w", err)
	}
	return l.Cur, nil
}
