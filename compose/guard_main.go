package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/eevans-d/simulacro/drills"
)

// How long the guard tries, in all and at a time, and how it waits in between.
const (
	undoLimit    = 60 * time.Second
	undoAttempt  = 20 * time.Second
	undoFirst    = 200 * time.Millisecond
	undoLongest  = 3 * time.Second
	beatEvery    = time.Second
	settleBase   = 5 * time.Second
	settleLookup = 250 * time.Millisecond
)

// GuardMain is the guard: it holds the undo of every change and carries it out when the stream ends, the lease runs out
// or it is told to stop, unless it has been released. It runs in a container with the engine's socket and nothing else.
func GuardMain(ctx context.Context, in io.Reader, out io.Writer) error {
	p := drills.NewPipe(in, out)
	var spec GuardSpec
	if err := p.Spec(&spec); err != nil {
		return err
	}
	e, err := Open(ctx, Options{Host: "unix://" + guardSocket, Project: spec.Project})
	if err != nil {
		_ = p.Send(frameError, textData{err.Error()})
		return err
	}
	defer func() { _ = e.Close() }() // the process ends
	units := newUnits(e.api, noOffset, e.crasher(RunLabels{Run: spec.Run}))
	units.more = e.more(RunLabels{Run: spec.Run}, func(string, string) {})
	hands := byPrefix{"unit": units, "command": &commands{member: e.exec}}
	g := &guard{pipe: p, spec: spec, units: hands, remove: func(ctx context.Context) ([]string, error) { return e.removeRun(ctx, spec.Run) }}
	return g.run(ctx)
}

// guard is the state of a running guard. Its handler and its deeds run in one goroutine.
type guard struct {
	pipe     *drills.Pipe
	spec     GuardSpec
	units    drills.Actuator
	remove   func(context.Context) ([]string, error) // force-removes the run's other containers
	held     []drills.Change                         // oldest first
	released bool
}

func (g *guard) run(ctx context.Context) error {
	if err := g.pipe.Send(frameReady, nil); err != nil {
		return err
	}
	stop := g.beat()
	why := g.pipe.Watch(ctx, g.spec.Lease.D(), g.handle)
	stop()
	if g.released {
		return nil
	}
	// From here on nothing may keep the guard from its duty: neither a signal nor a reader who is gone.
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), undoLimit, fmt.Errorf("the guard tried for %v", undoLimit))
	defer cancel()
	g.act(ctx, why)
	return nil
}

// beat tells the orchestrator that its guard is alive, until the returned function is called.
func (g *guard) beat() (stop func()) {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(beatEvery)
		defer t.Stop()
		for {
			select {
			case <-quit:
				return
			case <-t.C:
				_ = g.pipe.Send(frameBeat, nil) // a reader who is gone shows as the end of the stream
			}
		}
	}()
	return func() { close(quit); <-ended }
}

// handle keeps the list of what would have to be undone.
func (g *guard) handle(f drills.Frame) {
	switch f.Type {
	case frameIntend:
		var d intendData
		if err := json.Unmarshal(f.Data, &d); err != nil || d.Change.ID == "" {
			g.say(frameError, textData{fmt.Sprintf("intend is not understood: %v", err)})
			return
		}
		g.forget(d.Change.ID)
		g.held = append(g.held, d.Change)
		g.say(frameAck, idData{ID: d.Change.ID, What: frameIntend})
	case frameDone:
		var d idData
		if err := json.Unmarshal(f.Data, &d); err != nil {
			g.say(frameError, textData{fmt.Sprintf("done is not understood: %v", err)})
			return
		}
		g.forget(d.ID)
		g.say(frameAck, idData{ID: d.ID, What: frameDone})
	case frameRelease:
		g.released = true
		g.say(frameReleased, nil)
	default:
		g.say(frameError, textData{fmt.Sprintf("frame %q is not understood", f.Type)})
	}
}

func (g *guard) forget(id string) {
	g.held = slices.DeleteFunc(g.held, func(c drills.Change) bool { return c.ID == id })
}

// say writes a frame. Whether somebody reads it does not matter to the guard; the engine keeps its output.
func (g *guard) say(kind string, data any) { _ = g.pipe.Send(kind, data) }

// act undoes everything that is held, newest first, and removes what else the run has running.
func (g *guard) act(ctx context.Context, why string) {
	pending := slices.Clone(g.held)
	slices.Reverse(pending)
	r := GuardReport{Run: g.spec.Run, Project: g.spec.Project, Why: why, From: time.Now().UTC()}
	g.say(frameActing, actingData{Why: why, Pending: pending})
	var sweep errgroup.Group
	sweep.Go(func() error {
		names, err := g.remove(ctx)
		r.Removed = names
		return err
	})
	undos := newUndoList(g.units, pending, func(u GuardUndo) { g.say(frameUndone, u) })
	undos.all(ctx)
	err := sweep.Wait()
	undos.settle(ctx)
	// Once more: what was being created when the orchestrator died.
	late, lateErr := g.remove(ctx)
	r.Removed = slices.Compact(slices.Sorted(slices.Values(append(r.Removed, late...))))
	for _, e := range []error{err, lateErr} {
		if e != nil {
			r.Trouble = append(r.Trouble, e.Error())
		}
	}
	r.Undos, r.To = undos.results(), time.Now().UTC()
	g.say(frameReport, r)
}
