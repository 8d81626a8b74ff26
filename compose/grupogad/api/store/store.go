package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/apierr"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// Options says where the database is and how long anything may take.
type Options struct {
	URL      string        // postgres://...
	Timeout  time.Duration // connecting, and one statement
	MaxConns int32
	Register prometheus.Registerer
}

// Store runs the queries.
type Store struct {
	pool    *pgxpool.Pool
	timeout time.Duration
	took    *prometheus.HistogramVec
}

// New checks the URL and makes a pool; it does not connect, because the service starts without its
// database and says so in its readiness.
func New(ctx context.Context, o Options) (*Store, error) {
	cfg, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	cfg.MaxConns, cfg.MinConns = o.MaxConns, o.MaxConns // a server process each: opened ahead, not in the middle of a rush
	cfg.ConnConfig.ConnectTimeout = o.Timeout
	cfg.HealthCheckPeriod = 5 * time.Second
	cfg.ConnConfig.RuntimeParams["application_name"] = "grupo_gad_api"
	cfg.ConnConfig.RuntimeParams["search_path"] = "gad,public"
	cfg.ConnConfig.RuntimeParams["statement_timeout"] = fmt.Sprint(o.Timeout.Milliseconds() * 4 / 5) // the server gives up first, so that the connection lives
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL pool: %w", err)
	}
	s := &Store{pool: pool, timeout: o.Timeout, took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "query_duration_seconds", Help: "Time of one database query, waiting for a connection included.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 5},
	}, []string{"query"})}
	o.Register.MustRegister(s.took)
	return s, nil
}

// Close waits for running queries and closes the connections.
func (s *Store) Close() { s.pool.Close() }

// Ping is SELECT 1.
func (s *Store) Ping(ctx context.Context) error {
	return s.query(ctx, "ready", func(ctx context.Context) error {
		var one int
		return s.pool.QueryRow(ctx, "SELECT 1").Scan(&one)
	})
}

// query bounds and times fn and sorts its error. A caller that hangs up does not cut it off, as in the real system: that would
// cost a cancel request and a new connection, a server process each, just when the server is slow. A server that has become
// read-only is a demoted primary: all connections are thrown away, so that the next ones find the new primary.
func (s *Store) query(ctx context.Context, name string, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	began := time.Now()
	err := fn(ctx)
	s.took.WithLabelValues(name).Observe(time.Since(began).Seconds())
	if sqlState(err) == readOnlyTransaction {
		s.pool.Reset()
	}
	return sortError(err)
}

// SQLSTATE codes that mean something here.
const (
	readOnlyTransaction = "25006"
	uniqueViolation     = "23505"
	foreignKeyViolation = "23503"
	checkViolation      = "23514"
	stringTooLong       = "22001"
)

func sqlState(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code
	}
	return ""
}

// sortError tells the client's mistakes from the database's failures.
func sortError(err error) error {
	var known *apierr.Error
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, pgx.ErrNoRows):
		return &apierr.Error{Status: http.StatusNotFound, Detail: "not found", Err: err}
	}
	switch sqlState(err) {
	case uniqueViolation:
		return &apierr.Error{Status: http.StatusBadRequest, Detail: "codigo already exists", Err: err}
	case foreignKeyViolation:
		return &apierr.Error{Status: http.StatusBadRequest, Detail: "no such user", Err: err}
	case checkViolation, stringTooLong:
		return &apierr.Error{Status: http.StatusUnprocessableEntity, Detail: "value out of range", Err: err}
	}
	return apierr.Unavailable("database", err)
}
