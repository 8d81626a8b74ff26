package main

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// span reads and writes a duration as text, such as "2s".
type span time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *span) UnmarshalText(b []byte) error {
	d, err := time.ParseDuration(string(b))
	if err == nil && d < 0 {
		err = errors.New("a duration below 0")
	}
	*s = span(d)
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (s span) MarshalText() ([]byte, error) { //nolint:unparam // the interface has it
	return []byte(time.Duration(s).String()), nil
}

// fault is what goes wrong with calls of the Bot API. Exactly one of status, hang and reset, or only a latency.
type fault struct {
	Methods    []string `json:"methods,omitempty"` // none: all
	Status     int      `json:"status,omitempty"`  // the answer's, such as 429 or 502
	RetryAfter int      `json:"retry_after,omitempty"`
	Hang       bool     `json:"hang,omitempty"`    // no answer at all, until the caller gives up
	Reset      bool     `json:"reset,omitempty"`   // the connection is reset
	Latency    span     `json:"latency,omitempty"` // before anything else
	Done       bool     `json:"done,omitempty"`    // the call takes effect first: only its answer goes wrong
	Share      float64  `json:"share,omitempty"`   // of the calls, 0 to 1; 0 means all
	For        span     `json:"for,omitempty"`     // ends by itself after this; 0: never
}

func (f fault) valid() error {
	ways := 0
	for _, on := range []bool{f.Status != 0, f.Hang, f.Reset} {
		if on {
			ways++
		}
	}
	switch {
	case ways > 1, ways == 0 && f.Latency == 0:
		return errors.New("give one of status, hang and reset, or a latency")
	case f.Status != 0 && (f.Status < 400 || f.Status > 599):
		return errors.New("status must be from 400 to 599")
	case f.Share < 0 || f.Share > 1:
		return errors.New("share must be from 0 to 1")
	}
	return nil
}

// switches holds the fault that is on, if any, and counts what it did.
type switches struct {
	mu   sync.Mutex
	on   *fault
	ends time.Time
	hits int64
}

func (s *switches) set(f *fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on, s.hits, s.ends = f, 0, time.Time{}
	if f != nil && f.For > 0 {
		s.ends = time.Now().Add(time.Duration(f.For))
	}
}

func (s *switches) state() (*fault, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ends.IsZero() && time.Now().After(s.ends) {
		s.on, s.ends = nil, time.Time{}
	}
	return s.on, s.hits
}

// hit is the fault that this call meets, nil for none.
func (s *switches) hit(method string) *fault {
	f, _ := s.state()
	if f == nil || (len(f.Methods) > 0 && !slices.Contains(f.Methods, method)) {
		return nil
	}
	if f.Share > 0 && f.Share < 1 && rand.Float64() >= f.Share { //nolint:gosec // no secret hangs on it
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hits++
	return f
}

// carryOut makes the fault; false means that the call is to be answered as usual (there was only a latency).
func (f *fault) carryOut(ctx context.Context, w http.ResponseWriter) bool {
	switch {
	case f.Hang:
		<-ctx.Done()
		panic(http.ErrAbortHandler) // no answer, not even an empty one
	case f.Reset:
		reset(w)
		return true
	case f.Status != 0:
		refuse(w, f.Status, http.StatusText(f.Status), f.RetryAfter)
		return true
	}
	return false
}

func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if t, ok := conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = conn.Close()
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// refuse is an error as Telegram words it.
func refuse(w http.ResponseWriter, status int, description string, retryAfter int) {
	body := map[string]any{"ok": false, "error_code": status, "description": description}
	if retryAfter > 0 {
		body["parameters"] = map[string]any{"retry_after": retryAfter}
	}
	writeJSON(w, status, body)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may have gone; there is nobody left to tell
}
