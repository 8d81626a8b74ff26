package helper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eevans-d/simulacro/drills"
)

// CrashLoopSpec asks for a container's main process to be killed again whenever it has come back, until the stream or the
// lease ends.
type CrashLoopSpec struct {
	Kind      string          `json:"kind"`
	Op        string          `json:"op"`
	Lease     drills.Duration `json:"lease"`     // required
	Container string          `json:"container"` // full id
	Every     drills.Duration `json:"every"`     // at most one kill in this time
	Signal    Signal          `json:"signal,omitempty"`
}

// Crashes is the data of the frames of a crash loop: "ready" after the first kill, "beat" after each further one, "done" at
// the end. From and To are around the last signal (CLOCK_MONOTONIC, ns).
type Crashes struct {
	Kills int    `json:"kills"`
	PID   int    `json:"pid"`
	From  int64  `json:"from"`
	To    int64  `json:"to"`
	Why   string `json:"why,omitempty"`
}

// crashLook is how often a main process that has come back is looked for.
const crashLook = 200 * time.Millisecond

// minEvery keeps a loop from being nothing but a container that never runs.
const minEvery = 500 * time.Millisecond

func crashLoop(ctx context.Context, p *drills.Pipe, s CrashLoopSpec) error {
	if err := errors.Join(mayRaise(s.Op, s.Lease), s.validate()); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	l := &crasher{spec: s}
	first, err := l.main()
	if err == nil && first == nil {
		err = fmt.Errorf("container %.12s has no main process now", s.Container)
	}
	if err == nil {
		err = l.kill(*first)
	}
	if err != nil {
		return err
	}
	if err := p.Send("ready", l.done); err != nil {
		return err
	}
	var loop sync.WaitGroup
	loop.Go(func() { l.run(ctx, p) })
	why := p.Watch(ctx, s.Lease.D(), nil)
	stop()
	loop.Wait() // no kill after the last word
	l.done.Why = why
	return p.Send("done", l.done)
}

func (s CrashLoopSpec) validate() error {
	if !fullID(s.Container) {
		return fmt.Errorf("spec: container %q is not a full container id", s.Container)
	}
	if s.Every.D() < minEvery {
		return fmt.Errorf("spec: every %s is below %s", s.Every, minEvery)
	}
	return nil
}

// crasher belongs to one goroutine at a time.
type crasher struct {
	spec CrashLoopSpec
	done Crashes
}

func (l *crasher) run(ctx context.Context, p *drills.Pipe) {
	last := time.Now()
	t := time.NewTicker(crashLook)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if time.Since(last) < l.spec.Every.D() {
			continue
		}
		x, err := l.main()
		if err != nil || x == nil || x.PID == l.done.PID || x.starting() || ctx.Err() != nil {
			continue // it is down, or on its way
		}
		if l.kill(*x) == nil {
			last = time.Now()
			_ = p.Send("beat", l.done) // nobody to hear it shows as the end of the stream
		}
	}
}

// main is the container's main process; nil while it has none.
func (l *crasher) main() (*Process, error) {
	all, err := processesOf(l.spec.Container)
	if err != nil {
		return nil, err
	}
	return mainOf(all), nil
}

// starting tells whether a process is still the runtime's, which becomes the container's. Killed then, the engine counts a
// failed start, after which no policy tries again: not a crash.
func (x Process) starting() bool {
	return slices.ContainsFunc([]string{"runc", "crun", "youki"}, func(runtime string) bool { return strings.HasPrefix(x.Name, runtime) })
}

func mainOf(all []Process) *Process {
	for _, x := range all {
		if x.Inner == 1 {
			return &x
		}
	}
	return nil
}

func (l *crasher) kill(x Process) error {
	sig := unix.SIGKILL
	if l.spec.Signal != 0 {
		sig = unix.Signal(l.spec.Signal)
	}
	fd, err := hold(x, l.spec.Container)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	from := drills.Monotonic()
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil {
		return fmt.Errorf("signal process %d: %w", x.PID, err)
	}
	l.done = Crashes{Kills: l.done.Kills + 1, PID: x.PID, From: from, To: drills.Monotonic()}
	if exited(fd) {
		l.done.To = drills.Monotonic()
	}
	return nil
}
