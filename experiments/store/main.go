package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

const (
	beatEvery = 250 * time.Millisecond
	// beatLimit bounds one reading: a store under a fault may not answer, and the undo must not wait for that.
	beatLimit = 2 * time.Second
	// endLimit bounds the undo, with as many attempts as fit; rebuilding an index may take most of it.
	endLimit = 5 * time.Minute
	endPause = 500 * time.Millisecond
	endTries = 10
)

// Main is the agent store-fault: it reads its spec, does the deed, sends "ready" and then a "beat" four times a second, undoes
// at the end of its stream, at "stop", at the end of its lease and with ctx, and sends "done". What cannot be done is "error".
func Main(ctx context.Context, in io.Reader, out io.Writer) error {
	p := drills.NewPipe(in, out)
	var s Spec
	err := p.Spec(&s)
	var f Fault
	if err == nil {
		var d net.Dialer
		f, err = Open(s, d.DialContext)
	}
	if err != nil {
		return errors.Join(err, p.Send("error", Failure{err.Error()}))
	}
	defer f.Close()
	k := &keeper{pipe: p, fault: f}
	if err := k.keep(ctx, s.Lease.D()); err != nil {
		return errors.Join(err, p.Send("error", Failure{err.Error()}))
	}
	return nil
}

// keeper holds one fault in force.
type keeper struct {
	pipe   *drills.Pipe
	fault  Fault
	last   Beat
	writer sync.WaitGroup
}

// keep watches the stream from before the deed on: a deed that takes long is given up half-way, and what it did is undone.
func (k *keeper) keep(ctx context.Context, lease time.Duration) error {
	live, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	why := make(chan string, 1)
	watch.Go(func() {
		defer cancel()
		why <- k.pipe.Watch(live, lease, nil)
	})
	a := Applied{From: drills.Monotonic()}
	err := k.fault.Begin(live)
	a.To = drills.Monotonic()
	if err == nil {
		k.beats(live, a)
	}
	cancel()
	done, endErr := k.end(context.WithoutCancel(ctx))
	done.Why = <-why
	k.writer.Wait() // what it has to say comes before the last word
	if err = errors.Join(err, endErr); err != nil {
		return err
	}
	return k.pipe.Send("done", done)
}

// beats tells that the deed is done and reports until the fault has to end. Writing has a goroutine of its own, so that a reader who does not read holds up the
// beats and never the undo.
func (k *keeper) beats(ctx context.Context, a Applied) {
	out := make(chan Beat, 1)
	k.writer.Go(func() {
		if k.pipe.Send("ready", a) != nil {
			return // nobody is there: the end of the stream will tell
		}
		for b := range out {
			if k.pipe.Send("beat", b) != nil {
				return
			}
		}
	})
	defer close(out)
	for {
		if b, err := k.read(ctx); err == nil {
			k.last = b
		}
		select {
		case out <- k.last: // also when the store did not answer: it tells that we are alive
		default: // the reader is behind: the next one tells more
		}
		if !drills.Wait(ctx, beatEvery) {
			return
		}
	}
}

func (k *keeper) read(ctx context.Context) (Beat, error) {
	ctx, cancel := context.WithTimeout(ctx, beatLimit)
	defer cancel()
	return k.fault.Beat(ctx)
}

// end undoes, again and again while that fails: nobody else may be there to do it.
func (k *keeper) end(ctx context.Context) (Done, error) {
	ctx, cancel := context.WithTimeout(ctx, endLimit)
	defer cancel()
	d := Done{Beat: k.last, From: drills.Monotonic()}
	var err error
	for range endTries {
		if d.Skipped, err = k.fault.End(ctx); err == nil || !drills.Wait(ctx, endPause) {
			break
		}
	}
	d.To = drills.Monotonic()
	if err != nil {
		err = fmt.Errorf("the fault could not be undone: %w", err)
	}
	return d, err
}
