package compose

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/eevans-d/simulacro/drills"
)

// fakeProcess is the far end of a stream, in this process.
type fakeProcess struct {
	stdin  *io.PipeReader
	stdout *io.PipeWriter
	ended  chan struct{}
	killed bool
}

func (p *fakeProcess) wait(ctx context.Context) error {
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *fakeProcess) kill(context.Context) error {
	select {
	case <-p.ended:
	default:
		p.killed = true
		p.exit()
	}
	return nil
}

func (p *fakeProcess) exit() {
	_ = p.stdout.Close()
	_ = p.stdin.Close()
	close(p.ended)
}

func newFakeStream() (*stream, *fakeProcess) {
	ir, iw := io.Pipe()
	or, ow := io.Pipe()
	p := &fakeProcess{stdin: ir, stdout: ow, ended: make(chan struct{})}
	return newStream(pipe{in: iw, out: or, hangUp: iw.Close, drop: or.Close}, p), p
}

// obey reads frames until stdin ends, counts the renewals, writes a last frame and exits.
func (p *fakeProcess) obey(renewals *int) {
	for in := bufio.NewScanner(p.stdin); in.Scan(); {
		var f drills.Frame
		if json.Unmarshal(in.Bytes(), &f) == nil && f.Type == "renew" {
			*renewals++
		}
	}
	_, _ = p.stdout.Write([]byte(`{"type":"last"}` + "\n"))
	p.exit()
}

func TestStreamRenewsAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newFakeStream()
		var renewals int
		go p.obey(&renewals)
		time.Sleep(10*time.Second + 500*time.Millisecond)
		if idle := time.Since(s.lastSent()); idle > renewEvery {
			t.Errorf("nothing was sent for %v", idle)
		}
		if err := s.Close(t.Context()); err != nil || p.killed {
			t.Errorf("close: %v, killed %v", err, p.killed)
		}
		if renewals != 10 {
			t.Errorf("%d renewals in 10 s", renewals)
		}
		if f, err := s.Recv(); err != nil || f.Type != "last" {
			t.Errorf("last frame: %v %v", f, err)
		}
		if _, err := s.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("after the last frame: %v", err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Errorf("second close: %v", err)
		}
		if err := s.Send(drills.Frame{Type: "late"}); err == nil {
			t.Error("send after close: no error")
		}
	})
}

func TestStreamKillsWhatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newFakeStream()
		go func() {
			_, _ = io.Copy(io.Discard, p.stdin) // reads on, and does not end
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin := time.Now()
		if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || !p.killed {
			t.Errorf("close: %v, killed %v", err, p.killed)
		}
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestStreamMakesAChattyProcessWaitButNotAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newFakeStream()
		go func() { _, _ = io.Copy(io.Discard, p.stdin) }()
		const n = queueLimit + 1000
		written := 0
		go func() {
			for range n {
				if _, err := p.stdout.Write([]byte(`{"type":"x"}` + "\n")); err != nil {
					return
				}
				written++
			}
			p.exit()
		}()
		time.Sleep(time.Minute)
		synctest.Wait()
		if written >= n {
			t.Error("nobody listens and yet everything was taken")
		}
		if err := s.Close(t.Context()); err != nil || written != n {
			t.Errorf("close: %v after %d of %d frames", err, written, n)
		}
		for i := range n {
			if _, err := s.Recv(); err != nil {
				t.Fatalf("frame %d: %v", i, err)
			}
		}
	})
}

func TestStreamRefusesWhatIsNoFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newFakeStream()
		go func() {
			_, _ = p.stdout.Write([]byte(`{"type":"a"}` + "\npanic: at the disco\n"))
			p.exit()
		}()
		if f, err := s.Recv(); err != nil || f.Type != "a" {
			t.Errorf("%v %v", f, err)
		}
		if _, err := s.Recv(); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("what is no frame: %v", err)
		}
		_ = s.Close(t.Context())
	})
}

func TestLogWriterLogsLines(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	w := newLogWriter(zap.New(core))
	for _, s := range []string{"one\ntw", "o\n", "three"} {
		if n, err := w.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatal(n, err)
		}
	}
	w.flush()
	var got []string
	for _, e := range logs.All() {
		got = append(got, e.Message)
	}
	if len(got) != 3 || got[0] != "one" || got[1] != "two" || got[2] != "three" {
		t.Errorf("%q", got)
	}
}

// A client that stood still for longer than the lease must know that its guard has acted.
func TestGuardClientNoticesALostLease(t *testing.T) {
	for _, tc := range []struct {
		name string
		beat bool
		read bool
		want time.Duration
	}{
		{"alive", true, true, 0},
		{"guard stands still", false, true, beatsMissed * GuardLease},
		{"renewals do not get through", true, false, GuardLease},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := newFakeStream()
				g := &GuardClient{s: s, lastBeat: time.Now(), acks: make(chan idData, 1), freed: make(chan struct{}), lost: make(chan struct{}), quit: make(chan struct{})}
				g.ends.Add(2)
				go g.listen()
				go g.look()
				if tc.read {
					go func() { _, _ = io.Copy(io.Discard, p.stdin) }()
				}
				quit := make(chan struct{})
				go func() {
					for tc.beat && drills.Wait(t.Context(), time.Second) {
						select {
						case <-quit:
							return
						default:
							_, _ = p.stdout.Write([]byte(`{"type":"beat"}` + "\n"))
						}
					}
				}()
				begin := time.Now()
				select {
				case <-g.Lost():
					if took := time.Since(begin); tc.want == 0 || took < tc.want || took > tc.want+2*time.Second {
						t.Errorf("lost after %v: %v", took, g.Err())
					}
				case <-time.After(time.Minute):
					if tc.want != 0 {
						t.Error("not noticed within a minute")
					}
				}
				close(quit)
				_ = p.stdin.Close() // lets a write that hangs go
				dead, cancel := context.WithCancel(t.Context())
				cancel()
				_ = g.Abandon(dead)
				synctest.Wait()
			})
		})
	}
}
