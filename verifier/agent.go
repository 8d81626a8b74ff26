package verifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
)

const (
	readyWithin = 30 * time.Second
	endWithin   = 10 * time.Second
)

// agent is the orchestrator's end of one agent process: it starts it, reads its frames in one goroutine and ends it.
type agent struct {
	log    *zap.Logger
	stream drills.Stream
	began  int64 // CLOCK_MONOTONIC before it was started
	handle func(drills.Frame) error

	ready chan readiness
	ended chan struct{} // closed when the reader has ended

	mu       sync.Mutex
	stopping bool
	err      error // why it ended, nil when we asked for it
}

// startAgent starts the named agent in a place, hands it its spec and waits until it is ready. Frames other than ready
// and error go to handle, in order, from one goroutine, not before onReady has returned.
func startAgent(ctx context.Context, l drills.Launcher, p drills.Place, name string, spec any, log *zap.Logger,
	onReady func(readiness) error, handle func(drills.Frame) error,
) (*agent, error) {
	a := &agent{log: log, began: drills.Monotonic(), handle: handle, ready: make(chan readiness, 1), ended: make(chan struct{})}
	data, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	if a.stream, err = l.Start(ctx, p, []string{"_agent", name}); err != nil {
		return nil, fmt.Errorf("start the %s agent in %s: %w", name, placeName(p), err)
	}
	if err := a.stream.Send(drills.Frame{Type: "spec", Data: data}); err != nil {
		return nil, errors.Join(fmt.Errorf("hand the %s agent its spec: %w", name, err), a.close(ctx))
	}
	gate := make(chan struct{})
	go a.read(gate)
	if err := a.awaitReady(ctx, onReady); err != nil {
		close(gate)
		return nil, errors.Join(fmt.Errorf("%s agent in %s: %w", name, placeName(p), err), a.close(ctx))
	}
	close(gate)
	return a, nil
}

func (a *agent) awaitReady(ctx context.Context, onReady func(readiness) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyWithin, errors.New("it did not get ready in time"))
	defer cancel()
	select {
	case r := <-a.ready:
		return onReady(r)
	case <-a.ended:
		return a.failure()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// read takes frames until the stream ends.
func (a *agent) read(gate <-chan struct{}) {
	defer close(a.ended)
	for {
		f, err := a.stream.Recv()
		if err == nil {
			err = a.take(f, gate)
		}
		if err != nil {
			a.fail(err)
			return
		}
	}
}

func (a *agent) take(f drills.Frame, gate <-chan struct{}) error {
	switch f.Type {
	case "ready":
		var r readiness
		if now := drills.Monotonic(); f.Mono < a.began || f.Mono > now {
			return errors.New("its monotonic clock is not ours: it runs on another kernel, which is not supported")
		}
		if err := json.Unmarshal(f.Data, &r); err != nil {
			return err
		}
		a.ready <- r
		<-gate
		return nil
	case "error":
		var t trouble
		if err := json.Unmarshal(f.Data, &t); err != nil {
			return err
		}
		return errors.New(t.Text)
	}
	return a.handle(f)
}

func (a *agent) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopping && errors.Is(err, io.EOF) {
		return
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("it ended by itself")
	}
	if a.err == nil {
		a.err = err
	}
}

// failure is why the agent is of no use any more; nil while it is, or when we ended it.
func (a *agent) failure() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

func (a *agent) send(kind string, data any) error {
	f := drills.Frame{Type: kind}
	if data != nil {
		b, err := json.Marshal(data)
		if err != nil {
			return err
		}
		f.Data = b
	}
	return a.stream.Send(f)
}

// stop asks the agent to end, waits until its last frame has been taken and removes it.
func (a *agent) stop(ctx context.Context) error {
	a.mu.Lock()
	a.stopping = true
	a.mu.Unlock()
	sent := a.send("stop", nil)
	t := time.NewTimer(endWithin)
	defer t.Stop()
	select {
	case <-a.ended:
		sent = nil // it may have died before; failure tells
	case <-t.C:
		a.fail(errors.New("it did not stop in time"))
	case <-ctx.Done():
		a.fail(ctx.Err())
	}
	return errors.Join(sent, a.close(ctx))
}

func (a *agent) close(ctx context.Context) error { return a.stream.Close(ctx) }
