package load

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
)

// source names the generator as what an effect is known from.
const source = "load generator"

// running is one generator. One goroutine reads its frames; it ends with the stream.
type running struct {
	stream drills.Stream
	log    *zap.Logger
	ready  chan struct{} // closed when it has said so
	ended  chan struct{} // closed when its frames have ended

	mu      sync.Mutex
	state   Readiness
	result  json.RawMessage // its "done"
	trouble string          // its "error"
	told    bool            // the result was given to a stop
	asked   bool            // to end
	closing sync.Once
	onEnd   func() // nil, or called when it ends without being asked to
}

func follow(s drills.Stream, log *zap.Logger, onEnd func()) *running {
	r := &running{stream: s, log: log, ready: make(chan struct{}), ended: make(chan struct{}), onEnd: onEnd}
	go r.read()
	return r
}

func (r *running) read() {
	defer close(r.ended)
	defer r.tell()
	ready := sync.OnceFunc(func() { close(r.ready) })
	for {
		f, err := r.stream.Recv()
		if err != nil {
			return
		}
		r.take(f, ready)
	}
}

// tell says that the generator has ended, if nobody asked it to and it had begun.
func (r *running) tell() {
	r.mu.Lock()
	asked := r.asked
	r.mu.Unlock()
	select {
	case <-r.ready:
		if !asked && r.onEnd != nil {
			r.onEnd()
		}
	default:
	}
}

func (r *running) willEnd() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = true
}

func (r *running) take(f drills.Frame, ready func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch f.Type {
	case "ready":
		if err := json.Unmarshal(f.Data, &r.state); err == nil {
			ready()
		}
	case "done":
		r.result = f.Data
	case "error":
		var t trouble
		_ = json.Unmarshal(f.Data, &t)
		r.trouble = t.Text
	case "second":
		r.log.Debug("load", zap.ByteString("point", f.Data))
	}
}

func (r *running) alive() bool {
	select {
	case <-r.ended:
		return false
	default:
		return true
	}
}

// awaitReady waits for the end of the ramp. A generator that cannot begin, or does not in time, is ended.
func (r *running) awaitReady(ctx context.Context) (drills.Effect, error) {
	var err error
	select {
	case <-r.ready:
		return r.effect()
	case <-r.ended:
		err = r.complaint()
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	_ = r.close(ctx)
	return drills.Effect{}, err
}

func (r *running) complaint() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.trouble == "" {
		return errors.New("the load generator ended before it was ready; its log says why")
	}
	return errors.New("the load generator could not begin: " + r.trouble)
}

// effect is what the end of the ramp proved.
func (r *running) effect() (drills.Effect, error) {
	select {
	case <-r.ready:
	default:
		return drills.Effect{}, errors.New("this load was tried already and did not begin; it is not tried twice")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	said := map[string]int{"connected": r.state.Connected, "wanted": r.state.Wanted}
	proven := r.state.Connected >= 1
	if r.state.Quiet {
		said["silent"] = r.state.Silent
		proven = proven && r.state.Silent == r.state.Connected
	}
	evidence, err := json.Marshal(said)
	return drills.Effect{From: r.state.From, To: r.state.To, Source: source, Proven: proven, Evidence: evidence}, err
}

// stop ends the load and returns its result, once: a second stop has nothing to undo. A generator that does not hand
// over its result is ended all the same; the load is then undone and not measured.
func (r *running) stop(ctx context.Context) (drills.Effect, error) {
	e := drills.Effect{From: time.Now(), Source: source}
	alive := r.alive()
	r.willEnd()
	if alive {
		_ = r.stream.Send(drills.Frame{Type: "stop"}) // closing says the same
		r.await(ctx)
	}
	err := r.close(ctx)
	e.To = time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.told || !alive && r.result == nil:
		e.Skipped = "the load had ended before"
		return e, err
	case r.result == nil:
		r.log.Warn("the load generator ended without a result: the load is not measured")
	}
	r.told, e.Proven, e.Evidence = true, true, r.result
	return e, err
}

// await waits until the generator has ended, at most stopLimit.
func (r *running) await(ctx context.Context) {
	t := time.NewTimer(stopLimit)
	defer t.Stop()
	select {
	case <-r.ended:
	case <-ctx.Done():
	case <-t.C:
	}
}

// close ends the stream and waits for the reader, whatever became of ctx. The generator is gone afterwards, even if
// the error says that it had to be killed.
func (r *running) close(ctx context.Context) error {
	var err error
	r.willEnd()
	r.closing.Do(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
		defer cancel()
		if cerr := r.stream.Close(ctx); cerr != nil {
			r.log.Warn("closing the load generator", zap.Error(cerr))
			err = cerr
		}
		<-r.ended
	})
	return err
}
