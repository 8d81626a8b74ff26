package main

import (
	"context"
	"fmt"
	"time"
)

func wsGoals() []goal {
	return []goal{
		{"ws-cost", "WebSocket: memory and processor time of 10,000 connections", "at most 1.5 KiB of client memory per connection, 45 µs of CPU per connect, 6.5 µs per message, nothing lost", wsCost},
		{"ws-rate", "WebSocket: messages a second to 10,000 connections", "at least 90,000 messages a second, every one delivered", wsRate},
		{"ws-20k", "WebSocket: 20,000 connections", "0 failures, 0 lost frames, at most 48 MiB of client memory in all", wsHold(20_000, 2, 1)},
		{"ws-50k", "WebSocket: 50,000 connections", "0 failures, 0 lost frames, at most 48 MiB of client memory in all", wsHold(50_000, 3, 0.5)},
		{"ws-storm", "WebSocket: 10,000 connections are cut at once", "all come back; the time that takes is the figure", wsStorm},
	}
}

// wsContender is one client in a table.
type wsContender struct {
	name  string
	child string // of another library; empty: ours
	own   string // engine of ours
}

func wsContenders() []wsContender {
	return []wsContender{
		{name: "simulacro"},
		{name: "simulacro, library engine (TLS, compression)", own: "library"},
		{name: "gobwas/ws, a goroutine each", child: "ws-gobwas"},
		{name: "gorilla/websocket, tuned", child: "ws-gorilla-tuned"},
		{name: "gorilla/websocket", child: "ws-gorilla"},
	}
}

func (e env) wsAgainst(ctx context.Context, c wsContender, r wsRun) (wsFigures, error) {
	r.own = c.own
	start := e.product(ctx, r)
	if c.child != "" {
		start = e.rival(ctx, c.child, r)
	}
	f, err := e.wsMeasure(ctx, r, start)
	if err != nil {
		err = fmt.Errorf("%s: %w", c.name, err)
	}
	return f, err
}

// lost is what the servers wrote and the client did not see, or was promised and did not get.
func (f *wsFigures) lost() int64 {
	return max(f.sent-f.received, f.expected-f.received)
}

const mib = 1 << 20

func wsCost(ctx context.Context, e env, t *table) error {
	r := wsRun{connections: 10_000, servers: 1, hz: 4, length: 10 * time.Second}
	if e.short {
		r.connections, r.length = 1000, 2*time.Second
	}
	t.columns = []string{"client", "open", "failed", "CPU µs per connect", "KiB per connection, idle", "after messages", "after, with program text", "CPU µs per message", "delivered", "lost"}
	for _, c := range wsContenders() {
		f, err := e.wsAgainst(ctx, c, r)
		if err != nil {
			return err
		}
		if c.child == "" && c.own == "" {
			made := f.each(max(f.idle.made, f.busy.made))
			met := made <= 1.5 && f.connect <= 45 && f.message <= 6.5 && f.lost() == 0 && f.failed == 0
			t.judge(met, "%.2f KiB per connection (%.2f with the text of the whole program), %.1f µs per connect, %.2f µs per message, %d of %d lost, %d failed", made, f.each(f.busy.all()), f.connect, f.message, f.lost(), f.sent, f.failed)
			t.noteOwn(f)
		}
		t.row(c.name, f.open, f.failed, f.connect, f.each(f.idle.made), f.each(f.busy.made), f.each(f.busy.all()), f.message, f.received, f.lost())
	}
	t.note("All hold the same connections to the same server (one epoll thread, a write for each frame) and get the same %g broadcasts a second of 128 bytes. Ours is the program's own agent, with its bookkeeping of every frame and its publisher; the others only count.", r.hz)
	t.note("Memory is what the process has made: heap, stacks, tables of the runtime, and what no connection needs. Beside it stands the whole resident set, with the mapped text of the program, which the kernel shares between processes and can drop: ours is the whole of simulacro, the others' this bench. CPU per connect includes the start of the process.")
	return nil
}

func wsRate(ctx context.Context, e env, t *table) error {
	r := wsRun{connections: 10_000, servers: 1, hz: 10, length: 10 * time.Second}
	if e.short {
		r.connections, r.length = 1000, 3*time.Second
	}
	t.columns = []string{"client", "open", "messages a second", "delivered", "lost", "CPU µs per message", "p99 that the client adds"}
	for _, c := range wsContenders() {
		if e.short && c.child != "" && c.child != "ws-gobwas" {
			continue
		}
		f, err := e.wsAgainst(ctx, c, r)
		if err != nil {
			return err
		}
		adds := any("not known")
		if c.child == "" && c.own == "" {
			adds = f.p99
			t.judge(f.rate >= 90_000 && f.lost() == 0, "%.0f messages a second, %d of %d lost", f.rate, f.lost(), f.sent)
			t.noteOwn(f)
		}
		t.row(c.name, f.open, f.rate, f.received, f.lost(), f.message, adds)
	}
	t.note("10 broadcasts a second to every connection: what one server thread and one client can do on the cores that they share.")
	return nil
}

// wsHold opens more connections than one process may have, and holds them while broadcasts go out.
func wsHold(connections, servers int, hz float64) func(context.Context, env, *table) error {
	return func(ctx context.Context, e env, t *table) error {
		r := wsRun{connections: connections, servers: servers, hz: hz, length: 12 * time.Second}
		if e.short {
			r.length = 4 * time.Second
		}
		t.columns = []string{"client", "processes", "open", "failed", "dropped", "seconds to open", "connections a second", "CPU µs per connect", "frames", "lost", "client memory MiB", "of it made"}
		f, err := e.wsAgainst(ctx, wsContender{name: "simulacro"}, r)
		if err != nil {
			return err
		}
		made, memory := float64(f.busy.made)/mib, float64(f.busy.all())/mib
		met := f.open == connections && f.failed == 0 && f.drops == 0 && f.lost() == 0 && f.sent > 0 && memory <= 48
		t.judge(met, "%d held, %d failures, %d drops, %d of %d frames lost, %.1f MiB in %d processes", f.open, f.failed, f.drops, f.lost(), f.sent, memory, f.processes)
		t.noteOwn(f)
		t.row("simulacro", f.processes, f.open, f.failed, f.drops, f.ramp.Seconds(), float64(f.open)/f.ramp.Seconds(), f.connect, f.sent, f.lost(), memory, made)
		t.note("%d servers; a process may open %d files here, so clients and servers are several. The memory is the resident set of all client processes, with the program's text, pages that they share counted once.", servers, machine().files)
		return nil
	}
}

func wsStorm(ctx context.Context, e env, t *table) error {
	r := wsRun{connections: 10_000, servers: 1, hz: 1, length: 14 * time.Second, storm: 3 * time.Second}
	if e.short {
		r.connections, r.length = 2000, 8*time.Second
	}
	t.columns = []string{"client", "cut", "half back", "95 % back", "all back", "attempts that failed", "connections a second"}
	for _, c := range wsContenders()[:2] {
		f, err := e.wsAgainst(ctx, c, r)
		if err != nil {
			return err
		}
		if len(f.storms) == 0 {
			return fmt.Errorf("%s: no storm was seen", c.name)
		}
		s := f.storms[0]
		if c.own == "" {
			t.judge(s.Back100 > 0, "%d cut; half were back after %s, 95 %% after %s, all after %s", s.Level-s.Lowest, millis(s.Back50.D()), millis(s.Back95.D()), millis(s.Back100.D()))
			t.noteOwn(f)
		}
		t.row(c.name, s.Level-s.Lowest, s.Back50.D(), s.Back95.D(), s.Back100.D(), s.Failed, s.Rate)
	}
	t.note("The connections are reset by the client, all at once; each comes back by its backoff (100 ms and more, doubled, with full jitter), so that the time is the target's and the backoff's.")
	return nil
}

// noteOwn notes what our generator said of itself.
func (t *table) noteOwn(f wsFigures) {
	if f.saturated != "" {
		t.note("Our generator said of itself: %s.", f.saturated)
	}
}
