package calibrate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier"
)

const (
	lossEvery   = time.Millisecond // between the canary's writes
	lossTimeout = 10 * time.Second // long enough that no stall of this host makes an acknowledged write one without an answer
	lossWithin  = time.Minute      // for one repetition
)

// LossConfig says which losses to count, how often, and with which seed. Launcher starts the canaries on this host.
type LossConfig struct {
	Launcher drills.Launcher
	Log      *zap.Logger
	Losses   []Loss
	Times    int // repetitions per loss
	Parallel int // canaries at the same time
	Seed     uint64
	Progress func(LossResult) // told of every result; may be nil
}

// LossResult is one loss over all its repetitions. True and Counted are sums; Exact counts the repetitions in which every
// single count was right, and PointHeld those in which the recovery point's interval held the true instant.
type LossResult struct {
	Loss      Loss            `json:"loss"`
	Times     int             `json:"times"`
	True      Counts          `json:"true"`
	Counted   Counts          `json:"counted"`
	Exact     int             `json:"exact"`
	PointHeld int             `json:"point_held"`
	Points    int             `json:"points"`    // repetitions with a recovery point: those in which the first write survived
	Width     drills.Duration `json:"width_p50"` // of the recovery point's interval
	Seed      uint64          `json:"seed"`
	Wrong     []string        `json:"wrong,omitempty"` // the first ones that were not right, with their seeds
	widths    []time.Duration
}

// LossCalibration is every loss that was counted, and when.
type LossCalibration struct {
	At      time.Time    `json:"at"`
	Results []LossResult `json:"results"`
}

// RunLosses lets the canary count every loss, one after the other.
func RunLosses(ctx context.Context, cfg LossConfig) ([]LossResult, error) {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	var out []LossResult
	for _, loss := range cfg.Losses {
		r, err := oneLoss(ctx, cfg, loss)
		if err != nil {
			return out, fmt.Errorf("%s: %w", loss, err)
		}
		out = append(out, r)
		if cfg.Progress != nil {
			cfg.Progress(r)
		}
	}
	return out, nil
}

// oneLoss repeats one loss, some canaries side by side.
func oneLoss(ctx context.Context, cfg LossConfig, loss Loss) (LossResult, error) {
	r := LossResult{Loss: loss, Seed: cfg.Seed}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var errs []error
	slots := make(chan struct{}, max(1, cfg.Parallel))
	for i := range cfg.Times {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			seed := cfg.Seed + uint64(i)
			truth, point, m, err := repetition(ctx, cfg, loss, seed)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("seed %d: %w", seed, err))
				return
			}
			r.add(truth, point, m, seed)
		})
		if ctx.Err() != nil {
			break
		}
	}
	wg.Wait()
	r.Width = drills.Duration(verifier.Quantile(r.widths, 0.5))
	return r, errors.Join(errors.Join(errs...), context.Cause(ctx))
}

// maxWrong bounds the repetitions that are told of.
const maxWrong = 5

// add compares what the canary counted with what was true.
func (r *LossResult) add(truth Counts, point drills.Interval, m drills.CanaryMeasured, seed uint64) {
	found := counted(m)
	r.Times++
	r.True.add(truth)
	r.Counted.add(found)
	count(&r.Exact, found == truth)
	if found != truth && len(r.Wrong) < maxWrong {
		r.Wrong = append(r.Wrong, fmt.Sprintf("seed %d: true %+v, counted %+v", seed, truth, found))
	}
	if point.IsZero() {
		return
	}
	r.Points++
	r.widths = append(r.widths, m.Point.To.Sub(m.Point.From))
	held := meet(m.Point, point)
	count(&r.PointHeld, held)
	if !held && len(r.Wrong) < maxWrong {
		r.Wrong = append(r.Wrong, fmt.Sprintf("seed %d: true point %v, measured %v", seed, point, m.Point))
	}
}

// repetition starts a store and a canary, ruins the store between the last write and the read-back, and returns what was
// true and what the canary measured.
func repetition(ctx context.Context, cfg LossConfig, loss Loss, seed uint64) (Counts, drills.Interval, drills.CanaryMeasured, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, lossWithin, errors.New("one repetition took longer than a minute"))
	defer cancel()
	var truth Counts
	var point drills.Span
	fail := func(err error) (Counts, drills.Interval, drills.CanaryMeasured, error) {
		return truth, drills.Interval{}, drills.CanaryMeasured{}, err
	}
	run := fmt.Sprintf("calibrate-%d", seed)
	p := newPlan(loss, seed, "simulacro:"+run+":")
	s, err := startStore(p.act)
	if err != nil {
		return fail(err)
	}
	defer s.close()
	raw := &memory{}
	var ruined sync.Once
	canary := verifier.NewCanary(verifier.CanaryConfig{
		Name: "losses", Run: run, Launcher: cfg.Launcher, Samples: raw, Log: cfg.Log,
		Spec: drills.CanarySpec{
			Kind: "redis", From: drills.From{Host: true}, Address: s.primary.addr(), Keys: "simulacro:{run}:*",
			Every: drills.Duration(lossEvery), Timeout: drills.Duration(lossTimeout),
		},
		// Asked for once writing has ended and before anything is read back.
		Members: func(context.Context) ([]verifier.MemberAddr, error) {
			ruined.Do(func() { truth, point = p.ruin(s) })
			return []verifier.MemberAddr{{Name: "primary", Address: s.primary.addr()}, {Name: "replica", Address: s.replica.addr()}}, nil
		},
	})
	if err := canary.Start(ctx, func(drills.Event) {}); err != nil {
		return fail(err)
	}
	waited := s.await(ctx, p.acks)
	read := canary.ReadBack(ctx, drills.Timing{})
	events, err := canary.Finish(context.WithoutCancel(ctx), drills.Timing{})
	if err := errors.Join(waited, read, err); err != nil {
		return fail(err)
	}
	i := slices.IndexFunc(events, func(e drills.Event) bool { return e.Canary != nil })
	if i < 0 || events[i].Canary.Error != "" {
		return fail(fmt.Errorf("the canary measured nothing: %+v", events))
	}
	at, err := raw.wall(point)
	if err != nil {
		return fail(err)
	}
	return truth, at, *events[i].Canary, nil
}

// memory keeps the canary's raw file: it says how the canary maps the monotonic clock to wall time, and the truth has to be
// mapped in the same way, since the wall clock may be slewed meanwhile.
type memory struct{ bytes.Buffer }

func (m *memory) Create(string) (io.WriteCloser, error) { return m, nil }
func (m *memory) Digest(string) (string, error)         { return "", nil }
func (m *memory) Close() error                          { return nil }

// wall maps a span of the monotonic clock; a zero one stays zero.
func (m *memory) wall(s drills.Span) (drills.Interval, error) {
	l, err := verifier.ReadLedger(&m.Buffer)
	if err != nil || s.Hi == 0 {
		return drills.Interval{}, err
	}
	c := drills.Clock{Mono: l.Meta.Mono, Wall: l.Meta.Wall}
	return drills.Interval{From: c.Time(int64(s.Lo)), To: c.Time(int64(s.Hi))}, nil
}

// await returns once so many writes have been acknowledged.
func (s *store) await(ctx context.Context, n int) error {
	for {
		s.mu.Lock()
		have, more := len(s.acked), s.changed
		s.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
