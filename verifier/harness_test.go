package verifier

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// inProcess is a Launcher that runs agents as goroutines of the test, over pipes.
type inProcess struct {
	t      *testing.T
	mu     sync.Mutex
	places []drills.Place
	kill   []context.CancelFunc
}

func (l *inProcess) Start(_ context.Context, p drills.Place, argv []string) (drills.Stream, error) {
	main := map[string]func(context.Context, io.Reader, io.Writer) error{"probe": ProbeMain, "canary": CanaryMain, "breakers": BreakerMain, "rates": RatesMain}[argv[1]]
	if main == nil {
		return nil, errors.New("no such agent")
	}
	ctx, cancel := context.WithCancel(context.Background())
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	s := &testStream{in: inW, dec: json.NewDecoder(outR), done: make(chan struct{}), outR: outR}
	go func() {
		defer close(s.done)
		s.err = main(ctx, inR, outW)
		_ = outW.Close()
		_ = inR.Close()
		cancel()
	}()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.places = append(l.places, p)
	l.kill = append(l.kill, func() { cancel(); _ = outR.CloseWithError(io.EOF) })
	l.t.Cleanup(cancel)
	return s, nil
}

type testStream struct {
	mu   sync.Mutex
	in   *io.PipeWriter
	outR *io.PipeReader
	dec  *json.Decoder
	done chan struct{}
	err  error
}

func (s *testStream) Send(f drills.Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, _ := json.Marshal(f)
	_, err := s.in.Write(append(b, '\n'))
	return err
}

func (s *testStream) Recv() (drills.Frame, error) {
	var f drills.Frame
	err := s.dec.Decode(&f)
	return f, err
}

func (s *testStream) Close(ctx context.Context) error {
	_ = s.in.Close()
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// memSamples is a drills.Samples in memory.
type memSamples struct {
	mu    sync.Mutex
	files map[string]*memFile
}

type memFile struct {
	mu     sync.Mutex
	b      bytes.Buffer
	closed bool
}

func (f *memFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, errors.New("write after close")
	}
	return f.b.Write(p)
}

func (f *memFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return nil
}

func newMemSamples() *memSamples { return &memSamples{files: map[string]*memFile{}} }

func (m *memSamples) Create(name string) (io.WriteCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := &memFile{}
	m.files[name] = f
	return f, nil
}

func (m *memSamples) Digest(name string) (string, error) {
	b := m.bytes(name)
	if b == nil {
		return "", errors.New("no file " + name)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

func (m *memSamples) bytes(name string) []byte {
	m.mu.Lock()
	f := m.files[name]
	m.mu.Unlock()
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		return nil
	}
	return bytes.Clone(f.b.Bytes())
}

// events collects what is emitted.
type events struct {
	mu  sync.Mutex
	all []drills.Event
}

func (e *events) emit(ev drills.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, ev)
}

func (e *events) edges(probe string) []drills.Edge {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []drills.Edge
	for _, ev := range e.all {
		if ev.Edge != nil && ev.Edge.Probe == probe {
			out = append(out, *ev.Edge)
		}
	}
	return out
}

// wait lets real time pass: the agents run against real sockets.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	if !drills.Wait(t.Context(), d) {
		t.Fatal("test ended while waiting")
	}
}

// eventually polls until ok holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		wait(t, 5*time.Millisecond)
	}
}
