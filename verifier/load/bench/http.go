package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier/load/open"
)

func httpGoals() []goal {
	return []goal{
		{"http-rate", "HTTP: cost at 10,000 requests a second", "at most 5 CPU s per 100,000 requests over net/http, every request served", httpRate},
		{"http-stall", "HTTP: a stall of one second shows", "at 1,000/s for 6 s with a stall of 1 s: p95 within 5 % of 700 ms, p99 within 5 % of 940 ms, none dropped", httpStall},
	}
}

// attack is one HTTP load.
type attack struct {
	URL     string
	Rate    int
	For     time.Duration
	Workers int // connections of ours; most workers of vegeta
}

// report of an attack. Done minus due is our latency; vegeta's runs from the actual sending.
type report struct {
	Sent, Good         int64
	Rate               float64 // good ones a second
	P50, P95, P99, Max time.Duration
	Lag                time.Duration // p99; vegeta does not know it
}

// httpServer answers GETs, and stalls for a second from Stall on after the first request. It ends with its input.
func httpServer(_ context.Context, in io.Reader, out io.Writer) error {
	var spec struct{ Stall time.Duration }
	rest, err := receive(in, &spec)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	body := []byte(`{"status":"ok","padding":"0123456789012345678901234567890123456789"}`)
	var first sync.Once
	var began time.Time
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first.Do(func() { began = time.Now() })
		if now := time.Since(began); spec.Stall > 0 && now >= spec.Stall && now < spec.Stall+time.Second {
			stalled := time.NewTimer(spec.Stall + time.Second - now) // what is measured
			defer stalled.Stop()
			select {
			case <-stalled.C:
			case <-r.Context().Done():
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	})}
	go func() { _, _ = io.Copy(io.Discard, rest); _ = srv.Close() }()
	if err := json.NewEncoder(out).Encode("http://" + l.Addr().String()); err != nil {
		return err
	}
	if err := srv.Serve(l); err != http.ErrServerClosed { //nolint:errorlint // net/http returns it bare
		return err
	}
	return nil
}

func httpOwn(ctx context.Context, in io.Reader, out io.Writer) error {
	var a attack
	if _, err := receive(in, &a); err != nil {
		return err
	}
	h, err := open.NewHTTP([]string{a.URL}, []drills.HTTPOp{{Name: "get", Path: "/"}}, "bench", 1, nil)
	if err != nil {
		return err
	}
	e := open.NewEngine([]open.Flow{{Name: "http", Rate: float64(a.Rate), Connections: a.Workers, Timeout: 30 * time.Second, Ops: h.Names(), Open: h.Open}}, 0)
	ctx, cancel := context.WithTimeout(ctx, a.For)
	defer cancel()
	e.Run(ctx, 10*time.Second)
	r := e.Results()[0]
	return json.NewEncoder(out).Encode(report{Sent: r.Due, Good: r.Count["good"], Rate: r.Achieved, P50: r.Latency.P50, P95: r.Latency.P95, P99: r.Latency.P99, Max: r.Latency.Max, Lag: r.Lag})
}

func httpVegeta(_ context.Context, in io.Reader, out io.Writer) error {
	var a attack
	if _, err := receive(in, &a); err != nil {
		return err
	}
	attacker := vegeta.NewAttacker(vegeta.MaxWorkers(uint64(a.Workers)), vegeta.Connections(a.Workers), vegeta.KeepAlive(true))
	var m vegeta.Metrics
	for r := range attacker.Attack(vegeta.NewStaticTargeter(vegeta.Target{Method: "GET", URL: a.URL + "/"}), vegeta.ConstantPacer{Freq: a.Rate, Per: time.Second}, a.For, "bench") {
		m.Add(r)
	}
	m.Close()
	return json.NewEncoder(out).Encode(report{
		Sent: int64(m.Requests), Good: int64(math.Round(m.Success * float64(m.Requests))), Rate: m.Throughput,
		P50: m.Latencies.P50, P95: m.Latencies.P95, P99: m.Latencies.P99, Max: m.Latencies.Max,
	})
}

// contender is one generator in a table.
type contender struct {
	name    string
	child   string
	workers int
}

// against runs one contender against a fresh server.
func (e env) against(ctx context.Context, c contender, stall time.Duration, a attack) (report, usage, error) {
	var r report
	server, err := e.start(ctx, "http-server", struct{ Stall time.Duration }{stall})
	if err != nil {
		return r, usage{}, err
	}
	defer func() { _, _ = server.stop() }()
	if err := server.answer(&a.URL); err != nil {
		return r, usage{}, err
	}
	a.Workers = c.workers
	u, err := e.once(ctx, c.child, a, &r)
	return r, u, err
}

func httpRate(ctx context.Context, e env, t *table) error {
	a := attack{Rate: 10_000, For: 20 * time.Second}
	if e.short {
		a.Rate, a.For = 2000, 2*time.Second
	}
	t.columns = []string{"generator", "connections or workers", "sent", "answered well", "a second", "CPU s per 100k", "p50", "p95", "p99", "own lag p99", "RSS MiB"}
	var own float64
	for _, c := range []contender{{"simulacro (net/http)", "http-own", 64}, {"vegeta, 64 workers", "http-vegeta", 64}, {"vegeta, free workers (2,000)", "http-vegeta", 2000}} {
		r, u, err := e.against(ctx, c, 0, a)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		cost := u.CPU.Seconds() / float64(r.Sent) * 100_000
		lag := any("not known")
		if c.child == "http-own" {
			own, lag = cost, r.Lag
			served := r.Good == r.Sent && r.Rate >= 0.99*float64(a.Rate)
			t.judge(own <= 5 && served, "%.2f CPU s per 100,000 requests, %d of %d served, %.0f/s", own, r.Good, r.Sent, r.Rate)
		}
		t.row(c.name, c.workers, r.Sent, r.Good, r.Rate, cost, r.P50, r.P95, r.P99, lag, float64(u.RSS)/(1<<20))
	}
	t.note("Our latency runs from the instant at which a request was due; vegeta's from its sending, so that its own lateness does not show. With 64 workers it turns into a closed loop when the server is slow.")
	return nil
}

func httpStall(ctx context.Context, e env, t *table) error {
	a := attack{Rate: 1000, For: 6 * time.Second}
	t.columns = []string{"generator", "connections or workers", "sent", "answered well", "p50", "p95 (truth 700 ms)", "p99 (truth 940 ms)", "max"}
	for _, c := range []contender{{"simulacro", "http-own", 64}, {"vegeta, free workers (2,000)", "http-vegeta", 2000}, {"vegeta, 10 workers", "http-vegeta", 10}} {
		r, _, err := e.against(ctx, c, 2*time.Second, a)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if c.child == "http-own" {
			off95, off99 := off(r.P95, 700*time.Millisecond), off(r.P99, 940*time.Millisecond)
			t.judge(off95 <= 0.05 && off99 <= 0.05 && r.Good == r.Sent, "p95 %s, p99 %s, %d of %d served", millis(r.P95), millis(r.P99), r.Good, r.Sent)
		}
		t.row(c.name, c.workers, r.Sent, r.Good, r.P50, r.P95, r.P99, r.Max)
	}
	return nil
}

func off(got, want time.Duration) float64 { return math.Abs(float64(got-want)) / float64(want) }
