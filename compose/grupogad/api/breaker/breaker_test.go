package breaker_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/apierr"
	"github.com/eevans-d/simulacro/compose/grupogad/api/breaker"
	"github.com/eevans-d/simulacro/compose/grupogad/api/metricstest"
	"github.com/prometheus/client_golang/prometheus"
)

const openFor = 2 * time.Second

func newBreaker(counts4xx bool) (*breaker.Breaker, *prometheus.Registry) {
	reg := prometheus.NewRegistry()
	return breaker.New("postgres", breaker.Options{OpenFor: openFor, Register: reg, CountClient: func() bool { return counts4xx }}), reg
}

func try(b *breaker.Breaker, err error, times int) (last error) {
	for range times {
		last = b.Do(context.Background(), func(context.Context) error { return err })
	}
	return last
}

func TestWhatCountsAsFailure(t *testing.T) {
	t.Parallel()
	down := apierr.Unavailable("database", errors.New("connection refused"))
	notFound := apierr.New(http.StatusNotFound, "no such task")
	for name, tc := range map[string]struct {
		err       error
		counts4xx bool
		times     int
		want      string
	}{
		"four failures":                   {down, false, 4, "closed"},
		"five failures":                   {down, false, 5, "open"},
		"any error but ours":              {errors.New("broken pipe"), false, 5, "open"},
		"a hundred 404":                   {notFound, false, 100, "closed"},
		"a wrapped 404":                   {errors.Join(errors.New("task"), notFound), false, 100, "closed"},
		"four 404 with the defect":        {notFound, true, 4, "closed"},
		"five 404 with the defect":        {notFound, true, 5, "open"},
		"the defect still counts outages": {down, true, 5, "open"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := newBreaker(tc.counts4xx)
			_ = try(b, tc.err, tc.times)
			if got := b.State(); got != tc.want {
				t.Errorf("state after %d = %s, want %s", tc.times, got, tc.want)
			}
		})
	}
}

func TestSuccessInBetweenStartsTheCountAgain(t *testing.T) {
	t.Parallel()
	b, _ := newBreaker(false)
	_ = try(b, errors.New("down"), 4)
	_ = try(b, nil, 1)
	_ = try(b, errors.New("down"), 4)
	if got := b.State(); got != "closed" {
		t.Errorf("state = %s, want closed", got)
	}
}

func TestClientThatHangsUpCountsNeitherWay(t *testing.T) {
	t.Parallel()
	b, _ := newBreaker(false)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		_ = b.Do(gone, func(ctx context.Context) error { return ctx.Err() })
	}
	if got := b.State(); got != "closed" {
		t.Errorf("state = %s, want closed", got)
	}
}

func TestOpenRejectsThenTriesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, reg := newBreaker(false)
		_ = try(b, errors.New("the reason"), breaker.FailuresToOpen)
		err := try(b, nil, 3)
		var e *apierr.Error
		if !errors.Is(err, breaker.ErrOpen) || !errors.As(err, &e) || e.Status != http.StatusServiceUnavailable {
			t.Fatalf("rejected with %v", err)
		}
		if !strings.Contains(err.Error(), "the reason") {
			t.Errorf("rejected with %v, which does not say what failed", err)
		}
		expect(t, reg, 2, 3, 1)

		time.Sleep(openFor + time.Millisecond)
		expect(t, reg, 1, 3, 1)
		_ = try(b, errors.New("still down"), 1)
		expect(t, reg, 2, 3, 2)

		time.Sleep(openFor + time.Millisecond)
		if err := try(b, nil, 1); err != nil {
			t.Errorf("the trial call failed: %v", err)
		}
		expect(t, reg, 0, 3, 2)
	})
}

func expect(t *testing.T, reg *prometheus.Registry, state, rejected, opened float64) {
	t.Helper()
	for name, want := range map[string]float64{
		"circuit_breaker_state":            state,
		"circuit_breaker_rejections_total": rejected, "circuit_breaker_opened_total": opened,
	} {
		if got := metricstest.Value(t, reg, name, "dependency=postgres"); got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
}

// TestDefects: each switch breaks one thing, and taking it back mends it.
func TestDefects(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	for name, tc := range map[string]struct {
		option func(*breaker.Options, func() bool)
		want   [3]string // after five failures; when its time is over and one call has failed; once the dependency is back
		calls  float64   // let through, of 5 + 20 + 1 + 1
	}{
		"sound":        {func(*breaker.Options, func() bool) {}, [3]string{"open", "open", "closed"}, 7},
		"disabled":     {func(o *breaker.Options, f func() bool) { o.Disabled = f }, [3]string{"closed", "closed", "closed"}, 27},
		"never closes": {func(o *breaker.Options, f func() bool) { o.NeverCloses = f }, [3]string{"open", "open", "open"}, 5},
		"no half-open": {func(o *breaker.Options, f func() bool) { o.NoHalfOpen = f }, [3]string{"open", "closed", "closed"}, 7},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				reg, on := prometheus.NewRegistry(), true
				o := breaker.Options{OpenFor: openFor, Register: reg}
				tc.option(&o, func() bool { return on })
				b := breaker.New("postgres", o)
				var got [3]string
				_ = try(b, down, breaker.FailuresToOpen)
				got[0] = b.State()
				_ = try(b, down, 20)
				time.Sleep(openFor + time.Millisecond)
				_ = try(b, down, 1)
				got[1] = b.State()
				time.Sleep(openFor + time.Millisecond)
				_ = try(b, nil, 1)
				got[2] = b.State()
				if got != tc.want {
					t.Errorf("states %v, want %v", got, tc.want)
				}
				if n := metricstest.Value(t, reg, "circuit_breaker_calls_total", "dependency=postgres"); n != tc.calls {
					t.Errorf("%v calls, want %v", n, tc.calls)
				}
				on = false
				time.Sleep(openFor + time.Millisecond)
				if err := try(b, nil, 1); err != nil || b.State() != "closed" {
					t.Errorf("without the defect: %v, %s", err, b.State())
				}
			})
		})
	}
}

func TestCallsAreCountedAndTimed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, reg := newBreaker(false)
		slow := func(err error) func(context.Context) error {
			return func(context.Context) error { time.Sleep(2 * time.Second); return err }
		}
		_ = b.Do(t.Context(), slow(nil))
		_ = b.Do(t.Context(), slow(errors.New("down")))
		_ = b.Do(t.Context(), slow(apierr.New(http.StatusNotFound, "no such task")))
		for name, want := range map[string]float64{"calls_total": 3, "failures_total": 1, "call_seconds_total": 6, "rejections_total": 0} {
			if got := metricstest.Value(t, reg, "circuit_breaker_"+name, "dependency=postgres"); got != want {
				t.Errorf("%s = %v, want %v", name, got, want)
			}
		}
	})
}
