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

// Options says how a breaker behaves. The four questions are the defects; nil is no.
type Options struct {
	OpenFor     time.Duration // from opening to the first trial call
	CountClient func() bool   // do 4xx count as failures?
	Disabled    func() bool   // does every call go through?
	NeverCloses func() bool   // does it stay open once it is?
	NoHalfOpen  func() bool   // does it close when its time is over, without a trial call?
	Register    prometheus.Registerer
}

func (o *Options) withDefaults() {
	for _, f := range []*func() bool{&o.CountClient, &o.Disabled, &o.NeverCloses, &o.NoHalfOpen} {
		if *f == nil {
			*f = func() bool { return false }
		}
	}
}

// Breaker guards one dependency.
type Breaker struct {
	name     string
	o        Options
	cb       *gobreaker.CircuitBreaker[struct{}]
	rejected prometheus.Counter
	calls    prometheus.Counter
	failures prometheus.Counter
	waited   prometheus.Counter
	tripped  atomic.Bool           // it is not closed: for the defect that keeps it so
	last     atomic.Pointer[error] // what the dependency said, for those who are only told that it is open
}

// New makes a closed breaker and registers its metrics under the label dependency=name.
func New(name string, o Options) *Breaker {
	o.withDefaults()
	label := prometheus.Labels{"dependency": name}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "circuit_breaker_" + name, Help: help, ConstLabels: label})
		o.Register.MustRegister(c)
		return c
	}
	b := &Breaker{
		name: name, o: o,
		rejected: counter("rejections_total", "Calls refused because the breaker was open."),
		calls:    counter("calls_total", "Calls that were let through to the dependency."),
		failures: counter("failures_total", "Calls that failed by the dependency's fault; clients' errors and hang-ups are none."),
		waited:   counter("call_seconds_total", "Time spent in calls to the dependency."),
	}
	opened := counter("opened_total", "Times the breaker opened.")
	b.cb = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Name: name, MaxRequests: 1, Timeout: o.OpenFor,
		ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= FailuresToOpen },
		IsExcluded:   func(err error) bool { return errors.Is(err, errHungUp) },
		IsSuccessful: func(err error) bool { return err == nil || (apierr.IsClient(err) && !o.CountClient()) },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				opened.Inc()
			}
			b.tripped.Store(to != gobreaker.StateClosed)
		},
	})
	state := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "circuit_breaker_state",
		Help: "0 closed, 1 half-open, 2 open.", ConstLabels: label,
	}, func() float64 { return float64(b.state()) })
	o.Register.MustRegister(state)
	return b
}

// State is the present state in words: closed, half-open or open.
func (b *Breaker) State() string { return b.state().String() }

func (b *Breaker) state() gobreaker.State {
	switch {
	case b.o.Disabled():
		return gobreaker.StateClosed
	case b.stuck():
		return gobreaker.StateOpen
	}
	return b.cb.State()
}

// stuck is the defect of a breaker that never closes. It ends with the defect.
func (b *Breaker) stuck() bool { return b.tripped.Load() && b.o.NeverCloses() }

var errHungUp = errors.New("the client hung up")

// Do calls fn unless the breaker is open; then it answers at once with a 503 that wraps ErrOpen.
func (b *Breaker) Do(ctx context.Context, fn func(context.Context) error) error {
	if b.o.Disabled() {
		return b.call(ctx, fn)
	}
	if b.stuck() {
		return b.reject()
	}
	if b.o.NoHalfOpen() && b.cb.State() == gobreaker.StateHalfOpen {
		_, _ = b.cb.Execute(func() (struct{}, error) { return struct{}{}, nil }) // as if a trial call had succeeded
	}
	_, err := b.cb.Execute(func() (struct{}, error) { return struct{}{}, b.call(ctx, fn) })
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return b.reject()
	}
	return err
}

// call counts and times one call to the dependency. It is counted when it is let through, not when it comes back: what is
// in flight when the breaker opens is no trial.
func (b *Breaker) call(ctx context.Context, fn func(context.Context) error) error {
	began := time.Now()
	b.calls.Inc()
	err := fn(ctx)
	b.waited.Add(time.Since(began).Seconds())
	switch {
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		err = errors.Join(errHungUp, err)
	case err != nil && !apierr.IsClient(err):
		b.failures.Inc()
		b.last.Store(&err)
	}
	return err
}

func (b *Breaker) reject() error {
	b.rejected.Inc()
	return &apierr.Error{Status: http.StatusServiceUnavailable, Detail: b.name + " circuit open", Err: b.why()}
}

// why wraps ErrOpen with the last failure.
func (b *Breaker) why() error {
	if last := b.last.Load(); last != nil {
		return fmt.Errorf("%w after: %w", ErrOpen, *last)
	}
	return ErrOpen
}
