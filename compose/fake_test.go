package compose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
)

// fakeDocker is an engine of one container at a time that behaves like the real one as far as units see it: calls take
// time, events are sent when the deed is done, the answer comes later.
type fakeDocker struct {
	mu     sync.Mutex
	boxes  map[string]*container.State
	subs   map[chan events.Message]bool
	calls  []string
	faults map[string]int           // how many more times a call fails
	takes  map[string]time.Duration // how long a call takes before its deed
	late   time.Duration            // how long after a deed its event is made
	mute   bool                     // no events
}

const answerLag = 30 * time.Millisecond

func newFakeDocker() *fakeDocker {
	return &fakeDocker{boxes: map[string]*container.State{}, subs: map[chan events.Message]bool{}, faults: map[string]int{}, takes: map[string]time.Duration{}}
}

// run adds a running container and returns when it was started.
func (f *fakeDocker) run(id string) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now().UTC()
	f.boxes[id] = &container.State{Status: container.StateRunning, Running: true, Pid: 42, StartedAt: now.Format(time.RFC3339Nano)}
	return now
}

// set changes a container behind our back.
func (f *fakeDocker) set(id string, change func(*container.State)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f.boxes[id])
}

func (f *fakeDocker) state(id string) container.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return *f.boxes[id]
}

func (f *fakeDocker) called() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.calls...)
}

func (f *fakeDocker) ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fails("inspect"); err != nil {
		return container.InspectResponse{}, err
	}
	s, ok := f.boxes[id]
	if !ok {
		return container.InspectResponse{}, fmt.Errorf("no such container: %w", errdefs.ErrNotFound)
	}
	c := *s
	return container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{ID: id, Name: "/" + id, State: &c}}, nil
}

// fails counts down a fault; the lock is held.
func (f *fakeDocker) fails(call string) error {
	if f.faults[call] <= 0 {
		return nil
	}
	f.faults[call]--
	return errors.New(call + ": engine trouble")
}

// deed is one changing call.
func (f *fakeDocker) deed(ctx context.Context, call, id string, action events.Action, change func(*container.State)) error {
	wait := func(d time.Duration) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f.mu.Lock()
	f.calls = append(f.calls, call)
	err, takes := f.fails(call), f.takes[call]
	f.mu.Unlock()
	if err != nil {
		return err
	}
	if err := wait(takes); err != nil {
		return err
	}
	f.mu.Lock()
	change(f.boxes[id])
	subs := maps.Clone(f.subs)
	mute, late := f.mute, f.late
	f.mu.Unlock()
	if err := wait(late); err != nil {
		return err
	}
	m := events.Message{Action: action, TimeNano: time.Now().UnixNano(), Actor: events.Actor{ID: id, Attributes: map[string]string{"exitCode": "137"}}}
	for s := range subs {
		if !mute {
			s <- m
		}
	}
	return wait(answerLag)
}

func down(s *container.State) {
	s.Running, s.Paused, s.Status, s.FinishedAt = false, false, container.StateExited, time.Now().UTC().Format(time.RFC3339Nano)
}
func thaw(s *container.State)  { s.Paused = false }
func chill(s *container.State) { s.Paused = true }
func up(s *container.State) {
	s.Running, s.Status, s.StartedAt = true, container.StateRunning, time.Now().UTC().Format(time.RFC3339Nano)
}

func (f *fakeDocker) ContainerKill(ctx context.Context, id, signal string) error {
	return f.deed(ctx, "kill "+signal, id, events.ActionDie, down)
}

func (f *fakeDocker) ContainerStop(ctx context.Context, id string, o container.StopOptions) error {
	return f.deed(ctx, fmt.Sprintf("stop %d", *o.Timeout), id, events.ActionDie, down)
}

func (f *fakeDocker) ContainerStart(ctx context.Context, id string, _ container.StartOptions) error {
	return f.deed(ctx, "start", id, events.ActionStart, up)
}

func (f *fakeDocker) ContainerRestart(ctx context.Context, id string, o container.StopOptions) error {
	return f.deed(ctx, fmt.Sprintf("restart %d", *o.Timeout), id, events.ActionDie, up)
}

func (f *fakeDocker) ContainerPause(ctx context.Context, id string) error {
	return f.deed(ctx, "pause", id, events.ActionPause, chill)
}

func (f *fakeDocker) ContainerUnpause(ctx context.Context, id string) error {
	return f.deed(ctx, "unpause", id, events.ActionUnPause, thaw)
}

// Events replays an old event first, as the real engine does when asked for some time back.
func (f *fakeDocker) Events(ctx context.Context, o events.ListOptions) (<-chan events.Message, <-chan error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	in, out, errs := make(chan events.Message, 16), make(chan events.Message), make(chan error, 1)
	old := time.Now().Add(-time.Second).UnixNano()
	for _, a := range []events.Action{events.ActionDie, events.ActionPause, events.ActionStart, events.ActionUnPause} {
		in <- events.Message{Action: a, TimeNano: old}
	}
	f.subs[in] = true
	go func() {
		defer func() {
			f.mu.Lock()
			delete(f.subs, in)
			f.mu.Unlock()
			errs <- ctx.Err()
		}()
		for {
			select {
			case m := <-in:
				select {
				case out <- m:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, errs
}
