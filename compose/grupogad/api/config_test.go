package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"
)

func vars(m map[string]string) func(string) string { return func(k string) string { return m[k] } }

func sound() map[string]string {
	return map[string]string{
		"DATABASE_URL": "postgres://app@haproxy:5000/gad", "JWT_SECRET": "0123456789abcdef", "ADMIN_PASSWORD": "x",
		"REDIS_SENTINELS": "sentinel-1:26379, sentinel-2:26379",
	}
}

func TestConfigDefaultsAndOverrides(t *testing.T) {
	t.Parallel()
	m := sound()
	m["BREAKER_OPEN"], m["DEFECTS"], m["RATE_LIMIT_PER_MINUTE"] = "5s", "rate-limit-100", "7"
	c, err := loadConfig(vars(m))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Sentinels) != 2 || c.Sentinels[1] != "sentinel-2:26379" || c.Listen != ":8000" || c.BreakerOpen != 5*time.Second || c.PGTimeout != 2*time.Second {
		t.Errorf("config = %+v", c)
	}
	limit := rate(c)
	if limit() != 100 {
		t.Errorf("limit with the defect = %d", limit())
	}
	if err := c.Defects.Replace(nil); err != nil || limit() != 7 {
		t.Errorf("limit without it = %d, %v", limit(), err)
	}
}

func TestConfigReportsEveryMistakeAtOnce(t *testing.T) {
	t.Parallel()
	_, err := loadConfig(vars(map[string]string{"BREAKER_OPEN": "soon", "WS_QUEUE": "-1", "DEFECTS": "nope", "LISTEN": "8000"}))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"DATABASE_URL", "JWT_SECRET", "ADMIN_PASSWORD", "REDIS_SENTINELS", "BREAKER_OPEN", "WS_QUEUE", "DEFECTS", "LISTEN"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not mention %s", err, want)
		}
	}
}

func TestRunSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"argument": {"serve"}, "JWT_SECRET": nil} {
		var out bytes.Buffer
		if code := run(context.Background(), args, vars(nil), &out); code != 2 || !strings.Contains(out.String(), name) {
			t.Errorf("run(%v) = %d, %q", args, code, out.String())
		}
	}
}

func TestOriginsDifferBetweenStartsOfOneInstance(t *testing.T) {
	t.Parallel()
	if a, b := origin("api-1"), origin("api-1"); a == b || !strings.HasPrefix(a, "api-1/") {
		t.Errorf("origins %q and %q", a, b)
	}
}
