package helper

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// inForce is a fault that holds in this namespace.
type inForce interface {
	beat() (Beat, error)        // what it did so far
	lower() error               // once; nothing of it is left afterwards, also when it fails half-way
	follow(ctx context.Context) // whatever has to go on meanwhile; returns with the context
	over() string               // why it must end by itself; empty: it need not
}

// keep tells that a fault is in force, holds it, undoes it and tells that.
func keep(ctx context.Context, p *drills.Pipe, lease time.Duration, a Applied, f inForce) error {
	if sent := p.Send("ready", a); sent != nil {
		_, err := undo(f, "cancelled")
		return errors.Join(sent, err)
	}
	w := &watcher{pipe: p, fault: f}
	done, err := undo(f, w.hold(ctx, lease))
	w.beats.Wait()
	if err != nil {
		return err
	}
	return p.Send("done", done)
}

// undo lowers the fault and says what it did in all.
func undo(f inForce, why string) (Done, error) {
	d := Done{Why: why}
	if b, err := f.beat(); err == nil {
		d.Beat = b
	}
	d.UndoneFrom = drills.Monotonic()
	err := f.lower()
	d.UndoneMono = drills.Monotonic()
	if s, ok := f.(interface{ settle(*Beat) }); ok {
		s.settle(&d.Beat)
	}
	return d, err
}

// watcher holds a fault in force. Beats have a goroutine of their own, so that a reader who does not read can hold up the
// beats but never the undo.
type watcher struct {
	pipe  *drills.Pipe
	fault inForce
	beats sync.WaitGroup
}

// hold returns why the fault must end.
func (w *watcher) hold(ctx context.Context, lease time.Duration) string {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan string, 1)
	w.beats.Go(func() { w.beat(ctx, over) })
	w.beats.Go(func() { w.fault.follow(ctx) })
	why := make(chan string, 1)
	w.beats.Go(func() { why <- w.pipe.Watch(ctx, lease, nil) })
	select {
	case reason := <-why:
		return reason
	case reason := <-over:
		return reason
	}
}

func (w *watcher) beat(ctx context.Context, over chan<- string) {
	t := time.NewTicker(beatEvery)
	defer t.Stop()
	attached := links() > 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if attached && links() == 0 {
			over <- "detached"
			return
		}
		if why := w.fault.over(); why != "" {
			over <- why
			return
		}
		b, err := w.fault.beat()
		if err != nil {
			continue // a missed reading is not a reason to lift the fault; the next one tells
		}
		if w.pipe.Send("beat", b) != nil {
			return
		}
	}
}

// links counts the namespace's interfaces besides loopback; unknown counts as one.
func links() int {
	all, err := net.Interfaces()
	if err != nil {
		return 1
	}
	return len(slices.DeleteFunc(all, func(i net.Interface) bool { return i.Flags&net.FlagLoopback != 0 }))
}
