package load

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/drilltest"
)

// inProcess is a drills.Launcher that runs the agent as a goroutine.
type inProcess struct {
	main   func(context.Context, io.Reader, io.Writer) error
	agent  string // empty: ws-load
	places []drills.Place
	specs  []string
}

func (l *inProcess) Start(ctx context.Context, p drills.Place, argv []string) (drills.Stream, error) {
	if strings.Join(argv, " ") != "_agent "+cmp.Or(l.agent, "ws-load") {
		return nil, errors.New("no such agent")
	}
	l.places = append(l.places, p)
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	s := &stream{launcher: l, in: inW, out: drills.NewPipe(outR, nil), ended: make(chan struct{})}
	s.drop = func() { _ = inR.Close(); _ = outR.Close() }
	go func() {
		defer close(s.ended)
		_ = l.main(context.WithoutCancel(ctx), inR, outW)
		_ = outW.Close()
		_ = inR.Close() // as the kernel does for a process that ended
	}()
	return s, nil
}

type stream struct {
	launcher *inProcess
	mu       sync.Mutex
	in       *io.PipeWriter
	out      *drills.Pipe
	ended    chan struct{}
	drop     func()
}

func (s *stream) Send(f drills.Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Type == "spec" {
		s.launcher.specs = append(s.launcher.specs, string(f.Data))
	}
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = s.in.Write(append(b, '\n'))
	return err
}

func (s *stream) Recv() (drills.Frame, error) { return s.out.Recv() }

func (s *stream) Close(ctx context.Context) error {
	_ = s.in.Close()
	select {
	case <-s.ended:
	case <-ctx.Done():
	}
	s.drop()
	return nil
}

func changeFor(t *testing.T, id string, a Args) drills.Change {
	t.Helper()
	c := drills.Change{ID: id}
	var err error
	if c.Do, err = drills.NewOp("load.websocket", "abc", a); err != nil {
		t.Fatal(err)
	}
	c.Undo, _ = drills.NewOp("load.stop", "abc", nil)
	c.Do.ID, c.Undo.ID = id+".do", id+".undo"
	return c
}

func secrets(s string) (string, error) {
	switch {
	case strings.Contains(s, "${env:NONE}"):
		return "", errors.New("NONE is not set")
	case strings.Contains(s, "${env:PW}"):
		return strings.ReplaceAll(s, "${env:PW}", password), nil
	}
	return s, nil
}

func TestActuatorConforms(t *testing.T) {
	t.Parallel()
	a := argsFor(5, newTarget(t, nil))
	act := NewActuator(&inProcess{main: WebSocketMain}, nil, nil, zaptest.NewLogger(t))
	drilltest.Actuator(t, drilltest.ActuatorCase{Name: "load", Change: changeFor(t, "s.1", a), Actuator: act})
}

func TestLoadFromDoToResult(t *testing.T) {
	t.Parallel()
	s := newTarget(t, nil)
	a := argsFor(40, s)
	a.Network, a.Login.Password = "gad", "${env:PW}"
	l := &inProcess{main: WebSocketMain}
	act := NewActuator(l, nil, secrets, zaptest.NewLogger(t))
	c := changeFor(t, "s.1", a)
	e, err := act.Apply(t.Context(), c.Do)
	if err != nil || !e.Proven || string(e.Evidence) != `{"connected":40,"wanted":40}` || e.From.IsZero() || e.To.Before(e.From) {
		t.Fatalf("do: %+v %s, %v", e, e.Evidence, err)
	}
	if again, err := act.Apply(t.Context(), c.Do); err != nil || !again.From.Equal(e.From) || len(l.places) != 1 {
		t.Errorf("a second do: %+v, %v, %d generators", again, err, len(l.places))
	}
	if l.places[0] != (drills.Place{Kind: drills.PlaceNetwork, Network: "gad", Name: "ws-load"}) {
		t.Errorf("place %+v", l.places[0])
	}
	if !strings.Contains(l.specs[0], password) || strings.Contains(string(c.Do.Args), password) {
		t.Error("the password must be in the spec, and only there")
	}
	s.waitPublished(t, 3)
	u, err := act.Apply(t.Context(), c.Undo)
	var m drills.LoadMeasured
	if err != nil || !u.Proven || json.Unmarshal(u.Evidence, &m) != nil || m.Connected != 40 || m.Received != m.Expected || m.Received < 3*40 {
		t.Fatalf("undo: %+v, %v, %+v", u, err, m)
	}
	if u, err := act.Apply(t.Context(), c.Undo); err != nil || u.Skipped == "" || len(u.Evidence) > 0 {
		t.Errorf("a second undo: %+v, %v; its result would count twice", u, err)
	}
}

func TestDoThatCannotBegin(t *testing.T) {
	t.Parallel()
	s := newTarget(t, nil)
	quit := func(context.Context, io.Reader, io.Writer) error { return nil }
	deaf := func(_ context.Context, in io.Reader, _ io.Writer) error {
		_, err := io.Copy(io.Discard, in)
		return err
	}
	for _, c := range []struct {
		name   string
		main   func(context.Context, io.Reader, io.Writer) error
		change func(*Args)
		says   string
	}{
		{"a secret is missing", WebSocketMain, func(a *Args) { a.Login.Password = "${env:NONE}" }, "NONE is not set"},
		{"arguments", WebSocketMain, func(a *Args) { a.Path = "x" }, "slash"},
		{"the agent dies", quit, nil, "before it was ready"},
		{"the agent never answers", deaf, nil, "context deadline"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := argsFor(5, s)
			if c.change != nil {
				c.change(&a)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			act := NewActuator(&inProcess{main: c.main}, nil, secrets, nil)
			ch := changeFor(t, "s.1", a)
			if _, err := act.Apply(ctx, ch.Do); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("err = %v, want %q", err, c.says)
			}
			if on, err := act.Present(t.Context(), ch.Do); on || err != nil {
				t.Errorf("present = %t, %v: nothing may be left running", on, err)
			}
			if e, err := act.Apply(t.Context(), ch.Undo); err != nil || e.Skipped == "" {
				t.Errorf("undo: %+v, %v", e, err)
			}
		})
	}
}

// Nothing is held: the target is gone. The do reports that honestly instead of failing.
func TestNoConnectionIsNoProof(t *testing.T) {
	t.Parallel()
	s, gone := newTarget(t, nil), newTarget(t, nil)
	a := argsFor(5, s)
	a.Targets = []string{gone.addr()}
	gone.Server.Close()
	act := NewActuator(&inProcess{main: WebSocketMain}, nil, nil, nil)
	c := changeFor(t, "s.1", a)
	e, err := act.Apply(t.Context(), c.Do)
	if err != nil || e.Proven || e.From.IsZero() {
		t.Errorf("do: %+v, %v", e, err)
	}
	if _, err := act.Apply(t.Context(), c.Undo); err != nil {
		t.Error(err)
	}
}
