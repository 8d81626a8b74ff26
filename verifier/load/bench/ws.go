package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier/load"
)

// wsRun is one measurement of one client.
type wsRun struct {
	connections int
	servers     int
	hz          float64       // broadcasts a second
	length      time.Duration // of broadcasting
	storm       time.Duration // so long after the ramp all are cut; zero: never
	own         string        // engine of ours; empty: its choice
}

// wsFigures is what came of it.
type wsFigures struct {
	open, failed, drops int
	ramp                time.Duration
	connect             float64  // µs of processor time for each connection, start of the process included
	idle, busy          resident // before and after broadcasts
	message             float64  // µs of processor time for each message
	sent, received      int64    // frames that the servers wrote; that the client saw
	expected            int64    // ours: that it was promised
	from, until         time.Time
	rate                float64 // messages a second, in the seconds that were whole
	processes           int
	storms              []drills.LoadStorm
	saturated           string
	p99                 time.Duration // of what the client itself added, from the kernel's stamp on; ours only
}

// each is KiB for each connection.
func (f *wsFigures) each(bytes int64) float64 { return float64(bytes) / 1024 / float64(max(f.open, 1)) }

// settle is how long a client is left alone before its memory is read.
const settle = 1500 * time.Millisecond

// client is a process that holds connections, ours or another's.
type client interface {
	pid() int
	ready() (open, failed int, err error) // waits until all were tried
	publishes() bool                      // by itself; its result then says what it saw
	state() (received int64, err error)
	stop() (*drills.LoadMeasured, error)
}

// wsMeasure runs one client from nothing to its figures.
func (e env) wsMeasure(ctx context.Context, r wsRun, start func(*stage) (client, error)) (f wsFigures, err error) {
	s, err := e.newStage(ctx, r.servers)
	if err != nil {
		return f, err
	}
	defer s.close()
	began := time.Now()
	c, err := start(s)
	if err != nil {
		return f, err
	}
	stopped := false
	defer func() {
		if !stopped {
			_, _ = c.stop()
		}
	}()
	if f.open, f.failed, err = c.ready(); err != nil {
		return f, err
	}
	f.ramp = time.Since(began)
	who := familyOf(c.pid())
	ramped := who.cpu()
	f.processes = len(who)
	f.connect = ramped.Seconds() * 1e6 / float64(r.connections)
	if err := rest(ctx, settle); err != nil {
		return f, err
	}
	f.idle = who.memory()
	if err := e.wsBroadcast(ctx, r, s, c, who, &f); err != nil {
		return f, err
	}
	f.busy = who.memory()
	m, err := c.stop()
	stopped = true
	if err != nil {
		return f, err
	}
	if m != nil {
		f.open, f.failed, f.drops, f.received = m.Connected, m.FailedDials, m.Drops, m.Received
		f.expected, f.storms, f.saturated, f.p99 = m.Expected, m.Storms, m.Saturated, m.Reading.P99.D()
		f.rate = sustained(m.Series, f.from, f.until)
	}
	return f, nil
}

// wsBroadcast lets broadcasts pass for a while and reads what they cost.
func (e env) wsBroadcast(ctx context.Context, r wsRun, s *stage, c client, who family, f *wsFigures) error {
	before, start := who.cpu(), time.Now()
	s.passing.Store(true)
	n := 0
	err := every(ctx, time.Duration(float64(time.Second)/r.hz), r.length, func() error {
		if n++; c.publishes() {
			return nil
		}
		return s.broadcast(fmt.Sprintf("simulacro:bench:%d:%d:%s", n, time.Now().UnixNano(), strings.Repeat("x", 90)))
	})
	s.passing.Store(false)
	if err != nil {
		return err
	}
	written, err := s.count()
	if err != nil {
		return err
	}
	if f.received, err = arrived(ctx, c, written.Wrote); err != nil {
		return err
	}
	f.rate = float64(f.received) / max(r.length, time.Since(start)).Seconds()
	if err := rest(ctx, settle); err != nil {
		return err
	}
	if written, err = s.count(); err != nil {
		return err
	}
	f.from, f.until = start, start.Add(r.length)
	f.sent = written.Wrote + written.Gone
	f.message = (who.cpu() - before).Seconds() * 1e6 / float64(max(written.Wrote, 1))
	return nil
}

// arrives is how long what was sent may take to be there.
const arrives = 10 * time.Second

// arrived waits until the client has seen what the servers wrote, at most for a while. Ours says it at the end.
func arrived(ctx context.Context, c client, wrote int64) (int64, error) {
	for until := time.Now().Add(arrives); !c.publishes(); {
		got, err := c.state()
		if err != nil || got >= wrote || time.Now().After(until) {
			return got, err
		}
		if err := rest(ctx, 20*time.Millisecond); err != nil {
			return got, err
		}
	}
	return 0, nil
}

// sustained is what arrived a second, over the whole seconds between two instants.
func sustained(points []drills.LoadPoint, from, until time.Time) float64 {
	var sum int64
	n := 0
	for _, p := range points {
		if p.At.After(from.Add(time.Second)) && p.At.Before(until) {
			sum += p.Received
			n++
		}
	}
	return float64(sum) / float64(max(n, 1))
}

// other is a client of another library.
type other struct{ p *process }

func (e env) rival(ctx context.Context, name string, r wsRun) func(*stage) (client, error) {
	return func(s *stage) (client, error) {
		p, err := e.start(ctx, name, rivalSpec{s.addresses, r.connections})
		return other{p}, err
	}
}

func (other) publishes() bool { return false }

func (o other) pid() int { return o.p.cmd.Process.Pid }

func (o other) ready() (int, int, error) {
	var s rivalState
	err := o.p.answer(&s)
	return int(s.Open), int(s.Failed), err
}

func (o other) state() (int64, error) {
	if _, err := o.p.in.Write([]byte("\n")); err != nil {
		return 0, err
	}
	var s rivalState
	err := o.p.answer(&s)
	return s.Received, err
}

func (o other) stop() (*drills.LoadMeasured, error) {
	_, err := o.p.stop()
	return nil, err
}

// product is our generator: the program's own agent, as a drill starts it.
type product struct{ *agent }

func (e env) product(ctx context.Context, r wsRun) func(*stage) (client, error) {
	return func(s *stage) (client, error) {
		a, err := e.agent(ctx, "ws-load", load.Args{
			Connections: r.connections, Targets: s.addresses, Path: "/", Engine: r.own, Storm: drills.Duration(r.storm),
			Publish: &load.Publish{URL: s.publish, Rate: r.hz, Size: 128},
		})
		return product{a}, err
	}
}

func (product) publishes() bool { return true }

func (p product) pid() int { return p.cmd.Process.Pid }

func (p product) ready() (int, int, error) {
	r, err := p.awaitReady()
	return r.Connected, r.Wanted - r.Connected, err
}

func (product) state() (int64, error) { return 0, nil }

func (p product) stop() (*drills.LoadMeasured, error) {
	m, _, err := p.end()
	return m, err
}
