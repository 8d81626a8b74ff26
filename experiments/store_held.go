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
	"github.com/eevans-d/simulacro/experiments/store"
)

// storeEnds is how long an agent may take to undo and leave, before its stream is closed and the undo done without it. Building
// an index again may take most of it.
const storeEnds = 40 * time.Second

// agentSilence is after how long without a word an agent counts as frozen: then it is given no time to undo.
const agentSilence = 5 * time.Second

// grip is one agent with a fault in force. Its reader goroutine owns everything that the agent says and ends with the stream.
type grip struct {
	opID   string
	stream drills.Stream

	ready chan struct{} // closed when the deed is done
	proof chan struct{} // closed at the first beat that proves it
	ended chan struct{} // closed when the stream has ended

	mu       sync.Mutex
	applied  store.Applied
	last     store.Beat
	heard    time.Time
	done     *store.Done
	failed   error
	stopping bool
	undone   *drills.Effect
	ending   sync.Mutex // one undo at a time
}

func newGrip(opID string, s drills.Stream) *grip {
	return &grip{opID: opID, stream: s, ready: make(chan struct{}), proof: make(chan struct{}), ended: make(chan struct{})}
}

// read takes frames until the stream ends.
func (h *grip) read(onEnd func(opID, why string)) {
	defer close(h.ended)
	ready := sync.OnceFunc(func() { close(h.ready) })
	proof := sync.OnceFunc(func() { close(h.proof) })
	for {
		f, err := h.stream.Recv()
		if err != nil {
			h.over(err, onEnd)
			return
		}
		h.take(f, ready, proof)
	}
}

func (h *grip) take(f drills.Frame, ready, proof func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heard = time.Now()
	var err error
	switch f.Type {
	case "ready":
		if err = json.Unmarshal(f.Data, &h.applied); err == nil {
			ready()
		}
	case "beat":
		var b store.Beat
		if err = json.Unmarshal(f.Data, &b); err == nil {
			h.last = b
			if b.Proven {
				proof()
			}
		}
	case "done":
		var d store.Done
		if err = json.Unmarshal(f.Data, &d); err == nil {
			h.done = &d
		}
	case "error":
		var x store.Failure
		_ = json.Unmarshal(f.Data, &x)
		err = errors.New("the agent says: " + x.Message)
	}
	if err != nil && h.failed == nil {
		h.failed = err
	}
}

// over notes the end of the stream, and tells of one that nobody asked for.
func (h *grip) over(err error, onEnd func(opID, why string)) {
	h.mu.Lock()
	if h.failed == nil && h.done == nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the agent died")
		}
		h.failed = err
	}
	tell, why := !h.stopping && isClosed(h.ready), h.reason()
	h.mu.Unlock()
	if tell {
		onEnd(h.opID, why)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// reason says why it ended; h.mu is held.
func (h *grip) reason() string {
	switch {
	case h.failed != nil:
		return h.failed.Error()
	case h.done != nil:
		return "it ended: " + h.done.Why
	}
	return "it is still there"
}

// await waits for a signal of the reader; the agent's own end comes first.
func (h *grip) await(ctx context.Context, signal <-chan struct{}, limit time.Duration) error {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-signal:
		return nil
	case <-h.ended:
		if isClosed(signal) {
			return nil
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		return errors.New(h.reason())
	case <-t.C:
		return errLate
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// effect maps the agent's bracket to wall time; one outside of our own is not of our clock, and ours counts.
func (h *grip) effect(clock drills.Clock, began, answered int64) drills.Effect {
	h.mu.Lock()
	defer h.mu.Unlock()
	from, to := h.applied.From, h.applied.To
	if from < began || to > answered || from > to {
		from, to = began, answered
	}
	return drills.Effect{From: clock.Time(from), To: clock.Time(to), Source: "store", Proven: h.last.Proven, Evidence: h.evidence()}
}

func (h *grip) evidence() json.RawMessage {
	facts := h.last.Facts
	if facts == nil {
		facts = map[string]any{}
	}
	if h.done != nil {
		facts["ended_by"] = h.done.Why
	}
	raw, err := json.Marshal(facts)
	if err != nil {
		return nil // cannot happen: plain numbers and text
	}
	return raw
}

// stop has the agent undo and waits for its end. One that does not listen is killed: what it left is then undone without it.
func (h *grip) stop(ctx context.Context) (drills.Effect, error) {
	h.ending.Lock()
	defer h.ending.Unlock()
	clock, began := drills.NewClock(), drills.Monotonic()
	h.mu.Lock()
	if h.undone != nil {
		again := *h.undone
		again.Skipped = "it was ended before"
		h.mu.Unlock()
		return again, nil
	}
	h.stopping = true
	patience := storeEnds
	if !h.heard.IsZero() && time.Since(h.heard) > agentSilence {
		patience = time.Second
	}
	h.mu.Unlock()
	_ = h.stream.Send(drills.Frame{Type: "stop"}) // closing says the same
	if err := h.await(ctx, nil, patience); ctx.Err() != nil {
		return drills.Effect{}, err
	}
	closing, done := context.WithTimeout(ctx, time.Second) // it has ended, or does not listen: then it is killed
	closed := h.stream.Close(closing)
	done()
	ctx, cancel := context.WithTimeout(ctx, helperAnswer)
	defer cancel()
	select {
	case <-h.ended:
	case <-ctx.Done():
		return drills.Effect{}, fmt.Errorf("%s: the agent did not end: %w", verbEnd, errors.Join(closed, context.Cause(ctx)))
	}
	return h.lifted(clock, began), nil
}

// lifted is the effect of the undo. Without the agent's own word nothing is proven: the inspection that follows decides.
func (h *grip) lifted(clock drills.Clock, began int64) drills.Effect {
	h.mu.Lock()
	defer h.mu.Unlock()
	from, to := began, drills.Monotonic()
	e := drills.Effect{Source: "store", Proven: h.done != nil, Evidence: h.evidence()}
	if h.done != nil && h.done.To <= to && h.done.From <= h.done.To {
		from, to = h.done.From, h.done.To
		e.Skipped = h.done.Skipped
	}
	e.From, e.To = clock.Time(from), clock.Time(to)
	h.undone = &e
	return e
}
