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

// ask starts a helper in the host's PID namespace, has it do one thing, and decodes its answer.
func (m *more) ask(ctx context.Context, p drills.Place, spec, into any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, helperLimit, errors.New("the helper took too long"))
	defer cancel()
	s, err := m.e.Launcher(m.run).Start(ctx, p, []string{"_agent", "helper"})
	if err != nil {
		return err
	}
	err = askStream(ctx, s, spec, into)
	cctx, stop := context.WithTimeout(context.WithoutCancel(ctx), crashClose)
	defer stop()
	if cerr := s.Close(cctx); cerr != nil {
		m.e.log.Warn("helper did not end well", zap.String("what", p.Name), zap.Error(cerr))
	}
	return err
}

// askStream sends a spec and waits for the "ready" frame; ctx's end closes the stream.
func askStream(ctx context.Context, s drills.Stream, spec, into any) error {
	stop := context.AfterFunc(ctx, func() {
		dead, cancel := context.WithCancel(ctx)
		cancel()
		_ = s.Close(dead)
	})
	defer stop()
	raw, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	if err := s.Send(drills.Frame{Type: "spec", Data: raw}); err != nil {
		return err
	}
	for {
		f, err := s.Recv()
		switch {
		case err != nil && ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, io.EOF):
			return errSilent
		case err != nil:
			return err
		case f.Type == "error":
			var e struct {
				Message string `json:"message"`
			}
			if json.Unmarshal(f.Data, &e) == nil && e.Message != "" {
				return errors.New("the helper says: " + e.Message)
			}
			return fmt.Errorf("the helper says: %s", f.Data)
		case f.Type == "ready":
			return json.Unmarshal(f.Data, into)
		}
	}
}

// stamped is an interval in CLOCK_MONOTONIC of one kernel, as helpers give it, within what we saw of it.
func stamped(asked time.Time, clock drills.Clock, from, to int64) drills.Interval {
	i := drills.Interval{From: clock.Time(from), To: clock.Time(to)}
	if from == 0 || i.From.Before(asked) || i.To.After(time.Now()) || i.To.Before(i.From) {
		return drills.Interval{From: asked, To: time.Now().UTC()}
	}
	return i
}
