package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// stage is the servers of one measurement, and the address where a generator publishes: what is posted there goes out on
// every connection.
type stage struct {
	servers   []*process
	addresses []string
	publish   string
	http      *http.Server
	serving   sync.WaitGroup

	passing atomic.Bool // posts are taken; else they are refused, and promise nothing
	mu      sync.Mutex  // guards the servers' inputs
	passed  int64
}

// newStage starts so many servers, each a process.
func (e env) newStage(ctx context.Context, servers int) (*stage, error) {
	s := &stage{}
	for range servers {
		p, err := e.start(ctx, "ws-server", struct{}{})
		if err != nil {
			s.close()
			return nil, err
		}
		s.servers = append(s.servers, p)
		var address string
		if err := p.answer(&address); err != nil {
			s.close()
			return nil, err
		}
		s.addresses = append(s.addresses, address)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.close()
		return nil, err
	}
	s.publish = "http://" + l.Addr().String() + "/"
	s.http = &http.Server{Handler: http.HandlerFunc(s.take), ReadHeaderTimeout: 10 * time.Second}
	s.serving.Go(func() { _ = s.http.Serve(l) }) // it ends with close
	return s, nil
}

func (s *stage) close() {
	if s.http != nil {
		_ = s.http.Close()
		s.serving.Wait()
	}
	for _, p := range s.servers {
		_, _ = p.stop()
	}
}

// take is the address where generators publish.
func (s *stage) take(w http.ResponseWriter, r *http.Request) {
	var m struct{ Content string }
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&m); err != nil || !s.passing.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if err := s.broadcast(m.Content); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

func (s *stage) broadcast(content string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.servers {
		if err := json.NewEncoder(p.in).Encode(wsOrder{Broadcast: content}); err != nil {
			return fmt.Errorf("a server is gone: %w", err)
		}
	}
	s.passed++
	return nil
}

// count asks the servers; they answer when they have carried out what was ordered before.
func (s *stage) count() (wsCount, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sum wsCount
	for _, p := range s.servers {
		if err := json.NewEncoder(p.in).Encode(wsOrder{}); err != nil {
			return sum, err
		}
		var c wsCount
		if err := p.answer(&c); err != nil {
			return sum, err
		}
		sum.Open, sum.Wrote, sum.Gone = sum.Open+c.Open, sum.Wrote+c.Wrote, sum.Gone+c.Gone
	}
	return sum, nil
}

// every calls f on an absolute schedule for a time.
func every(ctx context.Context, period, length time.Duration, f func() error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	start := time.Now()
	for k := time.Duration(0); k*period < length; k++ {
		timer.Reset(time.Until(start.Add(k * period)))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		if err := f(); err != nil {
			return err
		}
	}
	return rest(ctx, time.Until(start.Add(length)))
}

func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
