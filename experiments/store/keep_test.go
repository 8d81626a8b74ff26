package store

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// actor is a fault that does nothing, slowly where asked to, and remembers what it was told.
type actor struct {
	mu        sync.Mutex
	slow      time.Duration // of the deed
	failEnds  int           // undos that fail first
	failBegin error
	ended     int
}

func (*actor) Check(context.Context) (map[string]string, error) { return nil, nil }
func (*actor) Present(context.Context) (bool, error)            { return false, nil }
func (*actor) Close()                                           {}

func (a *actor) Begin(ctx context.Context) error {
	if a.slow > 0 && !drills.Wait(ctx, a.slow) {
		return context.Cause(ctx)
	}
	return a.failBegin
}

func (*actor) Beat(context.Context) (Beat, error) { return Beat{Proven: true}, nil }

func (a *actor) End(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if a.failEnds > 0 {
		a.failEnds--
		return "", errors.New("no way in")
	}
	a.ended++
	return "", nil
}

// TestKeep: whatever ends it, in the middle of the deed or later, the undo is done, once.
func TestKeep(t *testing.T) {
	for _, tt := range []struct {
		name  string
		actor *actor
		end   func(in *io.PipeWriter, cancel context.CancelFunc)
		why   string // of "done"; empty: "error"
	}{
		{"stop", &actor{}, func(in *io.PipeWriter, _ context.CancelFunc) { _, _ = in.Write([]byte(`{"type":"stop"}` + "\n")) }, "stop"},
		{"the stream ends", &actor{}, func(in *io.PipeWriter, _ context.CancelFunc) { _ = in.Close() }, "eof"},
		{"the lease ends", &actor{}, func(*io.PipeWriter, context.CancelFunc) {}, "lease"},
		{"the process is told to end", &actor{}, func(_ *io.PipeWriter, cancel context.CancelFunc) { cancel() }, "cancelled"},
		{"in the middle of the deed", &actor{slow: time.Hour}, func(in *io.PipeWriter, _ context.CancelFunc) { _ = in.Close() }, ""},
		{"the deed fails", &actor{failBegin: errors.New("refused")}, func(*io.PipeWriter, context.CancelFunc) {}, ""},
		{"the undo fails at first", &actor{failEnds: 3}, func(in *io.PipeWriter, _ context.CancelFunc) { _ = in.Close() }, "eof"},
		{"nobody reads", &actor{}, func(in *io.PipeWriter, _ context.CancelFunc) { _ = in.Close() }, "unread"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inR, inW := io.Pipe()
				outR, outW := io.Pipe()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				k := &keeper{pipe: drills.NewPipe(inR, outW), fault: tt.actor}
				kept := make(chan error, 1)
				go func() {
					err := k.keep(ctx, 5*time.Second)
					_ = inR.Close()
					_ = outW.Close()
					kept <- err
				}()
				var last drills.Frame
				read := make(chan struct{})
				go func() {
					defer close(read)
					if tt.why == "unread" {
						return
					}
					for p := drills.NewPipe(outR, nil); ; {
						f, err := p.Recv()
						if err != nil {
							return
						}
						last = f
					}
				}()
				time.Sleep(time.Second)
				tt.end(inW, cancel)
				time.Sleep(time.Minute)
				tt.actor.mu.Lock()
				ended := tt.actor.ended
				tt.actor.mu.Unlock()
				if ended != 1 {
					t.Errorf("undone %d times", ended)
				}
				_ = outR.Close() // whoever writes without a reader goes on
				err := <-kept
				<-read
				_ = inW.Close()
				var d Done
				_ = json.Unmarshal(last.Data, &d)
				switch {
				case tt.why == "unread":
				case tt.why == "" && err == nil:
					t.Error("no error")
				case tt.why != "" && (err != nil || last.Type != "done" || d.Why != tt.why || d.To < d.From):
					t.Errorf("%v, last frame %s %s", err, last.Type, last.Data)
				}
			})
		})
	}
}

// TestSpecsNeedAPlace: a spec that says not where, or has a parameter that nobody knows, is refused.
func TestSpecsNeedAPlace(t *testing.T) {
	for _, s := range []Spec{
		{Fault: RedisMemory},
		{Fault: PostgresLocks, Redis: &Redis{}},
		{Fault: "redis-melt", Redis: &Redis{}},
		{Fault: RedisMemory, Redis: &Redis{}, With: json.RawMessage(`{"shear":1}`)},
	} {
		if f, err := Open(s, nil); err == nil {
			t.Errorf("%+v: %T", s, f)
		}
	}
}

// TestExpanded: secrets come into the copy and never into the original.
func TestExpanded(t *testing.T) {
	s := Spec{Redis: &Redis{Password: "${env:P}"}, Postgres: &Postgres{DSN: "postgres://u:${env:P}@h/d"}}
	got, err := s.Expanded(func(string) (string, error) { return "x", nil })
	if err != nil || got.Redis.Password != "x" || got.Postgres.DSN != "x" || s.Redis.Password != "${env:P}" || s.Postgres.DSN != "postgres://u:${env:P}@h/d" {
		t.Errorf("%+v %+v %v", got, s, err)
	}
	if _, err := s.Expanded(func(string) (string, error) { return "", errors.New("no such secret") }); err == nil {
		t.Error("a missing secret is no error")
	}
}
