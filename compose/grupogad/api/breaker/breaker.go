// Package breaker puts one circuit breaker (sony/gobreaker) before each dependency, with the metrics
// that say what it does. Only failures of the dependency count: a client's 4xx does not, unless the
// defect `breaker-counts-4xx` is on, and a client that hangs up counts neither way.
package breaker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/apierr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"
)

// FailuresToOpen is how many failures in a row open the breaker.
const FailuresToOpen = 5

// ErrOpen is in the chain of the error that a rejected call gets.
var ErrOpen = errors.New("circuit breaker open")

// Options says how a breaker behaves.
type Options struct {
	OpenFor     time.Duration // from opening to the first trial call
	CountClient func() bool   // the defect: do 4xx count as failures?
	Register    prometheus.Registerer
}

// Breaker guards one dependency.
type Breaker struct {
	name     string
	cb       *gobreaker.CircuitBreaker[struct{}]
	rejected prometheus.Counter
	last     atomic.Pointer[error] // what the dependency said, for those who are only told that it is open
}

// New makes a closed breaker and registers its metrics under the label dependency=name.
func New(name string, o Options) *Breaker {
	label := prometheus.Labels{"dependency": name}
	b := &Breaker{name: name, rejected: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "circuit_breaker_rejections_total", Help: "Calls refused because the breaker was open.", ConstLabels: label,
	})}
	opened := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "circuit_breaker_opened_total", Help: "Times the breaker opened.", ConstLabels: label,
	})
	b.cb = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Name: name, MaxRequests: 1, Timeout: o.OpenFor,
		ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= FailuresToOpen },
		IsExcluded:   func(err error) bool { return errors.Is(err, errHungUp) },
		IsSuccessful: func(err error) bool { return err == nil || (apierr.IsClient(err) && !o.CountClient()) },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				opened.Inc()
			}
		},
	})
	state := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "circuit_breaker_state",
		Help: "0 closed, 1 half-open, 2 open.", ConstLabels: label,
	}, func() float64 { return float64(b.cb.State()) })
	o.Register.MustRegister(b.rejected, opened, state)
	return b
}

// State is the present state in words: closed, half-open or open.
func (b *Breaker) State() string { return b.cb.State().String() }

var errHungUp = errors.New("the client hung up")

// Do calls fn unless the breaker is open; then it answers at once with a 503 that wraps ErrOpen.
func (b *Breaker) Do(ctx context.Context, fn func(context.Context) error) error {
	_, err := b.cb.Execute(func() (struct{}, error) {
		err := fn(ctx)
		if err != nil && errors.Is(ctx.Err(), context.Canceled) {
			err = errors.Join(errHungUp, err)
		} else if err != nil && !apierr.IsClient(err) {
			b.last.Store(&err)
		}
		return struct{}{}, err
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		b.rejected.Inc()
		return &apierr.Error{Status: http.StatusServiceUnavailable, Detail: b.name + " circuit open", Err: b.why()}
	}
	return err
}

// why wraps ErrOpen with the last failure.
func (b *Breaker) why() error {
	if last := b.last.Load(); last != nil {
		return fmt.Errorf("%w after: %w", ErrOpen, *last)
	}
	return ErrOpen
}
