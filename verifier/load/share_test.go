package load

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// TestMain lets this binary be the process of a share, as simulacro is: spawnSelf runs it again.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "_agent" && os.Args[2] == "ws-share" {
		if err := ShareMain(context.Background(), os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// Several processes count what one would have counted, and all end with their parent's word.
func TestSharesInProcessesOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := newTarget(t, func(s *target) { s.twice, s.lose = 5, 2 })
	a := argsFor(90, s)
	a.Shares = 3
	g := startAgent(t, a)
	var r Readiness
	g.until("ready", &r)
	if r.Connected != 90 {
		t.Errorf("%d connected", r.Connected)
	}
	s.waitPublished(t, 5)
	m := g.stop()
	n := int64(m.Published - m.PublishFail)
	if m.Engine != "epoll loop, 3 processes" || m.Connected != 90 || m.Expected != 90*n || m.Received != 88*n || m.Duplicated != 5*n {
		t.Errorf("%d published: %+v", n, m)
	}
	if m.P50 <= 0 || m.P50 > m.P99 || m.Arrived.P50 <= 0 || m.RSSBytes < 3*m.MemoryBytes/4 || m.CPU == 0 || s.logins.Load() != 4 {
		t.Errorf("figures that cannot be: %+v, %d logins", m, s.logins.Load())
	}
}

// A share whose process is killed is said, and held against the generator.
func TestAShareThatDies(t *testing.T) {
	t.Parallel()
	s := newTarget(t, nil)
	a := argsFor(40, s)
	a.Shares = 2
	var victim atomic.Pointer[exec.Cmd]
	g, err := newGenerator(t.Context(), a, func() (*child, error) {
		cmd := exec.Command("/proc/self/exe", "_agent", "ws-share")
		in, _ := cmd.StdinPipe()
		out, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		victim.Store(cmd)
		return &child{in: in, out: out, wait: cmd.Wait}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	go func() { _, _ = io.Copy(io.Discard, outR) }()
	ended := make(chan error, 1)
	go func() { ended <- g.run(t.Context(), drills.NewPipe(inR, outW)) }()
	waitFor(t, "all connected", func() bool { open, _, _ := g.account.held(); return open == 40 })
	if err := victim.Load().Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the loss of one to be known", func() bool { open, _, _ := g.account.held(); return open == 20 })
	_ = inW.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	m := g.measured(memory{})
	if !strings.Contains(m.Saturated, "1 of its processes ended") || !strings.Contains(m.DialErrors[0].Text, "a part of it ended") {
		t.Errorf("%q, %+v", m.Saturated, m.DialErrors)
	}
}

// A process whose parent has gone ends its connections.
func TestAShareEndsWithItsInput(t *testing.T) {
	t.Parallel()
	s := newTarget(t, nil)
	e := &elsewhere{spawn: spawnSelf, spec: shareSpec{Args: argsFor(10, s), Count: 10, Marker: "m:"}}
	c, err := spawnSelf()
	if err != nil {
		t.Fatal(err)
	}
	pipe := drills.NewPipe(c.out, c.in)
	if err := pipe.Send("spec", e.spec); err != nil {
		t.Fatal(err)
	}
	open := func() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.conns) }
	waitFor(t, "connections", func() bool { return open() == 10 })
	_ = c.in.Close()
	waitFor(t, "their end", func() bool { return open() == 0 })
	for err == nil {
		_, err = pipe.Recv()
	}
	if err := c.wait(); err != nil && !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

// wss:// and compression go through the library, chosen by itself, and count the same.
func TestTLSAndCompression(t *testing.T) {
	t.Parallel()
	for name, secure := range map[string]bool{"TLS and compression": true, "compression alone": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTarget(t, func(s *target) { s.secure, s.deflate, s.lose = secure, true, 1 })
			a := argsFor(20, s)
			a.Compress = true
			plain := newTarget(t, nil) // gives the token: the generator's own requests know no private CA
			a.Login.URL, a.Publish.URL = plain.URL+"/auth/login", s.URL+"/publish"
			if secure {
				a.TLS = &drills.TLS{CA: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})), ServerName: "example.com"}
			}
			g, err := newGenerator(t.Context(), a, nil)
			if err != nil {
				t.Fatal(err)
			}
			g.client.Transport = s.Client().Transport
			inR, inW := io.Pipe()
			outR, outW := io.Pipe()
			go func() { _, _ = io.Copy(io.Discard, outR) }()
			ended := make(chan error, 1)
			go func() { ended <- g.run(t.Context(), drills.NewPipe(inR, outW)) }()
			s.waitPublished(t, 5)
			_ = inW.Close()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			m := g.measured(memory{})
			n := int64(m.Published - m.PublishFail)
			if m.Engine != "goroutine per connection (gobwas/ws)" || m.Connected != 20 || m.Received != 19*n || m.Expected != 20*n || n < 4 {
				t.Errorf("%d published: %+v", n, m)
			}
		})
	}
}

func TestStormAllComeBack(t *testing.T) { eachEngine(t, stormAllComeBack) }

func stormAllComeBack(t *testing.T, engine string) {
	s := newTarget(t, nil)
	a := argsFor(200, s).with(engine)
	a.Storm = drills.Duration(300 * time.Millisecond)
	g := startAgent(t, a)
	g.until("ready", nil)
	waitFor(t, "all to come back", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.shakes >= 400 && len(s.conns) == 200 })
	m := g.stop()
	if m.Cut != 200 || m.Reconnects != 200 || m.Drops != 0 || len(m.Storms) != 1 || m.Connected != 200 {
		t.Fatalf("%+v", m)
	}
	if x := m.Storms[0]; x.Level != 200 || x.Lowest > 100 || x.Back50 <= 0 || x.Back50 > x.Back95 || x.Back95 > x.Back100 || x.Rate <= 0 || x.Failed != 0 {
		t.Errorf("%+v", x)
	}
	if m.Received > m.Expected {
		t.Errorf("received %d of %d", m.Received, m.Expected)
	}
}
