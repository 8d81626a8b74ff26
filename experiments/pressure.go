package experiments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// pressure is one resource fault in force. Its reader goroutine owns everything that the helper says and ends with the
// stream.
type pressure struct {
	opID   string
	stream drills.Stream

	ready chan struct{} // closed when the helper works
	proof chan struct{} // closed when the pressure is there
	ended chan struct{} // closed when the stream has ended

	mu       sync.Mutex
	began    helper.Pressed
	reached  *helper.Reading // the first that says so
	last     helper.Reading
	done     *helper.Eased
	failed   error
	stopping bool // the end is ours
	undone   *drills.Effect
	undoing  sync.Mutex // one undo at a time
}

// pressureEvidence is the evidence of both effects.
type pressureEvidence struct {
	Way     string          `json:"way"`
	Before  helper.Reading  `json:"before"`
	Reached *helper.Reading `json:"reached,omitempty"`
	Last    helper.Reading  `json:"last"`
	After   *helper.Reading `json:"after,omitempty"`
	Why     string          `json:"ended_by,omitempty"`
}

func newPressure(op string, s drills.Stream) *pressure {
	return &pressure{opID: op, stream: s, ready: make(chan struct{}), proof: make(chan struct{}), ended: make(chan struct{})}
}

// take notes one frame; an error ends the reading.
func (p *pressure) take(f drills.Frame) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch f.Type {
	case "ready":
		if p.began.Way == "" {
			defer close(p.ready)
		}
		return json.Unmarshal(f.Data, &p.began)
	case "beat":
		if err := json.Unmarshal(f.Data, &p.last); err != nil {
			return err
		}
		if p.last.Reached && p.reached == nil {
			first := p.last
			p.reached = &first
			close(p.proof)
		}
	case "done":
		p.done = new(helper.Eased)
		return json.Unmarshal(f.Data, p.done)
	case "error":
		p.failed = failure(f)
	}
	return nil
}

// await waits for a signal of the reader; the helper's own failure or end comes first.
func (p *pressure) await(ctx context.Context, signal <-chan struct{}, limit time.Duration) error {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-signal:
		return nil
	case <-p.ended:
		select {
		case <-signal: // both: the signal came first
			return nil
		default:
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		return errors.New("the helper ended: " + p.reason())
	case <-t.C:
		return errLate
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// reason says why the helper ended; p.mu is held.
func (p *pressure) reason() string {
	switch {
	case p.done != nil:
		return p.done.Why
	case p.failed != nil && !errors.Is(p.failed, io.EOF):
		return p.failed.Error()
	}
	return "it died without a word, as it does when its target is stopped or restarted, or when the kernel takes its memory"
}

// effect is when the pressure came: after the helper began, and at the latest when it was first seen to be there. Stamps
// outside of our own bracket mean another kernel's clock: then ours counts, which is wider.
func (p *pressure) effect(clock drills.Clock, began int64) drills.Effect {
	now := drills.Monotonic()
	p.mu.Lock()
	defer p.mu.Unlock()
	from, to := p.began.From, now
	if p.reached != nil {
		to = p.reached.Mono
	}
	if from < began || to > now || from > to {
		from, to = began, now
	}
	return drills.Effect{From: clock.Time(from), To: clock.Time(to), Source: "control group of the target", Proven: p.reached != nil, Evidence: p.evidence()}
}

// evidence is what the readings say; p.mu is held.
func (p *pressure) evidence() json.RawMessage {
	e := pressureEvidence{Way: p.began.Way, Before: p.began.Before, Reached: p.reached, Last: p.last}
	if p.done != nil {
		e.After, e.Why = &p.done.Reading, p.done.Why
	}
	raw, err := json.Marshal(e)
	if err != nil {
		return nil // cannot happen: plain numbers and text
	}
	return raw
}

// release stops the helper and returns once it is gone.
func (p *pressure) release(ctx context.Context) (drills.Effect, error) {
	if ctx.Err() != nil {
		return drills.Effect{}, fmt.Errorf("%s: %w", verbRelease, context.Cause(ctx))
	}
	p.undoing.Lock()
	defer p.undoing.Unlock()
	clock, began := drills.NewClock(), drills.Monotonic()
	p.mu.Lock()
	if p.undone != nil {
		again := *p.undone
		again.Skipped = "it was released before"
		p.mu.Unlock()
		return again, nil
	}
	gone := p.failed != nil
	p.stopping = true
	p.mu.Unlock()
	if !gone {
		// A helper that cannot be told, or does not listen, is ended by the end of its stream.
		_ = p.stream.Send(drills.Frame{Type: "stop"})
		_ = p.await(ctx, nil, stopAnswer)
	}
	ctx, cancel := context.WithTimeout(ctx, helperAnswer)
	defer cancel()
	if err := p.stream.Close(ctx); err != nil {
		return drills.Effect{}, fmt.Errorf("%s: close the helper's stream: %w", verbRelease, err)
	}
	select {
	case <-p.ended:
		return p.released(clock, began, gone), nil
	case <-ctx.Done():
		return drills.Effect{}, fmt.Errorf("%s: the helper did not end: %w", verbRelease, context.Cause(ctx))
	}
}

// released is the effect of the undo. Without the helper's own word our bracket counts and nothing is proven: the
// inspection that follows every undo then decides.
func (p *pressure) released(clock drills.Clock, began int64, gone bool) drills.Effect {
	p.mu.Lock()
	defer p.mu.Unlock()
	from, to := began, drills.Monotonic()
	e := drills.Effect{Source: "helper in the target's control group", Proven: p.done != nil, Evidence: p.evidence()}
	if p.done != nil && (gone || p.done.From >= from && p.done.To <= to) {
		from, to = p.done.From, p.done.To
	}
	e.From, e.To = clock.Time(from), clock.Time(to)
	switch {
	case p.began.Way == "":
		e.Skipped = "it never came into force: " + p.reason()
	case gone:
		e.Skipped = "it had ended before: " + p.reason()
	}
	p.undone = &e
	return e
}
