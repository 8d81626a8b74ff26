package drills

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// RoleWatch is the Observer of who is what: it reads the topology again and again and emits a role event whenever a
// component's view changes. The interval in which a change happened is between two readings.
type RoleWatch struct {
	Runtime    Runtime
	Components []string // which to watch
	Every      time.Duration

	cancel context.CancelFunc
	done   chan struct{}
	once   sync.Once
}

// Start emits the first views at once and then watches until Finish.
func (w *RoleWatch) Start(ctx context.Context, emit func(Event)) error {
	t, err := w.Runtime.Topology(ctx)
	if err != nil {
		return err
	}
	last := map[string]RoleView{}
	w.report(t, last, emit)
	ctx, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
	w.done = make(chan struct{})
	go w.watch(ctx, last, emit)
	return nil
}

func (w *RoleWatch) watch(ctx context.Context, last map[string]RoleView, emit func(Event)) {
	defer close(w.done)
	timer := time.NewTimer(w.Every)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		// A reading that the end broke off has members in it that were not heard out.
		if t, err := w.Runtime.Topology(ctx); err == nil && ctx.Err() == nil {
			w.report(t, last, emit)
		}
		timer.Reset(w.Every)
	}
}

func (w *RoleWatch) report(t Topology, last map[string]RoleView, emit func(Event)) {
	for _, name := range w.Components {
		v, ok := t.Views[name]
		if !ok {
			continue
		}
		if old, seen := last[name]; seen && sameView(old, v) {
			continue
		}
		last[name] = v
		emit(Event{Kind: EvRole, Role: &v})
	}
}

// sameView ignores facts that always move, such as lag: only roles, primaries, disagreement and the counts matter.
func sameView(a, b RoleView) bool {
	for _, fact := range []string{"running", "replicas"} {
		if a.Facts[fact].Number != b.Facts[fact].Number {
			return false
		}
	}
	return maps.Equal(a.Roles, b.Roles) && slices.Equal(a.Primaries, b.Primaries) && (a.Disagreement == "") == (b.Disagreement == "")
}

// Finish stops watching.
func (w *RoleWatch) Finish(context.Context, Timing) ([]Event, error) {
	w.once.Do(func() {
		if w.cancel != nil {
			w.cancel()
			<-w.done
		}
	})
	return nil, nil
}
