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
