package calibrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier"
)

const (
	warmUp   = 2 * time.Second // the baseline of every probe
	shortest = 2 * time.Second // an outage is this and up to a period more: a multiple of the period would flatter (MEASUREMENT 5)
	settle   = time.Second     // recovery.for of the probes
	between  = settle + 600*time.Millisecond
	timeout  = 250 * time.Millisecond
)

// Config says what to measure. Launcher starts the prober on this host.
type Config struct {
	Launcher drills.Launcher
	Log      *zap.Logger
	Faults   []Fault
	Every    []time.Duration // periods of the probes
	Outages  int             // per fault and period
	Parallel int             // servers, each with a probe of its own, at the same time
	Burst    time.Duration   // period of bursts, for rows of their own with a tripwire as well; 0: no such rows
	Sharp    []Fault         // the faults of those rows
	Progress func(Result)    // told of every result; may be nil
}

// Calibration is what was measured, where and when. Each command measures one part and leaves the others as they were.
type Calibration struct {
	Schema  string            `json:"schema"`
	At      time.Time         `json:"at"`
	Host    map[string]string `json:"host"`
	Results []Result          `json:"results"`
	Losses  *LossCalibration  `json:"losses,omitempty"` // nil: the counting of losses was not checked
	Nulls   *NullCalibration  `json:"nulls,omitempty"`  // nil: no null drills were run
	Cost    *CostCalibration  `json:"cost,omitempty"`   // nil: the cost of probes was not measured
	Goals   []Goal            `json:"goals,omitempty"`  // what the figures above amount to
}

// Schema is the version of the calibration file.
const Schema = "simulacro.calibration/v1"

// Run measures every fault at every period, one after the other.
func Run(ctx context.Context, cfg Config) ([]Result, error) {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	var out []Result
	for _, r := range rows(cfg) {
		if err := one(ctx, cfg, &r); err != nil {
			return out, fmt.Errorf("%s every %s: %w", r.Fault, r.Every, err)
		}
		out = append(out, r)
		if cfg.Progress != nil {
			cfg.Progress(r)
		}
	}
	return out, nil
}

// rows are the results to come, still empty.
func rows(cfg Config) []Result {
	var out []Result
	for _, every := range cfg.Every {
		for _, f := range cfg.Faults {
			out = append(out, Result{Fault: f, Every: drills.Duration(every)})
		}
		for _, f := range cfg.Sharp {
			if cfg.Burst > 0 && cfg.Burst < every {
				out = append(out, Result{Fault: f, Every: drills.Duration(every), Burst: drills.Duration(cfg.Burst)})
			}
		}
	}
	return out
}

// sharpParallel bounds the servers of a row with bursts: were all of them down at the same time, fifteen bursts of 500 probes
// a second would measure each other.
const sharpParallel = 3

func (r *Result) probe(url string) drills.ProbeSpec {
	p := drills.ProbeSpec{
		Kind: "http", From: drills.From{Host: true}, URL: url, Every: r.Every, Timeout: drills.Duration(timeout),
		Burst: r.Burst, Tripwire: r.Burst > 0,
	}
	if r.Fault == Slow {
		p.Slow = drills.Duration(slowLimit)
	}
	return p
}

// one is one fault at one period: servers and probes side by side, outages of each one after the other.
func one(ctx context.Context, cfg Config, r *Result) error {
	n := min(cfg.Parallel, cfg.Outages)
	if r.Burst > 0 {
		n = min(n, sharpParallel)
	}
	servers := map[string]*server{}
	specs := map[string]drills.ProbeSpec{}
	for i := range n {
		s, err := startServer()
		if err != nil {
			return err
		}
		defer s.close()
		name := fmt.Sprintf("server-%d", i)
		servers[name] = s
		specs[name] = r.probe(s.url())
	}
	probes := verifier.NewProbes(verifier.ProbesConfig{
		Specs: specs, Launcher: cfg.Launcher, Samples: nowhere{}, Run: "calibrate", Log: cfg.Log,
		Recovery: drills.Recovery{For: drills.Duration(settle)},
	})
	clock := drills.NewClock() // beside the probes' own: the wall clock may be slewed meanwhile
	if err := probes.Start(ctx, func(drills.Event) {}); err != nil {
		return err
	}
	steady := drills.Interval{From: time.Now()}
	drills.Wait(ctx, warmUp)
	steady.To = time.Now()
	truths, err := outages(ctx, servers, r.Fault, r.Every.D(), (cfg.Outages+n-1)/n)
	drills.Wait(ctx, settle+2*timeout)
	events, ferr := probes.Finish(context.WithoutCancel(ctx), drills.Timing{Steady: steady})
	if err := errors.Join(err, ferr, context.Cause(ctx)); err != nil {
		return err
	}
	for _, e := range events {
		if e.Probe == nil {
			continue
		}
		if e.Probe.Error != "" {
			return errors.New(e.Probe.Error)
		}
		r.add(*e.Probe, truths[e.Probe.Name], clock)
	}
	r.close()
	return nil
}

// outages makes the outages of every server, at phases of their own, and returns the truth.
func outages(ctx context.Context, servers map[string]*server, f Fault, every time.Duration, rounds int) (map[string][]Truth, error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var errs []error
	out := map[string][]Truth{}
	for name, s := range servers {
		wg.Go(func() {
			drills.Wait(ctx, rand.N(2*time.Second)) //nolint:gosec // a phase, not a secret
			for range rounds {
				t, err := s.outage(ctx, f, shortest+rand.N(every)) //nolint:gosec // as above
				mu.Lock()
				if err != nil {
					errs = append(errs, err)
				} else {
					out[name] = append(out[name], t)
				}
				mu.Unlock()
				if err != nil || !drills.Wait(ctx, between+rand.N(every)) { //nolint:gosec // as above
					return
				}
			}
		})
	}
	wg.Wait()
	return out, errors.Join(errs...)
}

// nowhere keeps no raw samples: the truth is compared with what was measured at once.
type nowhere struct{}

func (nowhere) Create(string) (io.WriteCloser, error) { return discard{io.Discard}, nil }
func (nowhere) Digest(string) (string, error)         { return "", nil }

type discard struct{ io.Writer }

func (discard) Close() error { return nil }
