package verifier

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
)

// BreakersConfig is what NewBreakers needs. Expand and Log may be left out.
type BreakersConfig struct {
	Components map[string]drills.Component
	Every      time.Duration // between two readings where the system file says nothing; zero: 100 ms
	Launcher   drills.Launcher
	Samples    drills.Samples
	Expand     func(string) (string, error)
	Log        *zap.Logger
}

// Breakers reads the metrics of the circuit breakers that a system declares: one agent per place. It is a drills.Observer.
// An agent that dies costs the breakers' verdicts, not the run.
type Breakers struct {
	cfg    BreakersConfig
	clock  drills.Clock
	agents []*agent
	series []*series
	end    error
	stop   sync.Once
}

// NewBreakers makes the observer; nothing is started yet.
func NewBreakers(cfg BreakersConfig) *Breakers {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Expand == nil {
		cfg.Expand = noExpand
	}
	return &Breakers{cfg: cfg}
}

// Start returns once the agents are reading.
func (b *Breakers) Start(ctx context.Context, _ func(drills.Event)) error {
	b.clock = drills.NewClock()
	places, err := b.readers()
	if err != nil {
		return err
	}
	for place, rs := range places {
		if err := b.launch(ctx, place, rs); err != nil {
			return errors.Join(err, b.shutdown(context.WithoutCancel(ctx)))
		}
	}
	return nil
}

// readers are the instances to read, by place: each once, for all its breakers.
func (b *Breakers) readers() (map[drills.Place][]breakerReader, error) {
	byURL := map[drills.Place]map[string]*breakerReader{}
	for _, c := range b.cfg.Components {
		for name, spec := range c.Breakers {
			m := spec.Metrics
			if m == nil {
				continue
			}
			place := placeOf(m.From, "breakers")
			place.Realtime = false
			if byURL[place] == nil {
				byURL[place] = map[string]*breakerReader{}
			}
			for _, raw := range m.URLs {
				u, err := b.cfg.Expand(raw)
				if err != nil {
					return nil, fmt.Errorf("breaker %s of %s: %w", name, c.Name, err)
				}
				r := byURL[place][u]
				if r == nil {
					r = &breakerReader{URL: u, Every: drills.Duration(cmp.Or(b.cfg.Every, breakerEvery)), Timeout: drills.Duration(breakerTimeout), Breakers: map[string]drills.BreakerMetrics{}}
					byURL[place][u] = r
				}
				if m.Every > 0 {
					r.Every = m.Every
				}
				if m.Timeout > 0 {
					r.Timeout = m.Timeout
				}
				r.Breakers[c.Name+"/"+name] = *m
			}
		}
	}
	out := map[drills.Place][]breakerReader{}
	for place, rs := range byURL {
		for _, u := range slices.Sorted(maps.Keys(rs)) {
			out[place] = append(out[place], *rs[u])
		}
	}
	return out, nil
}

func (b *Breakers) launch(ctx context.Context, place drills.Place, rs []breakerReader) error {
	var all []*series
	onReady := func(readiness) error {
		for _, r := range rs {
			meta := ProbeMeta{Schema: ProbeSchema, Name: instanceOf(r.URL), Kind: "breaker", Place: placeName(place), Every: r.Every, Timeout: r.Timeout, Mono: b.clock.Mono, Wall: b.clock.Wall}
			s, err := newSeriesAs(b.cfg.Samples, meta, breakerRawName(meta.Name))
			if err != nil {
				return err
			}
			all = append(all, s)
		}
		return nil
	}
	handle := func(f drills.Frame) error {
		var rows []breakerRow
		if f.Type != "samples" {
			return nil
		}
		if err := unmarshal(f, &rows); err != nil {
			return err
		}
		for _, r := range rows {
			if r.Reader < 0 || r.Reader >= len(all) {
				return fmt.Errorf("breaker agent sent a row out of range: %d", r.Reader)
			}
			all[r.Reader].add(r.Sample)
		}
		return nil
	}
	a, err := startAgent(ctx, b.cfg.Launcher, place, "breakers", breakerJob{Readers: rs}, b.cfg.Log, onReady, handle)
	if err != nil {
		return err
	}
	for _, s := range all {
		s.agent = a
	}
	b.agents, b.series = append(b.agents, a), append(b.series, all...)
	return nil
}

// instanceOf is host:port of a URL, which names an instance.
func instanceOf(raw string) string {
	if u, err := url.Parse(raw); err == nil && u.Host != "" {
		return u.Host
	}
	return raw
}

func breakerRawName(instance string) string { return "breakers-" + fileName(instance) + ".csv" }

// fileName keeps letters, digits, dots and dashes.
func fileName(s string) string {
	b := []byte(s)
	for i, c := range b {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '-' {
			b[i] = '_'
		}
	}
	return string(b)
}

// Finish stops the agents and returns one measured event per breaker and instance.
func (b *Breakers) Finish(ctx context.Context, _ drills.Timing) ([]drills.Event, error) {
	err := b.shutdown(ctx)
	var out []drills.Event
	for _, s := range b.series {
		for _, m := range s.breakers(b.cfg.Samples) {
			out = append(out, drills.Event{At: time.Now().UTC(), Kind: drills.EvMeasured, Breaker: &m})
		}
	}
	return out, err
}

func (b *Breakers) shutdown(ctx context.Context) error {
	b.stop.Do(func() {
		var errs []error
		for _, a := range b.agents {
			errs = append(errs, a.stop(ctx))
		}
		for _, s := range b.series {
			s.close()
		}
		b.end = errors.Join(errs...)
	})
	return b.end
}

// breakers is what the readings of one instance say; the raw file is closed.
func (s *series) breakers(files drills.Samples) []drills.BreakerMeasured {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := breakersIn(s.meta, s.samples)
	sum, err := files.Digest(s.file)
	s.note(err)
	if s.agent != nil && s.agent.failure() != nil {
		s.note(fmt.Errorf("the reader died: %w", s.agent.failure()))
	}
	for i := range out {
		out[i].Raw, out[i].SHA256 = s.file, sum
		if s.err != nil {
			out[i].Error = s.err.Error()
		}
	}
	return out
}

// inferred infers the breakers that are declared to be seen by a probe's traffic. The raw files are closed.
func (p *Probes) inferred() []drills.Event {
	var out []drills.Event
	for _, component := range slices.Sorted(maps.Keys(p.cfg.Components)) {
		c := p.cfg.Components[component]
		for _, name := range slices.Sorted(maps.Keys(c.Breakers)) {
			t := c.Breakers[name].Traffic
			if t == nil || p.series[t.Probe] == nil {
				continue
			}
			m := p.series[t.Probe].infer(component+"/"+name, *t, p.cfg.Samples)
			out = append(out, drills.Event{At: time.Now().UTC(), Kind: drills.EvMeasured, Breaker: &m})
		}
	}
	return out
}

func (s *series) infer(name string, spec drills.BreakerTraffic, files drills.Samples) drills.BreakerMeasured {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := inferBreaker(s.meta, s.samples, name, spec)
	m.Raw = s.file
	m.SHA256, _ = files.Digest(s.file) // an error is the probe's own already
	return m
}
