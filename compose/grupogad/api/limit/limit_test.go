package limit_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/limit"
)

func allow(l *limit.Limiter, client string, n int) (passed int) {
	for range n {
		if l.Allow(client).OK {
			passed++
		}
	}
	return passed
}

func TestTheHundredAndFirstWithinAMinuteIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(func() int { return 100 })
		if got := allow(l, "a", 60); got != 60 {
			t.Fatalf("passed %d of the first 60", got)
		}
		time.Sleep(30 * time.Second)
		if got := allow(l, "a", 60); got != 40 {
			t.Errorf("passed %d in the second half minute, want 40", got)
		}
		if v := l.Allow("a"); v.OK || v.Limit != 100 || v.Remaining != 0 || v.RetryAfter != 30*time.Second {
			t.Errorf("verdict = %+v; want a refusal for 30s", v)
		}
		if !l.Allow("b").OK {
			t.Error("another client was refused too")
		}
		time.Sleep(30 * time.Second)
		if got := allow(l, "a", 100); got != 60 {
			t.Errorf("passed %d once the first 60 left the window, want 60", got)
		}
		time.Sleep(10 * time.Minute)
		if got := allow(l, "a", 200); got != 100 {
			t.Errorf("passed %d after a long rest, want 100", got)
		}
	})
}

// A refused client that keeps asking must not keep itself out.
func TestRefusalsAreNotCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(func() int { return 10 })
		allow(l, "a", 10)
		for range 59 {
			time.Sleep(time.Second)
			if allow(l, "a", 5) != 0 {
				t.Fatal("passed too early")
			}
		}
		time.Sleep(time.Second)
		if got := allow(l, "a", 20); got != 10 {
			t.Errorf("passed %d after the minute, want 10", got)
		}
	})
}

func TestTheLimitCanChangeAtRunTime(t *testing.T) {
	t.Parallel()
	perMinute := 1000
	l := limit.New(func() int { return perMinute })
	allow(l, "a", 150)
	perMinute = 100
	if l.Allow("a").OK {
		t.Error("the lower limit is not in force")
	}
	perMinute = 1000
	if !l.Allow("a").OK {
		t.Error("the higher limit is not in force again")
	}
}

// Forged client names share one window once there are too many, and are forgotten when idle.
func TestManyClientsStayBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(func() int { return 5 })
		for i := range 10_000 {
			l.Allow(strconv.Itoa(i))
		}
		passed := 0
		for i := range 100 {
			passed += allow(l, "forged-"+strconv.Itoa(i), 1)
		}
		if passed != 5 {
			t.Errorf("%d requests of 100 forged clients passed, want the 5 of one", passed)
		}
		time.Sleep(2 * time.Minute)
		if got := allow(l, "new", 5) + allow(l, "newer", 5); got != 10 {
			t.Errorf("%d of 10 passed after the idle clients were forgotten", got)
		}
	})
}
