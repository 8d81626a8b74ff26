package compose

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/eevans-d/simulacro/drills"
)

// queueLimit is how many frames wait for a slow receiver before the process is made to wait.
const queueLimit = 4096

// lineLimit is the longest frame that is read.
const lineLimit = 16 << 20

// read takes frames from the process until its output ends.
func (s *stream) read() {
	defer close(s.ended)
	in := bufio.NewScanner(s.p.out)
	in.Buffer(make([]byte, 1<<16), lineLimit)
	for in.Scan() {
		var f drills.Frame
		if err := json.Unmarshal(in.Bytes(), &f); err != nil {
			s.frames.end(fmt.Errorf("process wrote what is no frame: %.200q", in.Text()))
			_, _ = io.Copy(io.Discard, s.p.out)
			return
		}
		s.frames.push(f)
	}
	s.frames.end(in.Err())
}

// frameQueue hands frames from the reader to Recv. It is bounded while the stream is in use; once the stream is closing it
// grows, so that a process is never kept from ending by an owner who does not listen any more.
type frameQueue struct {
	mu      sync.Mutex
	changed *sync.Cond
	frames  []drills.Frame
	limit   int
	err     error // after the last frame; nil while the process lives
}

func newFrameQueue() *frameQueue {
	q := &frameQueue{limit: queueLimit}
	q.changed = sync.NewCond(&q.mu)
	return q
}

func (q *frameQueue) push(f drills.Frame) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.limit > 0 && len(q.frames) >= q.limit {
		q.changed.Wait()
	}
	q.frames = append(q.frames, f)
	q.changed.Broadcast()
}

func (q *frameQueue) pop() (drills.Frame, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.frames) == 0 && q.err == nil {
		q.changed.Wait()
	}
	if len(q.frames) == 0 {
		return drills.Frame{}, q.err
	}
	f := q.frames[0]
	q.frames = q.frames[1:]
	q.changed.Broadcast()
	return f, nil
}

func (q *frameQueue) unbound() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.limit = 0
	q.changed.Broadcast()
}

// end makes Recv return err (io.EOF when nil) once the frames are gone.
func (q *frameQueue) end(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err == nil {
		err = io.EOF
	}
	q.err = err
	q.changed.Broadcast()
}
