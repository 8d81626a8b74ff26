package verifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

const (
	canaryEvery    = 20 * time.Millisecond
	canaryTimeout  = 500 * time.Millisecond
	httpEvery      = time.Second // an API is slower than a store, and may be rate limited
	httpTimeout    = 2 * time.Second
	proofWithin    = 15 * time.Second // for a purge to reach every replica
	orphanPurge    = 20 * time.Second // to clean up when the orchestrator is gone
	openCanary     = 15 * time.Second // all tries
	openTries      = 3
	convergeWithin = 30 * time.Second
)

// writer is a store as the stream of writes sees it.
type writer interface {
	checker
	open(context.Context) error
	keep(context.Context)
}

// reader is a store as reading back sees it.
type reader interface {
	standing(context.Context, MemberAddr) standing
	read(context.Context, MemberAddr, *Holding) error
}

// purger is a store as cleaning up sees it. anywhere is where the write stream's own address leads, for when nobody has
// named the members.
type purger interface {
	purge(ctx context.Context, primary MemberAddr) error
	left(context.Context, MemberAddr) (int, error)
	what() string
	anywhere(context.Context) (MemberAddr, error)
}

// historian is a store that can say when its present line of history branched off.
type historian interface {
	history(context.Context, MemberAddr) *walHistory
}

type store interface {
	writer
	reader
	purger
}

// CanaryMain is the canary agent: it reads its spec (a canaryJob) from in, writes numbered records at an absolute rate
// until told to halt, reads them back and purges them when told to (frames: canary_wire.go). When its input ends without
// a "stop" the orchestrator is gone: it purges what it wrote, if the canary is to be purged, and ends.
func CanaryMain(ctx context.Context, in io.Reader, out io.Writer) error {
	pipe := drills.NewPipe(in, out)
	var job canaryJob
	err := pipe.Spec(&job)
	var a *canaryAgent
	if err == nil {
		a, err = newCanaryAgent(job, pipe)
	}
	if err == nil {
		err = a.open(ctx)
	}
	if err != nil {
		return errors.Join(err, pipe.Send("error", trouble{Text: err.Error()}))
	}
	return a.run(ctx)
}

// receiver is a writer whose messages come back by themselves: what is published is stored nowhere.
type receiver interface {
	// arrivals are those since the last call.
	arrivals() arrivals
	// drain waits, for a bounded time, for what is still under way.
	drain(context.Context)
}

type canaryAgent struct {
	job    canaryJob
	pipe   *drills.Pipe
	writer writer
	store  store // nil where nothing is stored
	book   *book
	known  []MemberAddr // from the last command that named members

	mu  sync.Mutex
	enc *encoder
}

func newCanaryAgent(job canaryJob, pipe *drills.Pipe) (*canaryAgent, error) {
	withCanaryDefaults(&job.Spec)
	a := &canaryAgent{job: job, pipe: pipe, book: newBook(job.Run), enc: newEncoder()}
	var err error
	switch job.Spec.Kind {
	case "redis":
		a.store, err = newRedisStore(job.Spec, a.book)
	case "redis-stream":
		a.store, err = newStreamStore(job.Spec, a.book)
	case "http":
		a.store, err = newHTTPStore(job.Spec, a.book)
	case "postgres":
		a.store, err = newPGStore(job.Spec, a.book)
	case "redis-register":
		a.store, err = newRegisterStore(job.Spec, a.book, newRedisStore)
	case "postgres-register":
		a.store, err = newRegisterStore(job.Spec, a.book, newPGStore)
	case drills.PubSub:
		a.writer, err = newFanOut(job.Spec, a.book)
		return a, err
	default:
		err = fmt.Errorf("no canary of kind %q: want redis, redis-stream, redis-register, postgres, postgres-register, http or websocket", job.Spec.Kind)
	}
	a.writer = a.store
	return a, err
}

func withCanaryDefaults(s *drills.CanarySpec) {
	every, timeout := canaryEvery, canaryTimeout
	switch s.Kind {
	case "http":
		every, timeout = httpEvery, httpTimeout
	case drills.PubSub:
		every, timeout = fanOutEvery, httpTimeout
	}
	if s.Every <= 0 {
		s.Every = drills.Duration(every)
	}
	if s.Timeout <= 0 {
		s.Timeout = drills.Duration(timeout)
	}
	if s.Connection == "" {
		s.Connection = "persistent"
	}
	withHTTPDefaults(s)
	if s.IsRegister() && s.Registers <= 0 {
		s.Registers = registerCount
	}
	if s.IsRegister() && s.Clients <= 0 {
		s.Clients = registerClients
	}
	if s.Kind == drills.PubSub && s.Clients <= 0 {
		s.Clients = fanOutClients
	}
}

func (a *canaryAgent) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openCanary)
	defer cancel()
	err := a.writer.open(ctx)
	for try := 1; err != nil && try < openTries && drills.Wait(ctx, time.Second); try++ { // a server may be busy for a moment
		err = a.writer.open(ctx)
	}
	if err != nil {
		return fmt.Errorf("canary %s cannot write: %w", a.job.Name, err)
	}
	return nil
}

// run writes and obeys until stopped.
func (a *canaryAgent) run(ctx context.Context) error {
	ready := realtime(ctx, a.job.Realtime)
	if err := a.pipe.Send("ready", ready); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	halt := a.write(ctx)
	defer halt()
	commands := make(chan drills.Frame, 8)
	var worker sync.WaitGroup
	worker.Go(func() {
		for f := range commands {
			if err := a.obey(ctx, f, halt); err != nil {
				_ = a.pipe.Send("error", trouble{Text: err.Error()})
			}
		}
	})
	why := a.pipe.Watch(ctx, 0, func(f drills.Frame) { commands <- f })
	cancel()
	close(commands)
	worker.Wait()
	halt()
	if why != "stop" {
		a.orphaned(context.WithoutCancel(ctx))
	}
	return a.pipe.Send("done", nil)
}

// write starts the stream and returns what ends it: once it returns, every write has been reported.
func (a *canaryAgent) write(ctx context.Context) (halt func()) {
	ctx, stop := context.WithCancel(ctx)
	keepCtx, release := context.WithCancel(context.WithoutCancel(ctx))
	var wg, keeper sync.WaitGroup
	keeper.Go(func() { a.writer.keep(keepCtx) })
	s := a.job.Spec
	sch := &schedule{
		period: s.Every.D(), timeout: s.Timeout.D(), now: drills.Monotonic,
		phase: drills.Monotonic() + int64(leadTime) + rand.Int64N(int64(s.Every)),
	} //nolint:gosec // a phase, not a secret
	wg.Go(func() { sch.run(ctx, a.writer, a.report) })
	wg.Go(func() {
		for drills.Wait(ctx, flushEvery) {
			_ = a.flush()
		}
	})
	return sync.OnceFunc(func() {
		stop()
		wg.Wait()
		if r, ok := a.writer.(receiver); ok {
			r.drain(keepCtx)
		}
		release()
		keeper.Wait()
		_ = a.flush()
	})
}

func (a *canaryAgent) report(s Sample) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.book.position(s.Seq); s.Class == Good {
		s.Position = p
	}
	a.enc.add(0, s)
}

func (a *canaryAgent) flush() error {
	a.mu.Lock()
	b := a.enc.take()
	a.mu.Unlock()
	if len(b.Rows) > 0 {
		if err := a.pipe.Send("samples", b); err != nil {
			return err
		}
	}
	r, ok := a.writer.(receiver)
	if !ok {
		return nil
	}
	if got := r.arrivals(); len(got.Rows)+len(got.Links) > 0 {
		return a.pipe.Send("arrivals", got)
	}
	return nil
}

// obey carries out one command.
func (a *canaryAgent) obey(ctx context.Context, f drills.Frame, halt func()) error {
	halt() // reading back and purging are only sound once nothing is written any more
	if f.Type == "halt" {
		return a.pipe.Send("halted", nil)
	}
	var job readJob
	if err := json.Unmarshal(f.Data, &job); err != nil {
		return fmt.Errorf("command %s: %w", f.Type, err)
	}
	if a.store == nil {
		return fmt.Errorf("%s: this canary stores nothing", f.Type)
	}
	a.known = job.Members
	switch f.Type {
	case "read":
		return a.pipe.Send("holdings", a.readBack(ctx, job))
	case "purge":
		return a.pipe.Send("purged", a.purge(ctx, job))
	}
	return fmt.Errorf("no command %q", f.Type)
}

func (a *canaryAgent) readBack(ctx context.Context, job readJob) holdings {
	out := holdings{From: drills.Monotonic(), Members: make([]Holding, len(job.Members))}
	all := converge(ctx, job.Members, job.Within.D(), a.store.standing)
	lead, _ := leader(all)
	var wg sync.WaitGroup
	for i, m := range job.Members {
		out.Members[i] = headline(m, all[i], i == lead)
		if all[i].err != nil {
			continue
		}
		wg.Go(func() {
			if err := a.store.read(ctx, m, &out.Members[i]); err != nil {
				out.Members[i].Error, out.Members[i].Counts = clip("read back: "+err.Error()), false
			}
		})
	}
	wg.Wait()
	if h, ok := a.store.(historian); ok && lead >= 0 {
		out.History = h.history(ctx, job.Members[lead])
	}
	out.To = drills.Monotonic()
	return out
}
