package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// renewEvery is how often a stream renews its process's lease.
const renewEvery = time.Second

// process is the other end of a stream: how it is waited for and ended by force.
type process interface {
	// wait returns when the process has ended, or ctx's error.
	wait(ctx context.Context) error
	// kill ends it by force and removes what is left of it.
	kill(ctx context.Context) error
}

// pipe is the connection to a process: frames go to in; out gives its standard output and ends with it. hangUp closes
// its stdin, drop the whole connection.
type pipe struct {
	in     io.Writer
	out    io.Reader
	hangUp func() error
	drop   func() error
}

// stream is a running process of ours. Two goroutines belong to it, one that reads frames and one that renews the
// lease; Close waits for both.
type stream struct {
	p    pipe
	proc process

	mu   sync.Mutex                // one writer at a time
	sent atomic.Pointer[time.Time] // last frame that was written; to be read while a write hangs

	frames  *frameQueue
	stop    chan struct{} // closed by Close: no more renewals
	ended   chan struct{} // closed when the reader has ended
	renewed chan struct{} // closed when the renewer has ended
	once    sync.Once
	err     error
}

func newStream(p pipe, proc process) *stream {
	s := &stream{
		p: p, proc: proc, frames: newFrameQueue(),
		stop: make(chan struct{}), ended: make(chan struct{}), renewed: make(chan struct{}),
	}
	s.touch()
	go s.read()
	go s.renew()
	return s
}

// Send writes one frame, stamped unless it is already.
func (s *stream) Send(f drills.Frame) error {
	if f.Mono == 0 {
		f.Mono, f.Wall = drills.Monotonic(), time.Now().UnixNano()
	}
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.p.in.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("send %q: %w", f.Type, err)
	}
	s.touch()
	return nil
}

func (s *stream) touch() {
	now := time.Now()
	s.sent.Store(&now)
}

// lastSent is when the process's lease was last known to be renewed.
func (s *stream) lastSent() time.Time { return *s.sent.Load() }

// Recv returns the next frame; io.EOF after the last one.
func (s *stream) Recv() (drills.Frame, error) { return s.frames.pop() }

// Close closes the process's stdin and waits until it has ended; when ctx ends first, the process is killed. It is
// removed in any case. Frames that were sent before the end can still be received.
func (s *stream) Close(ctx context.Context) error {
	s.once.Do(func() { s.err = s.close(ctx) })
	return s.err
}

func (s *stream) close(ctx context.Context) error {
	close(s.stop)
	s.frames.unbound()
	s.unblock()
	_ = s.p.hangUp() // before the renewer is waited for: it may hang in a write to a process that does not read
	<-s.renewed
	err := s.proc.wait(ctx)
	kctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupLimit)
	defer cancel()
	if err != nil {
		err = fmt.Errorf("process had to be killed: %w", err)
	}
	if kerr := s.proc.kill(kctx); kerr != nil {
		err = kerr
	}
	s.awaitReader()
	_ = s.p.drop()
	<-s.ended
	return err
}

// unblock lets a write that hangs on a stuck engine fail soon, so that the renewer can be waited for.
func (s *stream) unblock() {
	if d, ok := s.p.in.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = d.SetWriteDeadline(time.Now().Add(renewEvery))
	}
}

// awaitReader gives the last frames, which are on their way when the process has ended, a moment to arrive.
func (s *stream) awaitReader() {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-s.ended:
	case <-t.C:
	}
}

func (s *stream) renew() {
	defer close(s.renewed)
	t := time.NewTicker(renewEvery)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.ended:
			return
		case <-t.C:
			_ = s.Send(drills.Frame{Type: "renew"}) // a process that is gone shows in Recv, a lease that ran out in lastSent
		}
	}
}
