package hub

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/metricstest"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// BenchmarkBroadcast is one message to a thousand connections of the loopback, until all were written.
func BenchmarkBroadcast(b *testing.B) {
	const conns = 1000
	reg := prometheus.NewRegistry()
	h := New(Options{Origin: "bench", Queue: 64, MaxConns: conns, WriteTimeout: time.Second, Heartbeat: time.Hour, Register: reg, Log: zap.NewNop()})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close() //nolint:errcheck // benchmark
	for range conns {
		peer, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = peer.Close() })
		server, err := ln.Accept()
		if err != nil {
			b.Fatal(err)
		}
		if err := h.Accept(server, nil, Identity{UserID: "1"}); err != nil {
			b.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, peer) }()
	}
	e, err := NewEnvelope(EventNotification, map[string]string{"content": "hola"})
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for i := range b.N {
		if _, _, err := h.Broadcast(e); err != nil {
			b.Fatal(err)
		}
		for metricstest.Value(b, reg, "ggrt_message_latency_seconds") < float64((i+1)*conns) {
			time.Sleep(200 * time.Microsecond)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*conns), "ns/frame")
}
