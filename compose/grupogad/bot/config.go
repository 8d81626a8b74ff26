package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/defects"
)

// config is the environment, read once.
type config struct {
	Listen, Instance, Environment          string
	Sentinels                              []string
	RedisMaster, RedisAddr, RedisPassword  string
	TelegramURL, TelegramToken             string
	APIURL, APIUser, APIPassword           string
	Whitelist                              []int64 // who may give commands; none: everybody
	RedisTimeout, RedisPoll, Poll, Breaker time.Duration
	Defects                                *defects.Set
}

func loadConfig(get func(string) string) (config, error) {
	var errs []error
	required := func(name string) string {
		v := get(name)
		if v == "" {
			errs = append(errs, fmt.Errorf("%s is not set", name))
		}
		return v
	}
	duration := func(name string, def time.Duration) time.Duration {
		v := get(name)
		if v == "" {
			return def
		}
		d, err := time.ParseDuration(v)
		if err != nil || d <= 0 {
			errs = append(errs, fmt.Errorf("%s=%q must be a duration such as 2s", name, v))
		}
		return d
	}
	c := config{
		Listen: cmp.Or(get("LISTEN"), ":8000"), Instance: cmp.Or(get("INSTANCE"), "bot"), Environment: cmp.Or(get("ENVIRONMENT"), "reference"),
		Sentinels:   list(get("REDIS_SENTINELS")),
		RedisMaster: cmp.Or(get("REDIS_MASTER"), "gad"), RedisAddr: get("REDIS_ADDR"), RedisPassword: get("REDIS_PASSWORD"),
		TelegramURL: required("TELEGRAM_URL"), TelegramToken: required("TELEGRAM_TOKEN"),
		APIURL: required("API_URL"), APIUser: cmp.Or(get("API_USER"), "admin@gad.example"), APIPassword: required("API_PASSWORD"),
		RedisTimeout: duration("REDIS_TIMEOUT", time.Second), RedisPoll: duration("SENTINEL_POLL", 300*time.Millisecond),
		Poll: duration("TELEGRAM_POLL", 20*time.Second), Breaker: duration("BREAKER_OPEN", 2*time.Second),
	}
	if len(c.Sentinels) == 0 && c.RedisAddr == "" {
		errs = append(errs, errors.New("REDIS_SENTINELS (or REDIS_ADDR for a lone Redis) is not set"))
	}
	for _, id := range list(get("WHITELIST_IDS")) {
		n, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			errs = append(errs, fmt.Errorf("WHITELIST_IDS: %q is no number", id))
		}
		c.Whitelist = append(c.Whitelist, n)
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		errs = append(errs, fmt.Errorf("LISTEN: %w", err))
	}
	var err error
	if c.Defects, err = defects.ParseOf(allDefects(), get("DEFECTS")); err != nil {
		errs = append(errs, fmt.Errorf("DEFECTS: %w", err))
	}
	return c, errors.Join(errs...)
}

func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}
