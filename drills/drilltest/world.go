package drilltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// World is a fake system: redis-1 (primary), redis-2 and redis-3 (replicas) of component "redis". It is a drills.Actuator
// for unit. verbs, an Inventory and a RoleResolver. When the primary stops running, a replica takes over after Failover.
type World struct {
	Failover time.Duration // zero: nobody ever takes over
	mu       sync.Mutex
	state    map[string]string
	started  map[string]time.Time
	well     map[string]time.Time // when a member that was started becomes healthy; absent: at once
	stopped  time.Time            // when the primary stopped
	primary  string
	done     map[string]bool
	moved    time.Time // when the role moved last

	// Order lists the targets of undos, in the order they were asked for.
	Order []string
	// FailDo makes the do take effect and then report failure: the half-applied case.
	FailDo map[string]bool
	// FailUndo refuses; LieUndo claims success and changes nothing; Inert does nothing and proves nothing.
	FailUndo, LieUndo, Inert map[string]bool
}

// startTakes is how long a started member needs before it serves.
const startTakes = 500 * time.Millisecond

// NewWorld makes a world in which everything runs and redis-1 is primary.
func NewWorld(failover time.Duration) *World {
	w := &World{Failover: failover, state: map[string]string{}, started: map[string]time.Time{}, well: map[string]time.Time{}, primary: "id-redis-1", done: map[string]bool{}, moved: time.Now().Add(-time.Hour)}
	for _, n := range []string{"redis-1", "redis-2", "redis-3"} {
		w.state["id-"+n], w.started["id-"+n] = "running", time.Now().Add(-time.Hour)
	}
	return w
}

// MovedAt says when the primary role moved last.
func (w *World) MovedAt(at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moved = at
}

// Restarted makes somebody else start a member: a conditional undo must then be skipped.
func (w *World) Restarted(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state[id], w.started[id] = "running", time.Now()
}

// SetStarted sets when a member was started, for replaying a journal into a new world.
func (w *World) SetStarted(id string, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.started[id] = at
}

// Starting makes a member one that was started just now and is healthy from an instant on.
func (w *World) Starting(id string, well time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.started[id], w.well[id] = time.Now(), well
}

// Running tells whether every member runs.
func (w *World) Running() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.state {
		if s != "running" {
			return false
		}
	}
	return true
}

// Members lists the fake members.
func (w *World) Members(ctx context.Context) ([]drills.Member, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []drills.Member
	for id, s := range w.state {
		name := id[len("id-"):]
		out = append(out, drills.Member{ID: id, Name: name, Service: name, State: s, Healthy: s == "running" && !time.Now().Before(w.well[id]), StartedAt: w.started[id]})
	}
	slices.SortFunc(out, func(a, b drills.Member) int {
		return len(a.Name) - len(b.Name) + map[bool]int{true: -1, false: 1}[a.Name < b.Name]
	})
	return out, ctx.Err()
}

// Primary is the id of the current primary, after the failover if its time has come; "" while there is none.
func (w *World) Primary() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.current()
}

func (w *World) current() string {
	if w.state[w.primary] == "running" {
		if time.Since(w.started[w.primary]) < startTakes {
			return ""
		}
		return w.primary
	}
	if w.Failover == 0 || time.Since(w.stopped) < w.Failover {
		return ""
	}
	for _, id := range []string{"id-redis-1", "id-redis-2", "id-redis-3"} {
		if w.state[id] == "running" {
			w.primary, w.moved = id, time.Now()
			return id
		}
	}
	return ""
}

// Resolve says who is primary.
func (w *World) Resolve(_ context.Context, c drills.Component, members []drills.Member) (drills.RoleView, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.current()
	v := drills.RoleView{Component: c.Name, At: time.Now(), Roles: map[string]string{}, Facts: map[string]drills.Fact{}}
	replicas := 0
	for _, m := range members {
		switch {
		case m.State != "running":
		case m.ID == p:
			v.Roles[m.ID], v.Primaries = "primary", []string{m.ID}
		default:
			v.Roles[m.ID] = "replica"
			replicas++
		}
	}
	v.Facts["last-role-change"] = drills.Fact{Number: time.Since(w.moved).Seconds(), Unit: "s"}
	v.Facts["replicas"] = drills.Fact{Number: float64(replicas)}
	return v, nil
}

type unitArgs struct {
	StartedAt time.Time `json:"started_at,omitzero"`
	Signal    string    `json:"signal,omitempty"`
}

// Apply performs unit.kill, unit.start, unit.pause and unit.unpause.
func (w *World) Apply(ctx context.Context, op drills.Op) (drills.Effect, error) {
	if err := ctx.Err(); err != nil {
		return drills.Effect{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var args unitArgs
	if err := op.Decode(&args); err != nil {
		return drills.Effect{}, err
	}
	now := time.Now()
	effect := drills.Effect{From: now, To: now, Source: "fake", Proven: true}
	switch op.Verb {
	case "unit.kill", "unit.pause":
		return w.do(op, effect)
	case "unit.start", "unit.unpause":
		return w.undo(op, args, effect)
	}
	return drills.Effect{}, fmt.Errorf("unknown verb %s", op.Verb)
}

func (w *World) do(op drills.Op, effect drills.Effect) (drills.Effect, error) {
	if w.done[op.ID] {
		return effect, nil // at most once
	}
	w.done[op.ID] = true
	if w.Inert[op.Target] {
		return drills.Effect{Source: "fake"}, nil
	}
	if op.Target == w.primary && w.state[op.Target] == "running" {
		w.stopped = time.Now()
	}
	w.state[op.Target] = map[string]string{"unit.kill": "exited", "unit.pause": "paused"}[op.Verb]
	if w.FailDo[op.Target] {
		return drills.Effect{}, errors.New("the engine timed out")
	}
	return effect, nil
}

func (w *World) undo(op drills.Op, args unitArgs, effect drills.Effect) (drills.Effect, error) {
	w.Order = append(w.Order, op.Target)
	switch {
	case w.FailUndo[op.Target]:
		return drills.Effect{}, errors.New("the engine refused")
	case w.LieUndo[op.Target]:
		return effect, nil
	case !args.StartedAt.IsZero() && !args.StartedAt.Equal(w.started[op.Target]):
		effect.Skipped = "somebody has started it since"
		return effect, nil
	case w.state[op.Target] == "running":
		effect.Skipped = "it runs"
		return effect, nil
	}
	w.state[op.Target] = "running"
	if op.Verb == "unit.start" {
		w.started[op.Target] = time.Now()
	}
	return effect, nil
}

// Present tells whether the do's effect is there.
func (w *World) Present(ctx context.Context, op drills.Op) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state[op.Target] != "running", ctx.Err()
}
