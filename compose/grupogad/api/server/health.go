package server

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/defects"
)

// health says only that the process answers, like GRUPO_GAD's.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) error {
	return ok(w, map[string]any{
		"status": "ok", "environment": s.Environment, "instance": s.Instance,
		"timestamp": float64(time.Now().UnixMicro()) / 1e6,
	})
}

// ready is the truth: the schema is there, SELECT 1 works and Redis takes a write. It goes through the
// breakers, so that it is what an ordinary request would meet, and so that they find out by themselves
// when a dependency is back. The subscription is reported but does not count (contract of the service).
func (s *Server) ready(w http.ResponseWriter, r *http.Request) error {
	checks := s.check(r.Context())
	body := map[string]any{"checks": checks, "instance": s.Instance, "timestamp": time.Now().UTC().Format(time.RFC3339Nano)}
	good := checks["database"] == "ok" && checks["redis"] == "ok" && !s.draining.Load()
	switch {
	case s.Defects.On(defects.ReadinessLies):
		delete(body, "checks")
		body["status"] = "ready"
	case good:
		body["status"] = "ready"
	case s.draining.Load():
		body["status"], body["detail"] = "not_ready", "shutting down"
	default:
		body["status"], body["detail"] = "not_ready", reason(checks)
	}
	status := http.StatusOK
	if body["status"] != "ready" {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, body)
	return nil
}

func (s *Server) check(ctx context.Context) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var db, redis error
	var wg sync.WaitGroup
	wg.Go(func() {
		if db = s.Schema(); db == nil {
			db = s.DB.Do(ctx, s.PingDB)
		}
	})
	wg.Go(func() { redis = s.Redis.Do(ctx, s.PingRedis) })
	wg.Wait()
	pubsub := "ok"
	if !s.Subscribed() {
		pubsub = "not subscribed"
	}
	return map[string]string{"database": said(db), "redis": said(redis), "ws_pubsub": pubsub}
}

func said(err error) string {
	if err == nil {
		return "ok"
	}
	return "error: " + err.Error()
}

func reason(checks map[string]string) string {
	var out string
	for _, k := range []string{"database", "redis"} {
		if checks[k] != "ok" {
			if out != "" {
				out += "; "
			}
			out += k + " " + checks[k]
		}
	}
	return out
}
