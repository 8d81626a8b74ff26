package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/eevans-d/simulacro/compose/grupogad/api/apierr"
	"github.com/eevans-d/simulacro/compose/grupogad/api/breaker"
	"go.uber.org/zap"
)

// maxBody bounds what a request may carry.
const maxBody = 1 << 20

// answer turns a handler's error into GRUPO_GAD's `{"detail": ...}`.
func (s *Server) answer(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		err := h(w, r)
		if err == nil {
			return
		}
		var e *apierr.Error
		if !errors.As(err, &e) {
			e = &apierr.Error{Status: http.StatusServiceUnavailable, Detail: "dependency failed", Err: err}
		}
		if errors.Is(err, breaker.ErrOpen) {
			w.Header().Set("Retry-After", "1")
		}
		if e.Status >= 500 && r.Context().Err() == nil && !errors.Is(err, breaker.ErrOpen) {
			s.Log.Warn("request failed", zap.String("endpoint", endpointOf(r)), zap.Int("status", e.Status), zap.Error(err))
		}
		writeJSON(w, e.Status, map[string]any{"detail": e.Detail})
	})
}

// writeJSON encodes first, so that a value that cannot be encoded is a 500 and not half an answer.
func writeJSON(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the client may have gone; there is nobody left to tell
}

func ok(w http.ResponseWriter, v any) error {
	writeJSON(w, http.StatusOK, v)
	return nil
}

// decode reads a JSON body; what is wrong with it is the client's to know.
func decode(r *http.Request, into any) error {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		return &apierr.Error{Status: http.StatusUnprocessableEntity, Detail: "Validation Error: " + err.Error(), Err: err}
	}
	return nil
}

func (s *Server) limited(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		v := s.Limiter.Allow(clientKey(r))
		w.Header().Set("X-RateLimit-Limit", strconv.Itoa(v.Limit))
		w.Header().Set("X-RateLimit-Remaining", strconv.Itoa(v.Remaining))
		if v.OK {
			return h(w, r)
		}
		seconds := max(1, int(v.RetryAfter.Seconds()))
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		writeJSON(w, http.StatusTooManyRequests, map[string]any{
			"error": "rate_limit_exceeded", "detail": "Too Many Requests", "retry_after": seconds,
		})
		return nil
	}
}

// clientKey trusts X-Real-IP, as GRUPO_GAD does: behind Caddy a client cannot set it, directly it can.
func clientKey(r *http.Request) string {
	if ip := r.Header.Get("X-Real-IP"); ip != "" && len(ip) <= 64 {
		return ip
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func (s *Server) authenticated(h authed) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		token := bearer(r)
		if token == "" {
			return apierr.New(http.StatusUnauthorized, "Not authenticated")
		}
		id, err := s.Tokens.Verify(token)
		if err != nil {
			return &apierr.Error{Status: http.StatusForbidden, Detail: "Could not validate credentials", Err: err}
		}
		return h(w, r, id)
	}
}

func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
