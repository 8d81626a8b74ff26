package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// syncBuffer takes the log of a running service.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

func get(url string) (int, string) {
	resp, err := http.Get(url) //nolint:noctx // test
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close() //nolint:errcheck // test
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

// Neither database is there: the service starts anyway, says why it is not ready, and stops when asked.
func TestServesWithoutItsDependenciesAndStops(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	m := sound()
	m["BCRYPT_COST"] = "4"
	m["LISTEN"], m["REDIS_SENTINELS"], m["DATABASE_URL"] = addr, "127.0.0.1:1", "postgres://app:secret-word@127.0.0.1:1/gad"
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var log syncBuffer
	done := make(chan int, 1)
	go func() { done <- run(ctx, nil, vars(m), &log) }()

	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if code, _ := get("http://" + addr + "/health"); code == http.StatusOK {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("never alive: %s", &log)
		}
	}
	code, body := get("http://" + addr + "/api/v1/health/ready")
	if code != http.StatusServiceUnavailable || !strings.Contains(body, "schema") || !strings.Contains(body, "no Sentinel has named") {
		t.Errorf("ready = %d %s", code, body)
	}
	if _, metrics := get("http://" + addr + "/metrics"); !strings.Contains(metrics, `ggrt_active_connections{env="reference"} 0`) {
		t.Error("metrics have no ggrt_active_connections")
	}
	var second bytes.Buffer
	if code := run(t.Context(), nil, vars(m), &second); code != 1 || !strings.Contains(second.String(), "port taken") {
		t.Errorf("a second one on the same port: exit %d, %s", code, &second)
	}
	cancel()
	select {
	case code := <-done:
		if code != 0 {
			t.Errorf("stopped with %d: %s", code, &log)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("does not stop")
	}
	if strings.Contains(log.String()+body, "secret-word") {
		t.Error("the database password was shown")
	}
}
