package tg

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/apierr"
	"github.com/eevans-d/simulacro/compose/grupogad/api/breaker"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

const (
	attemptTimeout = time.Second
	firstBackoff   = 200 * time.Millisecond
	maxBackoff     = 2 * time.Second
	maxRetryAfter  = 30 * time.Second
)

// Kinds of messages, in the metrics.
const (
	Notification = "notification"
	Reply        = "reply"
)

// ErrRefused is in the chain when Telegram will never take the message: trying again is useless.
var ErrRefused = errors.New("refused for good")

// Sender sends through the circuit breaker and tries again until it is told to stop.
type Sender struct {
	c        *Client
	circuit  *breaker.Breaker
	once     func() bool // the defect: what fails is tried once and lost
	log      *zap.Logger
	attempts *prometheus.CounterVec
	outcomes *prometheus.CounterVec
	retries  *prometheus.CounterVec
}

// NewSender registers bot_delivery_attempts_total, bot_deliveries_total and bot_retries_total.
func NewSender(c *Client, circuit *breaker.Breaker, once func() bool, reg prometheus.Registerer, log *zap.Logger) *Sender {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		reg.MustRegister(v)
		return v
	}
	s := &Sender{
		c: c, circuit: circuit, once: once, log: log,
		attempts: vec("bot_delivery_attempts_total", "Calls of sendMessage that were begun.", "kind"),
		outcomes: vec("bot_deliveries_total", "Messages by what became of them: delivered, refused (for good) or lost (given up).", "kind", "outcome"),
		retries:  vec("bot_retries_total", "Times that a call was made again, by what had gone wrong.", "reason"),
	}
	for _, kind := range []string{Notification, Reply} { // a series that is not there yet cannot be told from a broken one
		s.attempts.WithLabelValues(kind)
		for _, o := range []string{"delivered", "refused", "lost"} {
			s.outcomes.WithLabelValues(kind, o)
		}
	}
	for _, r := range []string{"429", "5xx", "timeout", "connection", "circuit-open", "api"} {
		s.retries.WithLabelValues(r)
	}
	return s
}

// Send returns when Telegram has taken the message, has refused it for good (ErrRefused), or ctx has ended.
func (s *Sender) Send(ctx context.Context, kind string, m Message) error {
	for wait := firstBackoff; ; wait = min(2*wait, maxBackoff) {
		err := s.try(ctx, kind, m)
		switch {
		case err == nil:
			s.outcomes.WithLabelValues(kind, "delivered").Inc()
			return nil
		case permanent(err):
			s.outcomes.WithLabelValues(kind, "refused").Inc()
			return errors.Join(ErrRefused, err)
		case ctx.Err() != nil || s.once():
			s.outcomes.WithLabelValues(kind, "lost").Inc()
			return err
		}
		reason, after := why(err)
		s.log.Info("sending failed, trying again", zap.String("reason", reason), zap.Error(err))
		if !sleep(ctx, max(jitter(wait), after)) {
			s.outcomes.WithLabelValues(kind, "lost").Inc()
			return errors.Join(err, ctx.Err())
		}
		s.retries.WithLabelValues(reason).Inc()
	}
}

// Retried counts something else than a message that was tried again.
func (s *Sender) Retried(reason string) { s.retries.WithLabelValues(reason).Inc() }

func (s *Sender) try(ctx context.Context, kind string, m Message) error {
	return s.circuit.Do(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
		defer cancel()
		s.attempts.WithLabelValues(kind).Inc()
		return forBreaker(s.c.Call(ctx, "sendMessage", m.params(), nil))
	})
}

// forBreaker makes Telegram's 4xx what the breaker does not count: a rate limit is not an outage.
func forBreaker(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Status < 500 {
		return &apierr.Error{Status: e.Status, Detail: e.Description, Err: err}
	}
	return err
}

func permanent(err error) bool {
	var e *Error
	return !errors.Is(err, breaker.ErrOpen) && errors.As(err, &e) && e.Status >= 400 && e.Status < 500 && e.Status != http.StatusTooManyRequests
}

// why says in the words of the metric what went wrong, and how long Telegram asks to wait.
func why(err error) (reason string, after time.Duration) {
	var e *Error
	var ne net.Error
	switch {
	case errors.Is(err, breaker.ErrOpen):
		return "circuit-open", 0
	case errors.As(err, &e) && e.Status == http.StatusTooManyRequests:
		return "429", min(e.RetryAfter, maxRetryAfter)
	case errors.As(err, &e):
		return "5xx", 0
	case errors.Is(err, context.DeadlineExceeded) || (errors.As(err, &ne) && ne.Timeout()):
		return "timeout", 0
	}
	return "connection", 0
}

// jitter spreads a wait over half of it, so that what failed together does not come back together.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1) //nolint:gosec // no secret hangs on it
}

// sleep reports whether the time passed; false means ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
