package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

func redisGoals() []goal {
	return []goal{{"redis-rate", "Redis: commands a second", "more than 10,000 commands a second, every one answered, p95 under 50 ms", redisRate}}
}

const redisServer = `exec redis-server --port "$PORT" --bind 127.0.0.1 --save "" --appendonly no --dir /tmp`

func redisRate(ctx context.Context, e env, t *table) (err error) {
	server, err := e.container(ctx, "gad/redis:dev", "redis", redisServer, "bash", "-c", `redis-cli -p "$PORT" ping`)
	if err != nil {
		return err
	}
	defer func() {
		if rerr := server.remove(ctx); err == nil {
			err = rerr
		}
	}()
	length := 10 * time.Second
	if e.short {
		length = 2 * time.Second
	}
	t.columns = []string{"generator", "connections", "pipeline", "asked for a second", "answered well a second", "not answered well", "CPU s per 100k", "p50", "p95", "p99", "RSS MiB"}
	for i, pipeline := range []int{16, 1} {
		f := drills.LoadFlow{Name: "redis", Rate: 12_000, Connections: 16, Timeout: drills.Duration(time.Second), Redis: &drills.RedisLoad{
			Addresses: []string{fmt.Sprintf("127.0.0.1:%d", server.port)}, Prefix: "simulacro:bench:", Keys: 10_000, Size: 100, Writes: 0.2, Pipeline: pipeline,
		}}
		m, _, u, err := e.flow(ctx, f, drills.Duration(time.Second), drills.Duration(length))
		if err != nil {
			return err
		}
		bad := m.Due - m.Count.Good
		if i == 0 {
			t.judge(m.Achieved > 10_000 && bad == 0 && m.P95.D() < 50*time.Millisecond, "%.0f commands a second, %d of %d not answered well, p95 %s", m.Achieved, bad, m.Due, millis(m.P95.D()))
		}
		t.row("simulacro", f.Connections, pipeline, f.Rate, m.Achieved, bad, perHundredThousand(u, m.Due), m.P50.D(), m.P95.D(), m.P99.D(), float64(u.RSS)/mib)
	}
	for _, pipeline := range []int{16, 1} {
		if err := redisBenchmark(ctx, server, t, pipeline, length); err != nil {
			return err
		}
	}
	t.note("Ours sends on a schedule and counts from when a command was due; redis-benchmark is a closed loop without a rate, so that its figure is what the server can do and its latencies are those of a loop that waits.")
	return nil
}

// redisBenchmark is the comparison: C, a closed loop.
func redisBenchmark(ctx context.Context, server *container, t *table, pipeline int, length time.Duration) error {
	requests := int(length.Seconds()) * 12_000
	out, u, err := server.tool(ctx, "/usr/bin/redis-benchmark", "-p", strconv.Itoa(server.port), "-t", "get", "-n", strconv.Itoa(requests),
		"-c", "16", "-P", strconv.Itoa(pipeline), "-r", "10000", "-d", "100", "--csv")
	if err != nil {
		return err
	}
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(rows) < 2 || len(rows[1]) < 8 {
		return fmt.Errorf("redis-benchmark said something else than expected: %.200s", out)
	}
	n := make([]float64, len(rows[1]))
	for i, cell := range rows[1][1:] {
		if n[i+1], err = strconv.ParseFloat(cell, 64); err != nil {
			return fmt.Errorf("redis-benchmark: %w", err)
		}
	}
	at := func(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }
	t.row("redis-benchmark (closed loop, GET only)", 16, pipeline, "no rate", n[1], 0, perHundredThousand(u, requests), at(n[4]), at(n[5]), at(n[6]), float64(u.RSS)/mib)
	return nil
}

func perHundredThousand(u usage, n int) float64 {
	return u.CPU.Seconds() / float64(max(n, 1)) * 100_000
}
