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
	Progress func(Result)    // told of every result; may be nil
}

// Calibration is what was measured, where and when.
type Calibration struct {
	Schema  string            `json:"schema"`
	At      time.Time         `json:"at"`
	Host    map[string]string `json:"host"`
	Results []Result          `json:"results"`
}

// Schema is the version of the calibration file.
const Schema = "simulacro.calibration/v1"

// Run measures every fault at every period, one after the other.
func Run(ctx context.Context, cfg Config) ([]Result, error) {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	var out []Result
	for _, every := range cfg.Every {
		for _, f := range cfg.Faults {
			r, err := one(ctx, cfg, f, every)
			if err != nil {
				return out, fmt.Errorf("%s every %s: %w", f, every, err)
			}
			out = append(out, r)
			if cfg.Progress != nil {
				cfg.Progress(r)
			}
		}
	}
	return out, nil
}

// one is one fault at one period: servers and probes side by side, outages of each one after the other.
func one(ctx context.Context, cfg Config, f Fault, every time.Duration) (Result, error) {
	r := Result{Fault: f, Every: drills.Duration(every)}
	n := min(cfg.Parallel, cfg.Outages)
	servers := map[string]*server{}
	specs := map[string]drills.ProbeSpec{}
	for i := range n {
		s, err := startServer()
		if err != nil {
			return r, err
		}
		defer s.close()
		name := fmt.Sprintf("server-%d", i)
		servers[name] = s
		specs[name] = drills.ProbeSpec{Kind: "http", From: drills.From{Host: true}, URL: s.url(), Every: drills.Duration(every), Timeout: drills.Duration(timeout)}
		if f == Slow {
			p := specs[name]
			p.Slow = drills.Duration(slowLimit)
			specs[name] = p
		}
	}
	probes := verifier.NewProbes(verifier.ProbesConfig{
		Specs: specs, Launcher: cfg.Launcher, Samples: nowhere{}, Run: "calibrate", Log: cfg.Log,
		Recovery: drills.Recovery{For: drills.Duration(settle)},
	})
	clock := drills.NewClock() // beside the probes' own: the wall clock may be slewed meanwhile
	if err := probes.Start(ctx, func(drills.Event) {}); err != nil {
		return r, err
	}
	steady := drills.Interval{From: time.Now()}
	drills.Wait(ctx, warmUp)
	steady.To = time.Now()
	truths, err := outages(ctx, servers, f, every, (cfg.Outages+n-1)/n)
	drills.Wait(ctx, settle+2*timeout)
	events, ferr := probes.Finish(context.WithoutCancel(ctx), drills.Timing{Steady: steady})
	if err := errors.Join(err, ferr, context.Cause(ctx)); err != nil {
		return r, err
	}
	for _, e := range events {
		if e.Probe == nil {
			continue
		}
		if e.Probe.Error != "" {
			return r, errors.New(e.Probe.Error)
		}
		r.add(*e.Probe, truths[e.Probe.Name], clock)
	}
	r.close()
	return r, nil
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
