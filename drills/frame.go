package drills

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Monotonic reads CLOCK_MONOTONIC in nanoseconds. One kernel: comparable across processes and containers.
func Monotonic() int64 {
	var ts syscall.Timespec
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&ts)), 0)
	if errno != 0 {
		return 0
	}
	return ts.Nano()
}

// Clock maps CLOCK_MONOTONIC to wall time by one reading of both, so that a step of the wall clock during a
// run cannot bend a measured length.
type Clock struct {
	Mono int64
	Wall time.Time
}

// clockReadings is how often NewClock reads the clocks: between the two readings the process may be put aside for milliseconds.
const clockReadings = 5

// NewClock reads both clocks now: the wall clock between two readings of the monotonic one, of several attempts the closest.
func NewClock() Clock {
	var best Clock
	least := int64(math.MaxInt64)
	for range clockReadings {
		before := Monotonic()
		wall := time.Now().Round(0)
		after := Monotonic()
		if after-before < least {
			least, best = after-before, Clock{Mono: before + (after-before)/2, Wall: wall}
		}
	}
	return best
}

// Time is the wall time (UTC) of a monotonic stamp.
func (c Clock) Time(mono int64) time.Time {
	return c.Wall.Add(time.Duration(mono - c.Mono)).UTC()
}

// Pipe is an agent process's side of the frame protocol (see Frame): spec first, then results out, until end of stdin,
// a "stop" frame or the end of the lease.
type Pipe struct {
	in  *bufio.Reader
	mu  sync.Mutex
	out io.Writer
}

// NewPipe speaks frames over in and out.
func NewPipe(in io.Reader, out io.Writer) *Pipe {
	return &Pipe{in: bufio.NewReaderSize(in, 1<<16), out: out}
}

// Spec reads the first frame, which must be of type "spec", into v, refusing unknown fields.
func (p *Pipe) Spec(v any) error {
	f, err := p.Recv()
	if err != nil {
		return fmt.Errorf("read spec: %w", err)
	}
	if f.Type != "spec" {
		return fmt.Errorf("first frame is %q, want spec", f.Type)
	}
	return json.Unmarshal(f.Data, v)
}

// Recv reads one frame.
func (p *Pipe) Recv() (Frame, error) {
	var f Frame
	line, err := p.in.ReadBytes('\n')
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal(line, &f)
}

// Send stamps and writes one frame. Safe for concurrent use.
func (p *Pipe) Send(kind string, data any) error {
	f := Frame{Type: kind, Mono: Monotonic(), Wall: time.Now().UnixNano()}
	if data != nil {
		b, err := json.Marshal(data)
		if err != nil {
			return err
		}
		f.Data = b
	}
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err = p.out.Write(append(b, '\n'))
	return err
}

// Watch reads frames until the process should stop, handing all but "renew" and "stop" to handle (may be nil), and
// returns why: "eof", "stop", "lease" or "cancelled". A lease of zero never ends. The goroutine that reads ends with the
// stream: after "lease" or "cancelled" the process is expected to undo and exit.
func (p *Pipe) Watch(ctx context.Context, lease time.Duration, handle func(Frame)) string {
	frames := make(chan Frame)
	done := make(chan struct{})
	defer close(done)
	go p.pump(frames, done)
	var expired <-chan time.Time
	timer := time.NewTimer(max(lease, time.Nanosecond))
	defer timer.Stop()
	if lease > 0 {
		expired = timer.C
	}
	for {
		select {
		case <-ctx.Done():
			return "cancelled"
		case <-expired:
			return "lease"
		case f, ok := <-frames:
			if !ok {
				return "eof"
			}
			if lease > 0 {
				timer.Reset(lease)
			}
			switch {
			case f.Type == "stop":
				return "stop"
			case f.Type != "renew" && handle != nil:
				handle(f)
			}
		}
	}
}

func (p *Pipe) pump(frames chan<- Frame, done <-chan struct{}) {
	defer close(frames)
	for {
		f, err := p.Recv()
		if err != nil {
			return
		}
		select {
		case frames <- f:
		case <-done:
			return
		}
	}
}
