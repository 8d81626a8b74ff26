package calibrate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier"
)

// nullBatch is what runs at the same time.
type nullBatch struct {
	every  time.Duration
	drills map[string]*nullDrill
}

func newNullBatch(every time.Duration, ds []*nullDrill) nullBatch {
	b := nullBatch{every: every, drills: map[string]*nullDrill{}}
	for _, d := range ds {
		b.drills[fmt.Sprintf(nullUserName, d.number)] = d
	}
	return b
}

// run drills a batch as the engine does: settle window, baseline, the drill itself, and then the judgement of what was measured.
// It returns the drills that are to be run again.
func (b nullBatch) run(ctx context.Context, cfg NullConfig, told *NullBatch) (again []*nullDrill, err error) {
	began, cpu := time.Now(), cpuTime()
	server, err := startNoisyProcess(ctx, cfg.Launcher, b.users(cfg.Seed))
	if err != nil {
		return nil, err
	}
	j := judging{files: &rawFiles{files: map[string]*bytes.Buffer{}}}
	live := &liveEdges{seen: map[string]bool{}}
	probes := verifier.NewProbes(verifier.ProbesConfig{
		Specs: b.specs(server.address), Launcher: cfg.Launcher, Samples: j.files, Run: "calibrate", Log: cfg.Log,
		Recovery: drills.Recovery{For: drills.Duration(cfg.For)},
	})
	if err := probes.Start(ctx, live.emit); err != nil {
		return nil, errors.Join(err, server.close(ctx))
	}
	j.steady, err = b.live(ctx, cfg, probes, live)
	var ferr, merr error
	j.events, ferr = probes.Finish(context.WithoutCancel(ctx), drills.Timing{Steady: j.steady})
	j.made, merr = server.finish()
	if err := errors.Join(err, ferr, merr, server.close(ctx), context.Cause(ctx)); err != nil {
		return nil, err
	}
	j.live = live.seen
	again, err = b.judge(cfg, told, j)
	told.CPU = (cpuTime() - cpu).Seconds() / time.Since(began).Seconds()
	return again, err
}

func (b nullBatch) users(seed uint64) noisySpec {
	out := noisySpec{Users: map[string]noisyCoin{}}
	for name, d := range b.drills {
		out.Users[name] = noisyCoin{Rate: d.result.Errors, Seed: seed, Drill: d.number}
	}
	return out
}

func (b nullBatch) specs(address string) map[string]drills.ProbeSpec {
	out := map[string]drills.ProbeSpec{}
	for name := range b.drills {
		out[name] = drills.ProbeSpec{
			Kind: "postgres", From: drills.From{Host: true}, DSN: noisyDSN(address, name), Every: drills.Duration(b.every), Timeout: drills.Duration(timeout),
		}
	}
	return out
}

// live is the time of the drill itself. It returns the settle window.
func (b nullBatch) live(ctx context.Context, cfg NullConfig, probes *verifier.Probes, live *liveEdges) (drills.Interval, error) {
	steady := drills.Interval{From: time.Now()}
	if !drills.Wait(ctx, cfg.Settle) {
		return steady, context.Cause(ctx)
	}
	steady.To = time.Now()
	if _, err := probes.Baseline(ctx, steady); err != nil {
		return steady, err
	}
	live.count()
	if !drills.Wait(ctx, time.Until(steady.To.Add(cfg.Length))) {
		return steady, context.Cause(ctx)
	}
	return steady, nil
}

// liveEdges are the probes that were called bad while the drill went on, after the baseline was known.
type liveEdges struct {
	mu    sync.Mutex
	after bool
	seen  map[string]bool
}

func (l *liveEdges) count() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.after = true
}

func (l *liveEdges) emit(e drills.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.after && e.Edge != nil && !e.Edge.Good {
		l.seen[e.Edge.Probe] = true
	}
}

// rawFiles keeps the raw files of a batch in memory: they are judged a second time, with an outage made in them.
type rawFiles struct {
	mu    sync.Mutex
	files map[string]*bytes.Buffer
}

func (r *rawFiles) Create(name string) (io.WriteCloser, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := &bytes.Buffer{}
	r.files[name] = b
	return discard{b}, nil
}

func (r *rawFiles) Digest(string) (string, error) { return "", nil }

// take gives a file away.
func (r *rawFiles) take(name string) io.Reader {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.files[name]
	delete(r.files, name)
	if b == nil {
		return bytes.NewReader(nil)
	}
	return b
}

// judge adds a batch to its results and returns the drills that are to be run again.
func (b nullBatch) judge(cfg NullConfig, told *NullBatch, j judging) ([]*nullDrill, error) {
	told.Due = int((cfg.Settle+cfg.Length)/b.every) * len(b.drills)
	if err := b.measured(j.events); err != nil {
		return nil, err
	}
	var again []*nullDrill
	for _, e := range j.events {
		if e.Probe == nil || b.drills[e.Probe.Name] == nil {
			continue
		}
		d := b.drills[e.Probe.Name]
		n, err := d.judge(cfg, e.Probe, j)
		if err != nil {
			return nil, err
		}
		d.tries++
		told.Late, told.Sent = max(told.Late, e.Probe.Late), told.Sent+total(e.Probe.Count)
		count(&told.Disturbed, n.disturbed != "")
		count(&told.Alarms, n.disturbed == "" && n.alarm() != "")
		if n.disturbed != "" && d.tries < nullTries {
			again = append(again, d)
		}
	}
	return again, nil
}

// measured tells why nothing at all was measured.
func (b nullBatch) measured(events []drills.Event) error {
	broken := map[string]int{}
	for _, e := range events {
		if e.Probe != nil {
			broken[e.Probe.Error]++
		}
	}
	for why, n := range broken {
		if why != "" && n == len(b.drills) {
			return drills.Errorf(drills.Internal, "fewer at the same time: --parallel", "none of the %d drills was measured: %s", n, why)
		}
	}
	return nil
}

func total(c drills.Classes) int { return c.Good + c.Bad() + c.Ours() }
