package verifier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

const (
	flushEvery  = 100 * time.Millisecond
	openAtMost  = 5 * time.Second // for logins and subscriptions before the first probe
	leadTime    = 20 * time.Millisecond
	everyUnset  = 50 * time.Millisecond
	timeoutLess = 250 * time.Millisecond
)

// ProbeMain is the probe agent: it reads its spec (a probeJob) from in, runs every probe of it on its own absolute
// schedule and writes "ready", then "samples" frames and at the end "done" to out. It ends, after the probes in flight
// have, at end of input, at a "stop" frame or with ctx.
func ProbeMain(ctx context.Context, in io.Reader, out io.Writer) error {
	pipe := drills.NewPipe(in, out)
	var job probeJob
	if err := pipe.Spec(&job); err != nil {
		return errors.Join(err, pipe.Send("error", trouble{Text: err.Error()}))
	}
	a, err := newProbeAgent(job, pipe)
	if err != nil {
		return errors.Join(err, pipe.Send("error", trouble{Text: err.Error()}))
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	failed := make(chan error, 1)
	running.Go(func() { failed <- a.run(ctx); cancel() })
	pipe.Watch(ctx, 0, nil)
	cancel()
	running.Wait()
	return <-failed
}

// probeAgent runs the probes of one place.
type probeAgent struct {
	job    probeJob
	pipe   *drills.Pipe
	checks []checker

	mu  sync.Mutex
	enc *encoder
}

func newProbeAgent(job probeJob, pipe *drills.Pipe) (*probeAgent, error) {
	a := &probeAgent{job: job, pipe: pipe, enc: newEncoder()}
	for i := range job.Probes {
		p := &a.job.Probes[i]
		withDefaults(&p.Spec)
		c, err := newChecker(p.Name, p.Spec)
		if err != nil {
			return nil, fmt.Errorf("probe %s: %w", p.Name, err)
		}
		a.checks = append(a.checks, c)
	}
	return a, nil
}

// withDefaults fills in period and timeout.
func withDefaults(s *drills.ProbeSpec) {
	if s.Every <= 0 {
		s.Every = drills.Duration(everyUnset)
	}
	if s.Timeout <= 0 {
		s.Timeout = drills.Duration(timeoutLess)
	}
}

// run probes until ctx is done. Keepers (logins, subscriptions) outlive the last probe in flight.
func (a *probeAgent) run(ctx context.Context) error {
	ready := realtime(ctx, a.job.Realtime)
	keepCtx, release := context.WithCancel(context.WithoutCancel(ctx))
	var keepers sync.WaitGroup
	defer keepers.Wait()
	defer release()
	a.open(ctx, keepCtx, &keepers)
	if err := a.pipe.Send("ready", ready); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var probes sync.WaitGroup
	defer probes.Wait()
	defer cancel()
	start := drills.Monotonic() + int64(leadTime)
	for i, c := range a.checks {
		s := a.job.Probes[i].Spec
		sch := &schedule{
			period: s.Every.D(), timeout: s.Timeout.D(), slow: s.Slow.D(),
			phase: start + rand.Int64N(int64(s.Every)), now: drills.Monotonic,
		} //nolint:gosec // a phase, not a secret
		a.probe(ctx, &probes, i, sch, c)
	}
	err := a.flushUntil(ctx, &probes)
	return errors.Join(err, a.pipe.Send("done", nil))
}

// probe starts one probe: its schedule and, where the spec asks for them, its bursts and its tripwire.
func (a *probeAgent) probe(ctx context.Context, probes *sync.WaitGroup, i int, sch *schedule, c checker) {
	spec := a.job.Probes[i].Spec
	saw, kick := func(Sample) {}, func() {}
	if spec.Burst > 0 {
		b := newBurst(sch, spec.Burst.D(), spec.Via == "sentinel")
		saw, kick = b.saw, b.kick
		probes.Go(func() { b.run(ctx, c, func(s Sample) { a.report(i, s) }) })
	}
	if w, ok := c.(wired); ok && spec.Tripwire {
		probes.Go(func() {
			tripwire{open: w.idle, now: sch.now}.run(ctx, func(s Sample) { kick(); a.report(i, s) })
		})
	}
	probes.Go(func() { sch.run(ctx, c, func(s Sample) { saw(s); a.report(i, s) }) })
}

// open starts the keepers and waits, for a bounded time, until each has made its first attempt.
func (a *probeAgent) open(ctx, keepCtx context.Context, keepers *sync.WaitGroup) {
	ctx, cancel := context.WithTimeout(ctx, openAtMost)
	defer cancel()
	var first sync.WaitGroup
	for _, c := range a.checks {
		k, ok := c.(keeper)
		if !ok {
			continue
		}
		first.Add(1)
		var once sync.Once
		keepers.Go(func() {
			opened := func() { once.Do(first.Done) }
			defer opened()
			k.keep(keepCtx, opened)
		})
	}
	all := make(chan struct{})
	keepers.Go(func() { first.Wait(); close(all) }) // every keeper calls opened at the latest when it ends
	select {
	case <-all:
	case <-ctx.Done():
	}
}

func (a *probeAgent) report(probe int, s Sample) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.enc.add(probe, s)
}

// flushUntil sends batches until ctx is done and the last probe has reported.
func (a *probeAgent) flushUntil(ctx context.Context, probes *sync.WaitGroup) error {
	for drills.Wait(ctx, flushEvery) {
		if err := a.flush(); err != nil {
			return err
		}
	}
	probes.Wait()
	return a.flush()
}

func (a *probeAgent) flush() error {
	a.mu.Lock()
	b := a.enc.take()
	a.mu.Unlock()
	if len(b.Rows) == 0 {
		return nil
	}
	return a.pipe.Send("samples", b)
}
