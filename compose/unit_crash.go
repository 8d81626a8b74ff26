package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
)

// crashLimit bounds a crash helper's life, and crashClose its end.
const (
	crashLimit = 30 * time.Second
	crashClose = 5 * time.Second
)

// killSpec is what the helper is told; it checks that the process belongs to the container before it kills.
type killSpec struct {
	Kind      string `json:"kind"`
	PID       int    `json:"pid"`
	Container string `json:"container"`
	Signal    int    `json:"signal"`
}

// crasher kills through a helper in the host's PID namespace.
func (e *Engine) crasher(run RunLabels) crasher {
	l := e.Launcher(run)
	return func(ctx context.Context, containerID string, pid, signal int) (drills.Interval, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, crashLimit, errors.New("the crash helper took too long"))
		defer cancel()
		s, err := l.Start(ctx, drills.Place{Kind: drills.PlaceHostPID, Name: "crash"}, []string{"_agent", "helper"})
		if err != nil {
			return drills.Interval{}, err
		}
		i, err := crashThrough(ctx, s, killSpec{Kind: "kill", PID: pid, Container: containerID, Signal: signal})
		cctx, stop := context.WithTimeout(context.WithoutCancel(ctx), crashClose)
		defer stop()
		if cerr := s.Close(cctx); cerr != nil {
			e.log.Warn("crash helper did not end well", zap.Error(cerr))
		}
		return i, err
	}
}

// crashThrough tells the helper whom to kill and waits for its word; ctx's end closes the stream.
func crashThrough(ctx context.Context, s drills.Stream, k killSpec) (drills.Interval, error) {
	stop := context.AfterFunc(ctx, func() {
		dead, cancel := context.WithCancel(ctx)
		cancel()
		_ = s.Close(dead)
	})
	defer stop()
	spec, err := json.Marshal(k)
	if err != nil {
		return drills.Interval{}, err
	}
	i := drills.Interval{From: time.Now().UTC()}
	if err := s.Send(drills.Frame{Type: "spec", Data: spec}); err != nil {
		return i, err
	}
	for {
		f, err := s.Recv()
		if err != nil && ctx.Err() != nil {
			return i, context.Cause(ctx)
		}
		if errors.Is(err, io.EOF) {
			return i, errors.New("the crash helper ended without saying that it killed")
		}
		if err != nil {
			return i, err
		}
		switch f.Type {
		case "error":
			return i, fmt.Errorf("crash helper: %s", f.Data)
		case "ready":
			return readyAt(i, f)
		}
	}
}

// killed is what the helper says, in its own CLOCK_MONOTONIC nanoseconds: one kernel, one clock.
type killed struct {
	Killed bool  `json:"killed"`
	From   int64 `json:"from"` // just before the signal
	Mono   int64 `json:"mono"` // just after it
	Gone   int64 `json:"gone"` // when the process was seen to be gone
}

// readyAt is when the helper killed: by its stamps around the signal where it gives them, else between our question and
// the stamp of its answer.
func readyAt(asked drills.Interval, f drills.Frame) (drills.Interval, error) {
	var k killed
	if err := json.Unmarshal(f.Data, &k); err != nil || !k.Killed {
		return asked, fmt.Errorf("crash helper did not kill: %s", f.Data)
	}
	i := drills.Interval{From: asked.From, To: time.Now().UTC()}
	if f.Mono == 0 || f.Wall == 0 {
		return i, nil
	}
	c := drills.Clock{Mono: f.Mono, Wall: time.Unix(0, f.Wall)}
	told := drills.Interval{From: c.Time(k.From), To: c.Time(max(k.Mono, k.Gone))}
	if k.From == 0 || k.Mono == 0 {
		told = drills.Interval{From: i.From, To: c.Wall.UTC()}
	}
	if told.From.Before(i.From) || told.To.After(i.To) || told.To.Before(told.From) {
		return i, nil // a stepped wall clock: cause and effect still hold
	}
	return told, nil
}
