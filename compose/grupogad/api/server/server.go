package server

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/auth"
	"github.com/eevans-d/simulacro/compose/grupogad/api/breaker"
	"github.com/eevans-d/simulacro/compose/grupogad/api/bus"
	"github.com/eevans-d/simulacro/compose/grupogad/api/defects"
	"github.com/eevans-d/simulacro/compose/grupogad/api/hub"
	"github.com/eevans-d/simulacro/compose/grupogad/api/limit"
	"github.com/eevans-d/simulacro/compose/grupogad/api/store"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// TaskReader reads tasks.
type TaskReader interface {
	Tasks(ctx context.Context, skip, limit int) ([]store.Task, error)
	Task(ctx context.Context, id int) (store.Task, error)
	TaskByCode(ctx context.Context, codigo string) (store.Task, error)
	RecentTasks(ctx context.Context, limit int) ([]store.Task, error)
}

// TaskWriter changes tasks.
type TaskWriter interface {
	CreateTask(context.Context, store.TaskInput) (store.Task, error)
	UpdateTask(context.Context, int, store.TaskInput) (store.Task, error)
	DeleteTask(context.Context, int) (store.Task, error)
}

// People is what login, emergencies and statistics ask for.
type People interface {
	UserByEmail(context.Context, string) (store.User, error)
	NearestUnit(ctx context.Context, lat, lng float64) (store.Nearest, error)
	Stats(ctx context.Context, userID, days int) (store.UserStats, error)
}

// Cache keeps statistics for a while.
type Cache interface {
	Get(ctx context.Context, key string) ([]byte, bool, error)
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	Del(ctx context.Context, keys ...string) error
}

// Deps is everything that the server is wired to.
type Deps struct {
	Instance    string
	Environment string
	Tasks       TaskReader
	Writes      TaskWriter
	People      People
	Cache       Cache
	Publish     func(ctx context.Context, payload []byte) error
	Append      func(ctx context.Context, stream string, values map[string]any) (Entry, error)
	PingDB      func(context.Context) error
	PingRedis   func(context.Context) error
	Relayed     *RelayLog
	Schema      func() error // nil once the schema is in place, else why it is not
	Subscribed  func() bool

	DB, Redis *breaker.Breaker
	Tokens    *auth.Tokens
	Passwords *auth.Passwords
	Limiter   *limit.Limiter
	Hub       *hub.Hub
	Defects   *defects.Set
	Register  prometheus.Registerer
	Gatherer  prometheus.Gatherer
	Log       *zap.Logger
}

// Entry is what became of an entry for a stream: its id there, and how many replicas have it.
type Entry = bus.Entry

// Server answers requests.
type Server struct {
	Deps
	m        httpMetrics
	draining atomic.Bool
}

// New registers the HTTP metrics.
func New(d Deps) *Server { return &Server{Deps: d, m: newHTTPMetrics(d.Register)} }

// Drain makes readiness answer 503 from now on.
func (s *Server) Drain() { s.draining.Store(true) }

// handler answers a request or says why not; writing the error is done in one place.
type handler func(w http.ResponseWriter, r *http.Request) error

// authed is a handler that knows who asks.
type authed func(w http.ResponseWriter, r *http.Request, id auth.Identity) error

// Handler is the whole service. Health, metrics and the reference switches are not rate limited, as in
// the real system; neither are WebSocket handshakes.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	open := func(pattern string, h handler) { mux.Handle(pattern, s.answer(h)) }
	limited := func(pattern string, h handler) { open(pattern, s.limited(h)) }
	private := func(pattern string, h authed) { limited(pattern, s.authenticated(h)) }

	open("GET /health", s.health)
	open("GET /api/v1/health/ready", s.ready)
	mux.Handle("GET /metrics", s.metricsHandler())
	open("GET /ws/connect", s.connect)
	limited("GET /ws/stats", s.wsStats)
	limited("POST /auth/login", s.login)

	private("GET /tasks/{$}", s.listTasks)
	private("POST /tasks/{$}", s.createTask)
	private("GET /tasks/recent", s.recentTasks)
	private("GET /tasks/code/{codigo}", s.taskByCode)
	private("GET /tasks/{id}", s.getTask)
	private("PUT /tasks/{id}", s.updateTask)
	private("DELETE /tasks/{id}", s.deleteTask)
	private("POST /tasks/emergency", s.emergency)
	private("GET /stats/user/{id}", s.userStats)
	private("POST /ws/_test/broadcast", s.broadcast)
	private("POST /notifications", s.notify)
	if s.Environment == Reference {
		open("GET /_reference/defects", s.authenticated(s.getDefects))
		open("PUT /_reference/defects", s.authenticated(s.putDefects))
		open("GET /_reference/relayed", s.relayed)
		open("DELETE /_reference/relayed/{id}", s.forgetRelayed)
	}
	return s.measured(mux)
}

// Reference is the ENVIRONMENT in which the defect switches exist.
const Reference = "reference"
