package backend

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/apierr"
	"github.com/eevans-d/simulacro/compose/grupogad/api/breaker"
	"github.com/prometheus/client_golang/prometheus"
)

// fakeAPI keeps one task; it can fail a number of times, before or after it did what it was asked.
type fakeAPI struct {
	mu     sync.Mutex
	token  int
	logins int
	task   *Task
	before int // requests still to fail without effect
	after  int // requests still to fail after their effect
	asked  int
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.URL.Path == "/auth/login" {
		f.logins++
		fmt.Fprintf(w, `{"access_token": "t%d"}`, f.token)
		return
	}
	f.asked++
	if r.Header.Get("Authorization") != fmt.Sprintf("Bearer t%d", f.token) {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if f.before > 0 {
		f.before--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	switch {
	case r.Method == http.MethodPost && f.task != nil:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"detail": "codigo already exists"}`))
		return
	case r.Method == http.MethodPost:
		f.task = &Task{ID: 5}
		_ = json.NewDecoder(r.Body).Decode(f.task)
	case r.Method == http.MethodPut:
		_ = json.NewDecoder(r.Body).Decode(f.task)
	case f.task == nil:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if f.after > 0 {
		f.after--
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	_ = json.NewEncoder(w).Encode(f.task)
}

func newClient(t *testing.T, f *fakeAPI) (*Client, *int) {
	t.Helper()
	h := httptest.NewServer(f)
	t.Cleanup(h.Close)
	retried := new(int)
	c := New(Options{
		URL: h.URL + "/", User: "u", Password: "p", Retried: func() { *retried++ },
		Circuit: breaker.New("api", breaker.Options{OpenFor: time.Hour, Register: prometheus.NewRegistry()}),
	})
	t.Cleanup(c.Close)
	return c, retried
}

// A task whose making was not acknowledged is made once all the same, and somebody else's code stays taken.
func TestCreateIsSafeToRepeat(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]*fakeAPI{"at once": {}, "refused first": {before: 1}, "answer lost": {after: 1}} {
		c, retried := newClient(t, f)
		got, err := c.Create(t.Context(), "A-1", "x", "mark")
		if err != nil || got.ID != 5 || (name == "at once") != (*retried == 0) {
			t.Errorf("%s: %+v %v, %d retries", name, got, err, *retried)
		}
		if again, err := c.Create(t.Context(), "A-1", "x", "mark"); err != nil || again.ID != 5 {
			t.Errorf("%s, repeated: %+v %v", name, again, err)
		}
		var e *apierr.Error
		if _, err := c.Create(t.Context(), "A-1", "x", "another's"); !errors.As(err, &e) || e.Status != 400 {
			t.Errorf("%s: somebody else's code: %v", name, err)
		}
	}
}

func TestFinishAndTokens(t *testing.T) {
	t.Parallel()
	f := &fakeAPI{task: &Task{ID: 5, Codigo: "A-1"}}
	c, _ := newClient(t, f)
	if got, err := c.Finish(t.Context(), "A-1"); err != nil || got.Estado != "finalizada" || f.logins != 1 {
		t.Errorf("%+v %v after %d logins", got, err, f.logins)
	}
	f.mu.Lock()
	f.token++ // as after a change of the secret
	f.mu.Unlock()
	if _, err := c.ByCode(t.Context(), "A-1"); err != nil || f.logins != 2 {
		t.Errorf("%v after %d logins", err, f.logins)
	}
}

// An API that is down is asked twice, then not at all while the breaker is open.
func TestAPIDown(t *testing.T) {
	t.Parallel()
	f := &fakeAPI{before: 1000}
	c, retried := newClient(t, f)
	for range 5 {
		if _, err := c.Stats(t.Context()); err == nil {
			t.Fatal("no error")
		}
	}
	if f.asked != breaker.FailuresToOpen || *retried == 0 {
		t.Errorf("asked %d times, %d retries", f.asked, *retried)
	}
}
