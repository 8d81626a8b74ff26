package calibrate

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier"
)

// CostConfig says whose cost to measure: so many probes of a kind in one prober, as a drill with so many components has.
type CostConfig struct {
	Launcher drills.Launcher
	Log      *zap.Logger
	Kinds    []string // see CostKinds
	Probes   int
	Every    []time.Duration
	Length   time.Duration
	Progress func(Cost) // told of every result; may be nil
}

// CostKinds are the kinds of probes whose cost can be measured. http, tcp and redis open a connection for every probe,
// postgres keeps one.
func CostKinds() []string { return []string{"http", "tcp", "redis", "postgres"} }

// Cost is what a prober used, from its first instruction to its last: user and system time as the kernel accounts it for the
// process once it has ended (getrusage, RUSAGE_CHILDREN). Of the connections' other ends, which are here too, nothing is in it.
type Cost struct {
	Kind     string          `json:"kind"`
	Every    drills.Duration `json:"every"`
	Probes   int             `json:"probes"`
	Lived    drills.Duration `json:"lived"`
	User     drills.Duration `json:"user"`
	System   drills.Duration `json:"system"`
	Sent     int             `json:"sent"`
	Answered int             `json:"answered"`
	Realtime bool            `json:"realtime"`
}

// Core is the share of one core that was used.
func (c Cost) Core() float64 {
	if c.Lived <= 0 {
		return 0
	}
	return (c.User.D() + c.System.D()).Seconds() / c.Lived.D().Seconds()
}

// CostCalibration is every cost that was measured, and when.
type CostCalibration struct {
	At      time.Time `json:"at"`
	Results []Cost    `json:"results"`
}

// RunCost measures every kind at every period, one after the other, each in a prober of its own.
func RunCost(ctx context.Context, cfg CostConfig) (CostCalibration, error) {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	out := CostCalibration{At: time.Now().UTC()}
	for _, every := range cfg.Every {
		for _, kind := range cfg.Kinds {
			c, err := oneCost(ctx, cfg, kind, every)
			if err != nil {
				return out, fmt.Errorf("%s every %s: %w", kind, every, err)
			}
			out.Results = append(out.Results, c)
			if cfg.Progress != nil {
				cfg.Progress(c)
			}
		}
	}
	return out, nil
}

func oneCost(ctx context.Context, cfg CostConfig, kind string, every time.Duration) (Cost, error) {
	c := Cost{Kind: kind, Every: drills.Duration(every), Probes: cfg.Probes}
	specs, closeAll, err := costTargets(kind, cfg.Probes, every)
	defer closeAll()
	if err != nil {
		return c, err
	}
	probes := verifier.NewProbes(verifier.ProbesConfig{Specs: specs, Launcher: cfg.Launcher, Samples: nowhere{}, Run: "calibrate", Log: cfg.Log})
	began := time.Now()
	user, system := usage(syscall.RUSAGE_CHILDREN)
	if err := probes.Start(ctx, func(drills.Event) {}); err != nil {
		return c, err
	}
	drills.Wait(ctx, cfg.Length)
	events, err := probes.Finish(context.WithoutCancel(ctx), drills.Timing{})
	c.Lived = drills.Duration(time.Since(began))
	userNow, systemNow := usage(syscall.RUSAGE_CHILDREN)
	c.User, c.System = drills.Duration(userNow-user), drills.Duration(systemNow-system)
	if err := errors.Join(err, context.Cause(ctx)); err != nil {
		return c, err
	}
	for _, e := range events {
		if e.Probe == nil {
			continue
		}
		if e.Probe.Error != "" {
			return c, errors.New(e.Probe.Error)
		}
		n := e.Probe.Count
		c.Sent, c.Answered, c.Realtime = c.Sent+n.Good+n.Bad()+n.Ours(), c.Answered+n.Good, e.Probe.Realtime
	}
	if c.User+c.System == 0 {
		return c, errors.New("the prober ran in this process, or has not ended: the kernel accounts nothing for it")
	}
	return c, nil
}

// costTargets are servers that answer at once and the probes that ask them.
func costTargets(kind string, n int, every time.Duration) (specs map[string]drills.ProbeSpec, closeAll func(), err error) {
	spec := drills.ProbeSpec{Kind: kind, From: drills.From{Host: true}, Every: drills.Duration(every), Timeout: drills.Duration(timeout)}
	closeAll = func() {}
	switch kind {
	case "http", "tcp":
		s, err := startServer()
		if err != nil {
			return nil, closeAll, err
		}
		closeAll = s.close
		if kind == "http" {
			spec.URL = s.url()
		} else {
			spec.Address = s.addr
		}
	case "redis":
		s, err := startStore(func(string) act { return obey })
		if err != nil {
			return nil, closeAll, err
		}
		closeAll, spec.Address = s.close, s.primary.addr()
	case "postgres":
		s, err := startNoisyServer(map[string]*noisyUser{"cost": newNoisyUser(0, 0, 0)})
		if err != nil {
			return nil, closeAll, err
		}
		closeAll, spec.DSN = s.close, noisyDSN(s.l.Addr().String(), "cost")
	default:
		return nil, closeAll, fmt.Errorf("the cost of a probe of kind %q is not measured", kind)
	}
	specs = map[string]drills.ProbeSpec{}
	for i := range n {
		specs[fmt.Sprintf("probe-%d", i)] = spec
	}
	return specs, closeAll, nil
}
