package compose

import (
	"context"
	"sync"

	"github.com/eevans-d/simulacro/drills"
)

// throttles are the throttles that this process has set, by target, each with a goroutine that looks for its end.
type throttles struct {
	mu   sync.Mutex
	held map[string]*throttleWatch
}

type throttleWatch struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

// watch tells onEnd when the target ends before the throttle is released.
func (t *throttles) watch(ctx context.Context, api eventSource, op drills.Op, onEnd func(opID, why string)) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w := &throttleWatch{cancel: cancel, ended: make(chan struct{})}
	t.release(op.Target)
	t.mu.Lock()
	if t.held == nil {
		t.held = map[string]*throttleWatch{}
	}
	t.held[op.Target] = w
	t.mu.Unlock()
	go func() {
		defer close(w.ended)
		died, err := endOf(ctx, api, op.Target)
		switch {
		case died:
			onEnd(op.ID, "its target was stopped or restarted, and the throttle ended with its control group")
		case ctx.Err() == nil:
			onEnd(op.ID, "nobody can tell whether it is still in force: "+err.Error())
		}
	}()
}

// release ends the watch of a target and waits for it.
func (t *throttles) release(target string) {
	t.mu.Lock()
	w := t.held[target]
	delete(t.held, target)
	t.mu.Unlock()
	if w != nil {
		w.cancel()
		<-w.ended
	}
}
