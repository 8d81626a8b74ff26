package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// shareSpec is what a process that holds a share is told.
type shareSpec struct {
	Args   Args         `json:"args"`
	First  int          `json:"first"`
	Count  int          `json:"count"`
	Source []netip.Addr `json:"sources,omitempty"`
	Marker string       `json:"marker"`
}

// shareLease: a process that hears nothing from its parent for so long gives up its connections.
const shareLease = 10 * time.Second

// ShareMain is the agent ws-share: one process of a load that needs several. It reads shareSpec, sends "tally" frames and a
// last one "done", and ends with its input, a "stop" or its lease. "cut" resets all its connections.
func ShareMain(ctx context.Context, in io.Reader, out io.Writer) error {
	pipe := drills.NewPipe(in, out)
	var s shareSpec
	if err := pipe.Spec(&s); err != nil {
		return err
	}
	raiseFiles()
	lean(s.Args)
	secure, err := s.Args.TLS.Config()
	if err != nil {
		return err
	}
	client := newClient()
	defer client.CloseIdleConnections()
	e := engineFor(s.Args)
	p := plan{Args: s.Args, first: s.First, count: s.Count, sources: s.Source, secure: secure, tokens: &session{client: client, login: s.Args.Login}}
	until, stop := whileWanted(ctx, pipe, shareLease, func(f drills.Frame) {
		if f.Type == "cut" {
			e.cut()
		}
	})
	defer stop()
	busy := newBusy()
	h := &here{engine: e, plan: p, marker: s.Marker}
	err = h.run(until, func(t tally) {
		t.CPU, t.RSS, t.PSS, t.Busy = cpuTime(), rss(), pss(), busy.seconds()
		_ = pipe.Send("tally", t) // nobody reads any more: the end of the input will tell us to stop
	})
	stop()
	if err != nil {
		_ = pipe.Send("error", trouble{err.Error()})
		return err
	}
	return pipe.Send("done", nil)
}

// busy counts the seconds in which this process used up one core: its connections are served by one thread.
type busy struct {
	from time.Time
	cpu  time.Duration
	n    int
}

func newBusy() *busy { return &busy{from: time.Now(), cpu: cpuTime()} }

func (b *busy) seconds() int {
	now, used := time.Now(), cpuTime()
	if d := now.Sub(b.from); d >= time.Second {
		if (used - b.cpu).Seconds() > cpuLimit*d.Seconds() {
			b.n++
		}
		b.from, b.cpu = now, used
	}
	return b.n
}

// child is a process that holds a share.
type child struct {
	in   io.WriteCloser
	out  io.Reader
	wait func() error // ends it, if it has not ended by then
}

// spawn starts a process that holds a share; another one in tests.
type spawn func() (*child, error)

// elsewhere holds a share in a process of its own.
type elsewhere struct {
	spawn spawn
	spec  shareSpec

	mu   sync.Mutex
	pipe *drills.Pipe // nil while it does not run
}

func (e *elsewhere) cut() { e.send("cut", nil) }

func (e *elsewhere) send(kind string, data any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.pipe != nil {
		_ = e.pipe.Send(kind, data) // a process that is gone shows in what it sends
	}
}

func (e *elsewhere) run(ctx context.Context, put func(tally)) error {
	c, err := e.spawn()
	if err != nil {
		return fmt.Errorf("start a process for a share of the connections: %w", err)
	}
	pipe := drills.NewPipe(c.out, c.in)
	e.mu.Lock()
	e.pipe = pipe
	e.mu.Unlock()
	e.send("spec", e.spec)
	done := make(chan struct{})
	var renewal sync.WaitGroup
	renewal.Go(func() { e.renew(ctx, done) })
	err = listen(pipe, put)
	close(done)
	renewal.Wait()
	e.mu.Lock()
	e.pipe = nil
	e.mu.Unlock()
	_ = c.in.Close()
	return errors.Join(err, c.wait())
}

// renew keeps the process's lease alive until ctx ends, and then tells it to stop.
func (e *elsewhere) renew(ctx context.Context, done <-chan struct{}) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-done:
			return
		case <-ctx.Done():
			e.send("stop", nil)
			return
		case <-t.C:
			e.send("renew", nil)
		}
	}
}

// listen reads tallies until the process has said that it is done.
func listen(pipe *drills.Pipe, put func(tally)) error {
	for {
		f, err := pipe.Recv()
		if err != nil {
			return fmt.Errorf("it ended without its last word: %w", err)
		}
		switch f.Type {
		case "done":
			return nil
		case "error":
			var t trouble
			_ = json.Unmarshal(f.Data, &t)
			return errors.New(t.Text)
		case "tally":
			var t tally
			if err := json.Unmarshal(f.Data, &t); err != nil {
				return fmt.Errorf("its tally: %w", err)
			}
			put(t)
		}
	}
}

// shareExit is how long a process may take to end once it has said its last word.
const shareExit = 10 * time.Second

// spawnSelf starts this same binary.
func spawnSelf() (*child, error) {
	cmd := exec.Command("/proc/self/exe", "_agent", "ws-share")
	cmd.Args[0], cmd.Stderr = os.Args[0], os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &child{in: in, out: out, wait: func() error {
		kill := time.AfterFunc(shareExit, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		return cmd.Wait()
	}}, nil
}

// newClient asks for tokens and publishes.
func newClient() *http.Client {
	return &http.Client{Transport: newTransport()}
}
