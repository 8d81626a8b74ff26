package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/apierr"
	"github.com/eevans-d/simulacro/compose/grupogad/api/auth"
	"github.com/eevans-d/simulacro/compose/grupogad/api/breaker"
	"github.com/eevans-d/simulacro/compose/grupogad/api/defects"
	"github.com/eevans-d/simulacro/compose/grupogad/api/hub"
	"github.com/eevans-d/simulacro/compose/grupogad/api/limit"
	"github.com/eevans-d/simulacro/compose/grupogad/api/store"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/crypto/bcrypt"
)

// fake is the database and Redis in memory; either can be made to fail.
type fake struct {
	mu          sync.Mutex
	db, redis   error
	tasks       map[int]store.Task
	cache       map[string]string
	published   [][]byte
	entries     []map[string]any
	replicas    int64 // that confirm an entry
	statsAsked  int
	passwordFor func(string) string
}

func (f *fake) lock(err *error) error { f.mu.Lock(); defer f.mu.Unlock(); return *err }

func (f *fake) fail(db, redis error) { f.mu.Lock(); defer f.mu.Unlock(); f.db, f.redis = db, redis }

func (f *fake) Tasks(context.Context, int, int) ([]store.Task, error) { return nil, f.lock(&f.db) }

func (f *fake) Task(_ context.Context, id int) (store.Task, error) {
	if err := f.lock(&f.db); err != nil {
		return store.Task{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t, found := f.tasks[id]
	if !found {
		return t, apierr.New(http.StatusNotFound, "The task with this id does not exist in the system")
	}
	return t, nil
}

func (f *fake) TaskByCode(_ context.Context, codigo string) (store.Task, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.tasks {
		if t.Codigo == codigo {
			return t, f.db
		}
	}
	return store.Task{}, apierr.New(http.StatusNotFound, "The task with this id does not exist in the system")
}

func (f *fake) RecentTasks(_ context.Context, limit int) ([]store.Task, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []store.Task
	for id := len(f.tasks); id > 0 && len(out) < limit; id-- {
		out = append(out, f.tasks[id])
	}
	return out, f.db
}

func (f *fake) CreateTask(_ context.Context, in store.TaskInput) (store.Task, error) {
	if err := f.lock(&f.db); err != nil {
		return store.Task{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t := store.Task{ID: len(f.tasks) + 1, Codigo: *in.Codigo, Titulo: *in.Titulo, Tipo: *in.Tipo, Delegado: *in.Delegado, CreadoPor: *in.CreadoPor}
	f.tasks[t.ID] = t
	return t, nil
}

func (f *fake) UpdateTask(ctx context.Context, id int, in store.TaskInput) (store.Task, error) {
	t, err := f.Task(ctx, id)
	if err == nil && in.Estado != nil {
		t.Estado = *in.Estado
	}
	return t, err
}

func (f *fake) DeleteTask(ctx context.Context, id int) (store.Task, error) { return f.Task(ctx, id) }

func (f *fake) UserByEmail(_ context.Context, email string) (store.User, error) {
	if err := f.lock(&f.db); err != nil {
		return store.User{}, err
	}
	if email != "admin@gad.example" {
		return store.User{}, apierr.New(http.StatusNotFound, "not found")
	}
	return store.User{ID: 1, Nivel: auth.RoleAdmin, Verificado: true, PasswordHash: f.passwordFor("right")}, nil
}

func (f *fake) NearestUnit(_ context.Context, lat, lng float64) (store.Nearest, error) {
	return store.Nearest{UnitID: 42, DistanceM: lat + lng}, f.lock(&f.db)
}

func (f *fake) Stats(_ context.Context, user, days int) (store.UserStats, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.statsAsked++
	return store.UserStats{UserID: user, Days: days, Total: f.statsAsked}, f.db
}

func (f *fake) Get(_ context.Context, key string) ([]byte, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, found := f.cache[key]
	return []byte(v), found, f.redis
}

func (f *fake) Set(_ context.Context, key string, v []byte, ttl time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.redis == nil && ttl == 300*time.Second {
		f.cache[key] = string(v)
	}
	return f.redis
}

func (f *fake) Del(_ context.Context, keys ...string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range keys {
		delete(f.cache, k)
	}
	return f.redis
}

func (f *fake) publish(_ context.Context, payload []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.redis == nil {
		f.published = append(f.published, payload)
	}
	return f.redis
}

func (f *fake) add(_ context.Context, stream string, values map[string]any) (Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.redis != nil {
		return Entry{}, f.redis
	}
	values["stream"] = stream
	f.entries = append(f.entries, values)
	return Entry{ID: fmt.Sprintf("%d-0", len(f.entries)), Replicas: f.replicas}, nil
}

// service is a server on fakes, with a client's view of it.
type service struct {
	t      *testing.T
	f      *fake
	s      *Server
	http   *httptest.Server
	reg    *prometheus.Registry
	token  string
	schema error
}

var errDown = errors.New("connection refused")

func newService(t *testing.T, change func(*Deps)) *service {
	t.Helper()
	reg := prometheus.NewRegistry()
	labelled := prometheus.WrapRegistererWith(prometheus.Labels{"env": "test"}, reg)
	passwords, err := auth.NewPasswords(bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := auth.NewTokens("a secret that is long enough", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	d, err := defects.Parse("")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{replicas: 1, tasks: map[int]store.Task{}, cache: map[string]string{}, passwordFor: func(p string) string { h, _ := passwords.Hash(p); return h }}
	sv := &service{t: t, f: f, reg: reg}
	circuit := func(name string) *breaker.Breaker {
		return breaker.New(name, breaker.Options{OpenFor: time.Hour, Register: labelled, CountClient: func() bool { return d.On(defects.BreakerCounts4xx) }})
	}
	deps := Deps{
		Instance: "api-1", Environment: Reference, Tasks: f, Writes: f, People: f, Cache: f, Publish: f.publish,
		Append: f.add, Relayed: NewRelayLog("api-1/x"),
		PingDB:    func(context.Context) error { return f.lock(&f.db) },
		PingRedis: func(context.Context) error { return f.lock(&f.redis) },
		Schema:    func() error { return sv.schema }, Subscribed: func() bool { return true },
		DB: circuit("postgres"), Redis: circuit("redis"), Tokens: tokens, Passwords: passwords, Defects: d,
		Limiter: limit.New(func() int {
			if d.On(defects.RateLimit100) {
				return 100
			}
			return 1 << 20
		}),
		Hub:      hub.New(hub.Options{Origin: "api-1/x", Queue: 8, MaxConns: 10, WriteTimeout: time.Second, Heartbeat: time.Hour, Register: labelled, Log: zap.NewNop()}),
		Register: labelled, Gatherer: reg, Log: zap.NewNop(),
	}
	if change != nil {
		change(&deps)
	}
	sv.s = New(deps)
	sv.http = httptest.NewServer(sv.s.Handler())
	t.Cleanup(sv.http.Close)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		deps.Hub.Shutdown(ctx)
	})
	if sv.token, err = tokens.Issue(auth.Identity{UserID: "1", Role: auth.RoleAdmin}); err != nil {
		t.Fatal(err)
	}
	return sv
}

// do sends a request as the admin and returns status, headers and decoded body.
func (sv *service) do(method, path, body string, header ...string) (int, http.Header, map[string]any) {
	sv.t.Helper()
	req, err := http.NewRequestWithContext(sv.t.Context(), method, sv.http.URL+path, strings.NewReader(body))
	if err != nil {
		sv.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+sv.token)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		sv.t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // test
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		sv.t.Fatal(err)
	}
	var out map[string]any
	if len(raw) > 0 && raw[0] == '{' {
		if err := json.Unmarshal(raw, &out); err != nil {
			sv.t.Fatalf("%s: %v", raw, err)
		}
	}
	return resp.StatusCode, resp.Header, out
}

func (sv *service) status(want int, method, path, body string) map[string]any {
	sv.t.Helper()
	got, _, out := sv.do(method, path, body)
	if got != want {
		sv.t.Errorf("%s %s = %d %v, want %d", method, path, got, out, want)
	}
	return out
}

func (sv *service) switchOn(names ...string) {
	sv.t.Helper()
	list, _ := json.Marshal(names)
	sv.status(http.StatusOK, "PUT", "/_reference/defects", fmt.Sprintf(`{"defects":%s}`, list))
}
