package tg

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/breaker"
	"github.com/eevans-d/simulacro/compose/grupogad/api/metricstest"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// script answers each call with the next of its answers; the last one stays.
type script struct {
	mu      sync.Mutex
	answers []func(http.ResponseWriter)
	calls   []map[string]any
	at      []time.Time
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	var in map[string]any
	_ = json.NewDecoder(r.Body).Decode(&in)
	s.calls, s.at = append(s.calls, in), append(s.at, time.Now())
	a := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	s.mu.Unlock()
	a(w)
}

func answer(status int, body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func cut(http.ResponseWriter) { panic(http.ErrAbortHandler) }

func newSenderOn(t *testing.T, once bool, answers ...func(http.ResponseWriter)) (*Sender, *script, *prometheus.Registry) {
	t.Helper()
	s := &script{answers: answers}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	reg := prometheus.NewRegistry()
	c := New(h.URL, "1:token")
	t.Cleanup(c.Close)
	b := breaker.New("telegram", breaker.Options{OpenFor: 100 * time.Millisecond, Register: reg})
	return NewSender(c, b, func() bool { return once }, reg, zap.NewNop()), s, reg
}

const fine = `{"ok": true, "result": {}}`

// What Telegram cannot take now is sent again, as late as it asks for, and counted by its reason; it arrives once.
func TestSendTriesAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter)
		least  time.Duration
	}{
		"429":        {answer(429, `{"ok": false, "error_code": 429, "parameters": {"retry_after": 1}}`), time.Second},
		"5xx":        {answer(502, `<html>`), firstBackoff / 2},
		"connection": {cut, firstBackoff / 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, got, reg := newSenderOn(t, false, c.answer, answer(200, fine))
			if err := s.Send(t.Context(), Notification, Message{ChatID: 7, Text: "hola", ReplyTo: 3, Button: "n-1"}); err != nil {
				t.Fatal(err)
			}
			if len(got.calls) != 2 || got.at[1].Sub(got.at[0]) < c.least || got.calls[1]["text"] != "hola" || got.calls[1]["reply_parameters"] == nil || got.calls[1]["reply_markup"] == nil {
				t.Errorf("calls %v at %v", got.calls, got.at)
			}
			failures := 1.0
			if name == "429" { // a rate limit is no failure of Telegram
				failures = 0
			}
			for _, x := range []struct {
				want   float64
				name   string
				labels []string
			}{
				{1, "bot_retries_total", []string{"reason=" + name}},
				{2, "bot_delivery_attempts_total", []string{"kind=notification"}},
				{1, "bot_deliveries_total", []string{"kind=notification", "outcome=delivered"}},
				{0, "bot_deliveries_total", []string{"kind=notification", "outcome=lost"}},
				{failures, "circuit_breaker_failures_total", []string{"dependency=telegram"}},
			} {
				if got := metricstest.Value(t, reg, x.name, x.labels...); got != x.want {
					t.Errorf("%s%v = %v, want %v", x.name, x.labels, got, x.want)
				}
			}
		})
	}
}

func TestSendGivesUpOnlyWhenItMust(t *testing.T) {
	t.Parallel()
	s, got, _ := newSenderOn(t, false, answer(400, `{"ok": false, "description": "Bad Request: chat not found"}`))
	if err := s.Send(t.Context(), Notification, Message{ChatID: 7, Text: "x"}); !errors.Is(err, ErrRefused) || len(got.calls) != 1 {
		t.Errorf("%v after %d calls; what is refused for good is not tried again", err, len(got.calls))
	}
	s, got, _ = newSenderOn(t, true, answer(502, ""))
	if err := s.Send(t.Context(), Notification, Message{ChatID: 7, Text: "x"}); err == nil || errors.Is(err, ErrRefused) || len(got.calls) != 1 {
		t.Errorf("with the defect: %v after %d calls", err, len(got.calls))
	}
	s, _, reg := newSenderOn(t, false, answer(502, ""))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := s.Send(ctx, Reply, Message{ChatID: 7, Text: "x"}); err == nil {
		t.Error("it says that it was sent")
	}
	if n := metricstest.Value(t, reg, "bot_deliveries_total", "kind=reply", "outcome=lost"); n != 1 {
		t.Errorf("%v lost", n)
	}
}

// While the breaker is open nothing is sent; when Telegram is back what waited arrives.
func TestSendThroughTheBreaker(t *testing.T) {
	t.Parallel()
	bad := answer(500, "")
	s, got, reg := newSenderOn(t, false, bad, bad, bad, bad, bad, answer(200, fine))
	for range breaker.FailuresToOpen {
		_ = s.try(t.Context(), Notification, Message{ChatID: 1, Text: "x"})
	}
	if err := s.Send(t.Context(), Notification, Message{ChatID: 7, Text: "x"}); err != nil {
		t.Fatal(err)
	}
	if n := metricstest.Value(t, reg, "bot_retries_total", "reason=circuit-open"); n < 1 || len(got.calls) != breaker.FailuresToOpen+1 {
		t.Errorf("%v refused by the breaker, %d calls", n, len(got.calls))
	}
}

// The token is in every URL and must be in no error.
func TestErrorsHideTheToken(t *testing.T) {
	t.Parallel()
	c := New("http://127.0.0.1:1", "1:token")
	err := c.Call(t.Context(), "getMe", nil, nil)
	if err == nil || strings.Contains(err.Error(), "1:token") {
		t.Errorf("%v", err)
	}
}
