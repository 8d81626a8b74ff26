package verifier

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
)

// defaultSettle is the recovery window where no drill states one.
const defaultSettle = 10 * time.Second

// ProbesConfig is what NewProbes needs. Run, Recovery, Expand and Log may be left out.
type ProbesConfig struct {
	Specs    map[string]drills.ProbeSpec
	Launcher drills.Launcher
	Samples  drills.Samples
	Expand   func(string) (string, error)
	Run      string
	// Components declare the breakers that are inferred from a probe's traffic; may be left out.
	Components map[string]drills.Component
	Rates      *Rates          // how often targets may be asked, learned before; may be left out
	Recovery   drills.Recovery // the drill's: For and Share say when an outage is over (default 10 s, the baseline's share)
	Log        *zap.Logger
}

// Probes watches the system with all its probes: one agent per place. It is a drills.Observer, Baseliner and Windower.
type Probes struct {
	cfg    ProbesConfig
	clock  drills.Clock
	emit   func(drills.Event)
	agents []*agent
	series map[string]*series

	mu       sync.Mutex // of series while agents start
	mourners sync.WaitGroup
	stop     sync.Once
	end      error
}

// NewProbes makes the observer; nothing is started yet.
func NewProbes(cfg ProbesConfig) *Probes {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Expand == nil {
		cfg.Expand = noExpand
	}
	if cfg.Recovery.For <= 0 {
		cfg.Recovery.For = drills.Duration(defaultSettle)
	}
	return &Probes{cfg: cfg, series: map[string]*series{}}
}

// Start starts one agent per place and returns when all are probing. Edges, and a note should a prober die, go to emit.
func (p *Probes) Start(ctx context.Context, emit func(drills.Event)) error {
	p.clock, p.emit = drills.NewClock(), emit
	groups, err := p.groups()
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var errs []error
	for place, probes := range groups {
		wg.Go(func() {
			a, err := p.launch(ctx, place, probes)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				return
			}
			p.agents = append(p.agents, a)
		})
	}
	wg.Wait()
	if len(errs) > 0 {
		return errors.Join(append(errs, p.shutdown(context.WithoutCancel(ctx)))...)
	}
	return nil
}

// groups are the probes by place, by name within a place, secrets expanded.
func (p *Probes) groups() (map[drills.Place][]namedProbe, error) {
	out := map[drills.Place][]namedProbe{}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(p.cfg.Specs)) {
		spec, err := Expand(p.cfg.Expand).probe(p.cfg.Specs[name])
		if err != nil {
			errs = append(errs, fmt.Errorf("probe %s: %w", name, err))
			continue
		}
		withDefaults(&spec)
		spec, said := p.cfg.Rates.probe(name, spec)
		if said != "" {
			p.emit(slowedFinding("probe", name, said))
		}
		place := placeOf(spec.From, "probes")
		out[place] = append(out[place], namedProbe{name, spec})
	}
	return out, errors.Join(errs...)
}

func (p *Probes) launch(ctx context.Context, place drills.Place, probes []namedProbe) (*agent, error) {
	var all []*series
	dec := newDecoder()
	job := probeJob{Run: p.cfg.Run, Realtime: place.Realtime, Probes: probes}
	onReady := func(r readiness) (err error) {
		all, err = p.open(place, probes, r)
		return err
	}
	handle := func(f drills.Frame) error { return p.take(f, dec, all) }
	a, err := startAgent(ctx, p.cfg.Launcher, place, "probe", job, p.cfg.Log, onReady, handle)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		s.agent = a
	}
	p.mourners.Go(func() { p.mourn(a, place, all) })
	return a, nil
}

// mourn tells of a prober that died during the run. It ends with the agent.
func (p *Probes) mourn(a *agent, place drills.Place, all []*series) {
	<-a.ended
	err := a.failure()
	if err == nil {
		return
	}
	now := time.Now().UTC()
	p.emit(drills.Event{At: now, Kind: drills.EvNote, Text: fmt.Sprintf("the prober in %s died: %v", placeName(place), err)})
	for _, s := range all {
		p.emit(drills.Event{
			At: now, Kind: drills.EvEdge,
			Edge: &drills.Edge{Probe: s.meta.Name, Since: now, Class: Observer.String()},
		})
	}
}

// open creates the raw files of an agent's probes.
func (p *Probes) open(place drills.Place, probes []namedProbe, r readiness) ([]*series, error) {
	if r.Why != "" {
		p.cfg.Log.Info("no real-time scheduling for the prober; its lateness is recorded", zap.String("place", placeName(place)), zap.String("why", r.Why))
	}
	var out []*series
	for _, np := range probes {
		meta := ProbeMeta{
			Schema: ProbeSchema, Name: np.Name, Kind: np.Spec.Kind, Place: placeName(place), Every: np.Spec.Every,
			Timeout: np.Spec.Timeout, Slow: np.Spec.Slow, Settle: p.cfg.Recovery.For, Share: float64(p.cfg.Recovery.Share),
			Mono: p.clock.Mono, Wall: p.clock.Wall, Realtime: r.Realtime,
			Burst: np.Spec.Burst, Tripwire: np.Spec.Tripwire,
		}
		s, err := newSeries(p.cfg.Samples, meta)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range out {
		p.series[s.meta.Name] = s
	}
	return out, nil
}

// take stores a batch and emits the edges in it.
func (p *Probes) take(f drills.Frame, dec *decoder, all []*series) error {
	if f.Type != "samples" {
		return nil
	}
	var b batch
	if err := unmarshal(f, &b); err != nil {
		return err
	}
	err := dec.each(b, len(all), func(i int, s Sample) {
		if e := all[i].add(s); e != nil {
			p.emit(drills.Event{At: time.Now().UTC(), Kind: drills.EvEdge, Edge: e})
		}
	})
	for _, s := range all {
		s.flush()
	}
	return err
}

// Baseline states each probe's behaviour over a window that has just passed, once the probes sent in it have ended.
func (p *Probes) Baseline(ctx context.Context, window drills.Interval) ([]drills.Event, error) {
	if !drills.Wait(ctx, time.Until(window.To.Add(p.stragglers()))) {
		return nil, ctx.Err()
	}
	var out []drills.Event
	for _, name := range p.names() {
		s := p.series[name]
		sum := s.window(window)
		s.baseline(sum.count)
		out = append(out, drills.Event{At: time.Now().UTC(), Kind: drills.EvBaseline, Baseline: &drills.Baseline{
			Probe:  name,
			Window: window, Count: sum.count, Share: sum.share, P50: sum.p50, P95: sum.p95, P99: sum.p99,
		}})
	}
	return out, nil
}

// stragglers is how long after a moment the last probe sent before it can be reported.
func (p *Probes) stragglers() time.Duration {
	var most time.Duration
	for _, s := range p.series {
		most = max(most, s.meta.Timeout.D())
	}
	return most + 2*flushEvery
}

func (p *Probes) names() []string { return slices.Sorted(maps.Keys(p.series)) }

// Finish stops the agents and returns one measured event per probe.
func (p *Probes) Finish(ctx context.Context, t drills.Timing) ([]drills.Event, error) {
	err := p.shutdown(ctx)
	var out []drills.Event
	for _, name := range p.names() {
		m := p.series[name].measured(t.Steady, p.cfg.Samples)
		out = append(out, drills.Event{At: time.Now().UTC(), Kind: drills.EvMeasured, Probe: &m})
	}
	return append(out, p.inferred()...), err
}

// shutdown ends every agent and closes every file, once.
func (p *Probes) shutdown(ctx context.Context) error {
	p.stop.Do(func() {
		errs := make([]error, len(p.agents))
		var wg sync.WaitGroup
		for i, a := range p.agents {
			wg.Go(func() { errs[i] = a.stop(ctx) })
		}
		wg.Wait()
		p.mourners.Wait()
		for _, s := range p.series {
			s.close()
		}
		p.end = errors.Join(errs...)
	})
	return p.end
}

// phasePrefix begins the titles of windows that are wanted of every probe.
const phasePrefix = "phase:"

// Windows returns a window event for every window that is about one of these probes, or, for a phase, about all.
func (p *Probes) Windows(_ context.Context, ws []drills.NamedWindow) ([]drills.Event, error) {
	var out []drills.Event
	for _, w := range ws {
		names := []string{w.During.Probe}
		if w.During.Probe == "" && strings.HasPrefix(w.During.Title, phasePrefix) {
			names = p.names()
		}
		for _, name := range names {
			s, ok := p.series[name]
			if !ok || w.During.PromQL != "" {
				continue
			}
			stat := windowStat(s.within(w.Window), drills.WindowStat{Probe: name, Title: w.During.Title, Window: w.Window}, w.Asked)
			out = append(out, drills.Event{At: time.Now().UTC(), Kind: drills.EvWindow, Window: &stat})
		}
	}
	return out, nil
}
