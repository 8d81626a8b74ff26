package verifier

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// breakerJob is the spec of a breaker agent: the instances of one place whose metrics it reads.
type breakerJob struct {
	Readers []breakerReader `json:"readers"`
}

// breakerRow is one reading on its way to the orchestrator.
type breakerRow struct {
	Reader int
	Sample Sample
}

// BreakerMain is the agent that reads the metrics of instances at an absolute schedule: spec in, "ready", "samples" frames
// and "done" out. It ends at end of input, at a "stop" frame or with ctx.
func BreakerMain(ctx context.Context, in io.Reader, out io.Writer) error {
	pipe := drills.NewPipe(in, out)
	var job breakerJob
	err := pipe.Spec(&job)
	for i := range job.Readers {
		err = errors.Join(err, job.Readers[i].open())
	}
	if err != nil {
		return errors.Join(err, pipe.Send("error", trouble{Text: err.Error()}))
	}
	a := &breakerAgent{job: job, pipe: pipe}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	failed := make(chan error, 1)
	running.Go(func() { failed <- a.run(ctx); cancel() })
	pipe.Watch(ctx, 0, nil)
	cancel()
	running.Wait()
	return <-failed
}

type breakerAgent struct {
	job  breakerJob
	pipe *drills.Pipe

	mu   sync.Mutex
	rows []breakerRow
}

func (a *breakerAgent) run(ctx context.Context) error {
	if err := a.pipe.Send("ready", readiness{}); err != nil {
		return err
	}
	var readers sync.WaitGroup
	start := drills.Monotonic() + int64(leadTime)
	for i := range a.job.Readers {
		r := &a.job.Readers[i]
		// Readers take turns, so that two of one instance's neighbours do not ask at once.
		phase := start + int64(i)*int64(r.Every)/int64(len(a.job.Readers))
		s := &schedule{period: r.Every.D(), timeout: r.Timeout.D(), phase: phase, now: drills.Monotonic}
		readers.Go(func() { s.run(ctx, r, func(v Sample) { a.add(i, v) }) })
	}
	err := a.flushUntil(ctx, &readers)
	return errors.Join(err, a.pipe.Send("done", nil))
}

func (a *breakerAgent) add(reader int, s Sample) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rows = append(a.rows, breakerRow{reader, s})
}

func (a *breakerAgent) flushUntil(ctx context.Context, readers *sync.WaitGroup) error {
	for drills.Wait(ctx, 2*flushEvery) {
		if err := a.flush(); err != nil {
			return err
		}
	}
	readers.Wait()
	return a.flush()
}

func (a *breakerAgent) flush() error {
	a.mu.Lock()
	rows := a.rows
	a.rows = nil
	a.mu.Unlock()
	if len(rows) == 0 {
		return nil
	}
	return a.pipe.Send("samples", rows)
}

// The reading of a breaker's metrics where the system file says nothing.
const (
	breakerEvery   = 100 * time.Millisecond
	breakerTimeout = time.Second
)
