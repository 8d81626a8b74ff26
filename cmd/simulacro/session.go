package main

import (
	"context"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/compose"
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments"
	"github.com/eevans-d/simulacro/verifier"
	"github.com/eevans-d/simulacro/verifier/load"
	"github.com/eevans-d/simulacro/verifier/monitor"
)

// roleEvery is how often the roles are read during a run: the resolution of role changes.
const roleEvery = 500 * time.Millisecond // Patroni answers each question with a thread and a query

// warmUp is how long observers run before the settle window: a dozen clients that log in and connect at once are felt.
const warmUp = 6 * time.Second

// inspectEvery is how old, beside its state, what is watched of a member may be.
const inspectEvery = 2 * time.Second

// session is one connection to a system, for one run (or for looking at it).
type session struct {
	app       *app
	log       *zap.Logger
	system    *drills.System
	engine    *compose.Engine
	labels    compose.RunLabels
	launch    drills.Launcher
	expand    func(string) (string, error)
	mux       *drills.Mux
	faultEnds chan drills.Gap // faults that ended without us
	patroni   *experiments.Patroni
	restores  *experiments.Restores
	runbooks  *experiments.Runbooks
	closers   []func() error
}

// openSession connects to the system's engine. run is the run's id, for the labels.
func (a *app) openSession(ctx context.Context, sys *drills.System, run string) (*session, error) {
	log := a.logger()
	engine, err := compose.Open(ctx, compose.Options{Host: sys.Runtime.Docker.Host, Project: sys.Runtime.Docker.Project, Binary: a.binary, Log: log.Named("compose")})
	if err != nil {
		return nil, err
	}
	s := &session{app: a, log: log, system: sys, engine: engine, labels: compose.RunLabels{Run: run}, expand: a.expander(sys), faultEnds: make(chan drills.Gap, 16)}
	s.launch = engine.Launcher(s.labels)
	s.mux = s.wire(ctx)
	return s, nil
}

func (s *session) close() {
	for _, c := range s.closers {
		if err := c(); err != nil {
			s.log.Warn("close", zap.Error(err))
		}
	}
	_ = s.engine.Close() // nothing is lost: the client keeps no state
}

// wire is where the actuators and the role sources meet.
func (s *session) wire(ctx context.Context) *drills.Mux {
	sentinel := experiments.NewSentinel(s.engine.DialContext, s.expand, s.log)
	s.patroni = experiments.NewPatroni(s.engine.DialContext, s.log)
	ended := func(op, why string) {
		select {
		case s.faultEnds <- drills.Gap{Op: op, Why: why, Again: why == experiments.TargetRestarted}:
		default: // a reader that is that far behind has enough to tell
		}
	}
	network := experiments.NewNet(s.launch, s.log, ended)
	stores := experiments.NewStores(s.launch, s.engine.DialContext, s.expand, s.log, ended)
	resources := experiments.NewResources(s.launch, s.log, ended)
	loads := load.NewActuator(s.launch, s.engine.DialContext, s.expand, s.log.Named("load")).OnEnd(ended)
	units := s.engine.WatchedUnits(s.labels, ended)
	s.restores = experiments.NewRestores(s.launch, s.engine.DialContext, s.expand, s.log)
	s.runbooks = experiments.NewRunbooks(s.launch, filepath.Dir(s.system.File), s.log)
	detached := context.WithoutCancel(ctx)
	s.closers = []func() error{
		func() error { return s.runbooks.Close(detached) },
		sentinel.Close,
		func() error { return network.Close(detached) },
		func() error { return stores.Close(detached) },
		func() error { return resources.Close(detached) },
		func() error { return s.restores.Close(detached) },
	}
	return &drills.Mux{
		System:    s.system,
		Inventory: s.engine,
		Resolvers: map[string]drills.RoleResolver{"sentinel": sentinel, "patroni": s.patroni},
		Actuators: map[string]drills.Actuator{
			"unit":     units,
			"net":      network,
			"resource": resources,
			"load":     loads,
			"clients":  loads,
			"command":  s.engine.Commands(s.expand),
			"http":     experiments.NewHTTP(s.engine.DialContext, s.expand),
			"redis":    sentinel,
			"postgres": s.patroni,
			"store":    stores,
			"wal":      experiments.NewWAL(resources, units, s.engine.DialContext, s.expand),
			"restore":  s.restores,
			"runbook":  s.runbooks,
		},
	}
}

// monitor watches Prometheus, Alertmanager and the people who are told, for one drill (nil: just to ask).
func (s *session) monitor(d *drills.Drill) (*monitor.Monitor, error) {
	cfg := monitor.Config{Monitoring: s.system.Monitoring, Identity: s.system.Identity, Dial: s.engine.DialContext, Expand: s.expand, Log: s.log.Named("monitor")}
	if d != nil {
		cfg.Expect = &d.Expect
	}
	cfg.SeenBy = map[string]drills.SeenBy{}
	for name, c := range s.system.Components {
		if c.SeenBy != nil {
			cfg.SeenBy[name] = *c.SeenBy
		}
	}
	return monitor.New(cfg)
}

// observers are everything that watches a run: roles, monitoring, every probe of the system (what else suffers is worth
// knowing, and a probe costs a fraction of a percent of a core), and the component's canaries.
func (s *session) observers(d *drills.Drill, m *monitor.Monitor, rates *verifier.Rates, samples drills.Samples, run string) []drills.Observer {
	watched := *s.mux
	watched.Inventory = s.engine.Recent(inspectEvery)
	out := []drills.Observer{
		&drills.RoleWatch{Runtime: &watched, Components: slices.Sorted(maps.Keys(s.system.Components)), Every: roleEvery},
		m, newEndWatch(s.faultEnds), s.restores, s.runbooks,
		verifier.NewBreakers(verifier.BreakersConfig{Components: s.system.Components, Every: breakersEvery(d), Launcher: s.launch, Samples: samples, Expand: s.expand, Log: s.log.Named("breakers")}),
	}
	out = append(out, s.canaryObservers(d, rates, samples, run)...)
	// Last: they would judge what the starting of the others costs.
	return append(out, verifier.NewProbes(verifier.ProbesConfig{Specs: d.ProbesFor(s.system), Components: s.system.Components, Run: run, Rates: rates, Recovery: d.Recovery, Launcher: s.launch, Samples: samples, Expand: s.expand, Log: s.log.Named("probes")}))
}

// rates learns how often the targets of a drill's probes and canaries may be asked.
func (s *session) rates(d *drills.Drill, run string) *verifier.Rates {
	canaries := map[string]drills.CanarySpec{}
	for _, name := range s.canaries(d) {
		canaries[name] = s.system.Canaries[name]
	}
	return verifier.NewRates(verifier.RatesConfig{
		Probes: d.ProbesFor(s.system), Canaries: canaries, Judged: d.Judges(s.system), Limits: s.system.Limits.Targets, Run: run, Recovery: d.Recovery,
		Launcher: s.launch, Expand: s.expand, Log: s.log.Named("rates"),
	})
}

// breakersEvery is how often breakers' metrics are read: as often as they need where the drill judges one, else now and then.
func breakersEvery(d *drills.Drill) time.Duration {
	if len(d.Expect.Breakers) > 0 {
		return 0 // the default
	}
	return time.Second
}

// canaries are those that judge the drilled component and those that the drill names.
func (s *session) canaries(d *drills.Drill) []string {
	names := slices.Clone(s.system.Components[d.Component].Canaries)
	wanted := d.Expect.Loss.Canaries()
	if x := d.Expect.Consistency; x != nil {
		wanted = append(wanted, x.Canary)
	}
	for _, name := range wanted {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// canaryObservers are the drill's canaries and, per component whose store they write to, who acknowledged their writes.
func (s *session) canaryObservers(d *drills.Drill, rates *verifier.Rates, samples drills.Samples, run string) []drills.Observer {
	var out []drills.Observer
	stores := map[string][]*verifier.Canary{}
	for _, name := range s.canaries(d) {
		c := verifier.NewCanary(verifier.CanaryConfig{
			Name: name, Spec: s.system.Canaries[name], Run: run, Launcher: s.launch, Samples: samples,
			Expand: s.expand, Members: s.membersOf(name), Rates: rates, Log: s.log.Named("canary"),
		})
		out = append(out, c)
		if store := s.storeOf(name); store != "" && !s.system.Canaries[name].IsRegister() {
			stores[store] = append(stores[store], c)
		}
	}
	for _, store := range slices.Sorted(maps.Keys(stores)) {
		out = append(out, verifier.NewSplit(store, stores[store]))
	}
	return out
}

// storeOf is the component that holds what a canary writes and has a primary: others may be judged by the canary too.
func (s *session) storeOf(canary string) string {
	spec := s.system.Canaries[canary]
	for _, name := range slices.Sorted(maps.Keys(s.system.Components)) {
		c := s.system.Components[name]
		if slices.Contains(c.Canaries, canary) && c.Kind == spec.Store() && c.Roles != nil {
			return name
		}
	}
	return ""
}

// membersOf gives the addresses that a canary is read back from: its spec's own, or every running member of the component
// that it judges, on the component's data port and the canary's network.
func (s *session) membersOf(canary string) func(context.Context) ([]verifier.MemberAddr, error) {
	return func(ctx context.Context) ([]verifier.MemberAddr, error) {
		spec := s.system.Canaries[canary]
		var out []verifier.MemberAddr
		for _, a := range spec.Members {
			out = append(out, verifier.MemberAddr{Name: a, Address: a})
		}
		if len(out) > 0 {
			return out, nil
		}
		t, err := s.mux.Topology(ctx)
		if err != nil {
			return nil, err
		}
		for name, c := range s.system.Components {
			if !slices.Contains(c.Canaries, canary) || c.Kind != spec.Store() {
				continue // others may be judged by it too, but only the store holds what it wrote
			}
			for _, m := range t.Of(name) {
				if addr := addressIn(m, spec.From.Network); m.State == "running" && addr != "" {
					out = append(out, verifier.MemberAddr{Name: m.Name, Address: net.JoinHostPort(addr, strconv.Itoa(dataPort(c)))})
				}
			}
			break
		}
		return out, nil
	}
}

// addressIn is a member's address in a network; from the host any will do.
func addressIn(m drills.Member, network string) string {
	if all := m.Addresses(); network == "" && len(all) > 0 {
		return all[0]
	}
	return m.Networks[network]
}

func dataPort(c drills.Component) int {
	if c.Roles != nil && c.Roles.Port > 0 {
		return c.Roles.Port
	}
	return map[string]int{"redis": 6379, "postgres": 5432}[c.Kind]
}

// logger is what the tool says of itself: warnings by default, everything with -v.
func (a *app) logger() *zap.Logger {
	cfg := zap.NewDevelopmentConfig()
	cfg.DisableStacktrace = true
	cfg.DisableCaller = true
	if !a.verbose {
		cfg.Level = zap.NewAtomicLevelAt(zap.ErrorLevel)
	}
	log, err := cfg.Build()
	if err != nil {
		return zap.NewNop()
	}
	return log.Named("simulacro")
}
