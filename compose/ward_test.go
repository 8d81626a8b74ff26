package compose

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// ward is a guard under test: its stdin, and the frames it wrote.
type ward struct {
	t       *testing.T
	in      *io.PipeWriter
	out     *syncBuffer
	removed int
	cancel  context.CancelFunc
	ended   chan struct{}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

// newWard starts a guard over a fake engine. It must run in a synctest bubble.
func newWard(t *testing.T, f *fakeDocker, remove func(context.Context) ([]string, error)) *ward {
	t.Helper()
	r, in := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	w := &ward{t: t, in: in, out: &syncBuffer{}, cancel: cancel, ended: make(chan struct{})}
	g := &guard{
		pipe: drills.NewPipe(r, w.out), units: newUnits(f, noOffset, noCrash),
		spec: GuardSpec{Run: "r1", Project: "p", Lease: drills.Duration(GuardLease)},
		remove: func(ctx context.Context) ([]string, error) {
			w.removed++
			return remove(ctx)
		},
	}
	go func() {
		defer close(w.ended)
		if err := g.run(ctx); err != nil {
			t.Error(err)
		}
		_ = r.Close()
	}()
	t.Cleanup(func() { _ = in.Close(); cancel(); <-w.ended })
	return w
}

func nothing(context.Context) ([]string, error) { return nil, nil }

func (w *ward) send(kind string, data any) {
	w.t.Helper()
	b, err := json.Marshal(data)
	if err != nil {
		w.t.Fatal(err)
	}
	f, err := json.Marshal(drills.Frame{Type: kind, Data: b})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.in.Write(append(f, '\n')); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

// frames lists what the guard has written, without its beats.
func (w *ward) frames() []drills.Frame {
	w.out.mu.Lock()
	defer w.out.mu.Unlock()
	var out []drills.Frame
	for line := range bytes.Lines(w.out.b.Bytes()) {
		var f drills.Frame
		if err := json.Unmarshal(line, &f); err != nil {
			w.t.Fatal(err)
		}
		if f.Type != frameBeat {
			out = append(out, f)
		}
	}
	return out
}

func (w *ward) kinds() string {
	var out []string
	for _, f := range w.frames() {
		out = append(out, f.Type)
	}
	return strings.Join(out, " ")
}

// report waits for the guard's end and reads its report as the next start would.
func (w *ward) report() *GuardReport {
	w.t.Helper()
	<-w.ended
	r, err := parseReport(bytes.NewReader(w.out.b.Bytes()), owner{RunLabels: RunLabels{Run: "r1", System: "p"}})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// planned is a change as the faults plan it.
func planned(t *testing.T, do, undo, id string, started time.Time) drills.Change {
	t.Helper()
	return drills.Change{ID: do + id, Do: op(t, do, id, nil), Undo: op(t, undo, id, UnitArgs{StartedAt: started})}
}
