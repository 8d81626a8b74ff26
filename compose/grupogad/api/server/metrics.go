package server

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

type httpMetrics struct {
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
}

func newHTTPMetrics(reg prometheus.Registerer) httpMetrics {
	m := httpMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_requests_total",
			Help: "HTTP requests answered.",
		}, []string{"method", "endpoint", "status"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "http_request_duration_seconds",
			Help:    "Time to answer an HTTP request (a WebSocket counts its handshake only).",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .2, .5, 1, 2.5, 5},
		}, []string{"method", "endpoint"}),
	}
	reg.MustRegister(m.requests, m.took)
	return m
}

func (s *Server) metricsHandler() http.Handler {
	return promhttp.HandlerFor(s.Gatherer, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// measured counts every request under its route pattern (never its path: that would be a series per
// task) and turns a panic into a 500 for the one request that caused it.
func (s *Server) measured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		began := time.Now()
		defer func() {
			if p := recover(); p != nil {
				s.Log.Error("panic in a handler", zap.Any("panic", p), zap.Stack("stack"))
				rec.WriteHeader(http.StatusInternalServerError)
			}
			method, endpoint := methodOf(r), endpointOf(r)
			s.m.requests.WithLabelValues(method, endpoint, strconv.Itoa(rec.code())).Inc()
			s.m.took.WithLabelValues(method, endpoint).Observe(time.Since(began).Seconds())
		}()
		next.ServeHTTP(rec, r)
	})
}

func endpointOf(r *http.Request) string {
	_, path, ok := strings.Cut(r.Pattern, " ")
	if !ok {
		return "unknown"
	}
	return strings.TrimSuffix(path, "{$}")
}

// methodOf keeps invented methods from becoming series.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// recorder remembers the status. Unwrap lets the WebSocket handshake take the connection over.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
		r.ResponseWriter.WriteHeader(status)
	}
}

// upgraded notes a handshake that bypassed WriteHeader.
func (r *recorder) upgraded() { r.status = http.StatusSwitchingProtocols }

func (r *recorder) code() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}
