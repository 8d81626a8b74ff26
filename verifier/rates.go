package verifier

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
)

// RatesConfig is what NewRates needs. Limits, Recovery, Expand and Log may be left out.
type RatesConfig struct {
	Probes   map[string]drills.ProbeSpec
	Canaries map[string]drills.CanarySpec // those of the drill
	Judged   map[string]bool              // probes that the drill judges by: their targets must have been asked
	Limits   map[string]drills.TargetLimit
	Run      string
	Recovery drills.Recovery
	Launcher drills.Launcher
	Expand   func(string) (string, error)
	Log      *zap.Logger
}

// Rates learns, before T0, how often each target may be asked, so that the observer never causes the outage that it
// reports. It is a drills.Preflight; afterwards Probes and Canary ask no more often than it found.
type Rates struct {
	cfg RatesConfig

	slower map[string]time.Duration // key of an asker -> its period
	calm   map[string]bool          // key of an asker whose target has a limit: no bursts
	done   chan struct{}            // closed when Check has ended
	end    func()
}

// NewRates makes the preflight; nothing is asked yet.
func NewRates(cfg RatesConfig) *Rates {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Expand == nil {
		cfg.Expand = noExpand
	}
	done := make(chan struct{})
	return &Rates{cfg: cfg, slower: map[string]time.Duration{}, calm: map[string]bool{}, done: done, end: sync.OnceFunc(func() { close(done) })}
}

// target is one address that is asked by several of ours.
type target struct {
	host   string
	askers []asker // by key
	always []string
}

const probeKey, canaryKey = "probe ", "canary "

// Check asks every HTTP target once, from where its probes run, and fits the probes and canaries into what it allows. One
// check per target that has a limit.
func (r *Rates) Check(ctx context.Context, _ *drills.Drill) []drills.Check {
	defer r.end()
	targets, asks, err := r.targets()
	if err != nil {
		return []drills.Check{{Name: "probe rate", Actual: err.Error(), Hint: "see the secrets check"}}
	}
	heard, err := r.ask(ctx, asks)
	if err != nil {
		return []drills.Check{{Name: "probe rate", Actual: err.Error(), Hint: "targets could not be asked for their rate limits"}}
	}
	var out []drills.Check
	for _, host := range slices.Sorted(maps.Keys(targets)) {
		if c, limited := r.fit(*targets[host], heard); limited {
			out = append(out, c)
		} else if c, silent := r.silent(*targets[host], heard); silent {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		out = append(out, drills.Check{Name: "probe rate", OK: true, Actual: "no target states a limit"})
	}
	return out
}

// silent tells of a target that answered none of us although the drill is judged by it: what it allows is not known, and to
// find out in the middle of a drill would spoil it.
func (r *Rates) silent(t target, heard map[string]reply) (drills.Check, bool) {
	c := drills.Check{Name: "probe rate: " + t.host, Expected: "an answer", Hint: "it was asked what it allows and did not answer: look at it first"}
	judged := false
	for _, x := range t.askers {
		if heard[x.name].Status != 0 {
			return c, false
		}
		judged = judged || r.cfg.Judged[strings.TrimPrefix(x.name, probeKey)] || strings.HasPrefix(x.name, canaryKey)
		c.Actual = "not asked: " + heard[x.name].Why
	}
	return c, judged
}

// fit finds a target's allowance and slows our askers down to it.
func (r *Rates) fit(t target, heard map[string]reply) (drills.Check, bool) {
	c := drills.Check{Name: "probe rate: " + t.host, Hint: "limits.targets in the system file can state what is allowed; ask less often, or measure fewer things there"}
	a, whose := r.allowance(t, heard)
	if a.Requests == 0 {
		for _, x := range t.askers {
			if h := heard[x.name]; h.Status == http.StatusTooManyRequests {
				c.Actual = strings.TrimSpace("it throttles already, and does not say what it allows. Retry-After: " + h.Header.Get("Retry-After"))
				return c, true
			}
		}
		return c, false
	}
	c.Expected = fmt.Sprintf("at most %g%% of %d requests in %s (%s)", 100*ownShare, a.Requests, a.Window, a.Source)
	p := pace(whose, a)
	c.OK, c.Actual = len(p.tooSlow) == 0, p.text(a)
	for _, x := range whose {
		r.calm[x.name] = true
	}
	if c.OK {
		maps.Copy(r.slower, p.every)
		c.Hint = ""
	}
	return c, true
}

// allowance is the tightest limit that the target states or the system file states for it, and who falls under it: those
// whose own request showed a limit, and those that were not asked with their own request. A limit of the system file holds
// for all.
func (r *Rates) allowance(t target, heard map[string]reply) (allowance, []asker) {
	var a allowance
	left := -1
	var whose []asker
	for _, x := range t.askers {
		h := heard[x.name]
		got, ok := allowanceOf(h.Header, time.Now())
		if ok && (a.Requests == 0 || got.rate() < a.rate()) {
			a = got
		}
		if ok && h.Status == http.StatusTooManyRequests {
			got.Left = 0
		}
		if ok && got.Left >= 0 && (left < 0 || got.Left < left) {
			left = got.Left
		}
		if ok || slices.Contains(t.always, x.name) {
			whose = append(whose, x)
		}
	}
	a.Left = left
	if l, ok := r.cfg.Limits[t.host]; ok {
		whose = t.askers
		if s := (allowance{Requests: l.Requests, Window: l.Per.D(), Left: -1, Source: "system file"}); a.Requests == 0 || s.rate() < a.rate() {
			a = s
		}
	}
	return a, whose
}

// targets are all that is asked over HTTP, by host and port, and what to ask from where.
func (r *Rates) targets() (map[string]*target, map[drills.Place][]namedProbe, error) {
	out, asks := map[string]*target{}, map[drills.Place][]namedProbe{}
	var errs []error
	add := func(key string, from drills.From, every, most time.Duration, own bool, ask drills.ProbeSpec) {
		u, err := originOf(ask.URL)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
			return
		}
		t := out[u.Host]
		if t == nil {
			t = &target{host: u.Host}
			out[u.Host] = t
		}
		t.askers = append(t.askers, asker{name: key, every: every, most: most})
		if !own {
			t.always = append(t.always, key)
		}
		place := placeOf(from, "rates")
		place.Realtime = false
		asks[place] = append(asks[place], namedProbe{key, ask})
	}
	for _, name := range slices.Sorted(maps.Keys(r.cfg.Probes)) {
		s, err := Expand(r.cfg.Expand).probe(r.cfg.Probes[name])
		if err != nil {
			errs = append(errs, fmt.Errorf("probe %s: %w", name, err))
			continue
		}
		withDefaults(&s)
		if ask, ok := askOfProbe(s); ok {
			add(probeKey+name, s.From, s.Every.D(), usefulFor(r.cfg.Recovery), true, ask)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.cfg.Canaries)) {
		s, err := Expand(r.cfg.Expand).canary(r.cfg.Canaries[name])
		if err != nil {
			errs = append(errs, fmt.Errorf("canary %s: %w", name, err))
			continue
		}
		withCanaryDefaults(&s)
		if ask, ok := askOfCanary(s, r.cfg.Run); ok {
			add(canaryKey+name, s.From, s.Every.D(), usefulMost, false, ask)
		}
	}
	return out, asks, errors.Join(errs...)
}

// askOfProbe is the request that a probe makes.
func askOfProbe(s drills.ProbeSpec) (drills.ProbeSpec, bool) {
	switch s.Kind {
	case "http", "https":
		return s, true
	case "websocket":
		c := wsClient{topic: s.Topic}
		s.URL, s.Method, s.Body = s.PublishURL, http.MethodPost, c.message(s.Body, newMark()+"asked.")
		s.Headers = withJSON(s.Headers)
		return s, true
	}
	return s, false
}

// askOfCanary is a request to where a canary writes. What it would write is not: records are read, not made.
func askOfCanary(s drills.CanarySpec, run string) (drills.ProbeSpec, bool) {
	ask := drills.ProbeSpec{Kind: "http", From: s.From, Headers: s.Headers, Login: s.Login, TLS: s.TLS}
	switch {
	case s.Kind == "http" && s.Write != nil:
		ask.URL = strings.NewReplacer("{run}", "0", "{n}", "0", "{key}", "0", "{value}", "0").Replace(s.Write.URL)
	case s.Kind == drills.PubSub:
		c := wsClient{topic: strings.ReplaceAll(s.Topic, "{run}", run)}
		ask.URL, ask.Method, ask.Body = s.PublishURL, http.MethodPost, c.message(s.Body, newMark()+"asked.")
		ask.Headers = withJSON(s.Headers)
	default:
		return ask, false
	}
	return ask, true
}

func withJSON(headers map[string]string) map[string]string {
	out := map[string]string{"Content-Type": "application/json"}
	maps.Copy(out, headers)
	return out
}

// ask runs one agent per place and collects what was answered, by key.
func (r *Rates) ask(ctx context.Context, asks map[drills.Place][]namedProbe) (map[string]reply, error) {
	out := map[string]reply{}
	var errs []error
	for place, list := range asks {
		all, err := r.askFrom(ctx, place, list)
		if err != nil {
			errs = append(errs, err)
		}
		for _, a := range all {
			out[a.Name] = a
			if a.Status == 0 {
				r.cfg.Log.Info("a target was not asked for its rate limit", zap.String("for", a.Name), zap.String("why", a.Why))
			}
		}
	}
	return out, errors.Join(errs...)
}

func (r *Rates) askFrom(ctx context.Context, place drills.Place, list []namedProbe) ([]reply, error) {
	got := make(chan []reply, 1)
	a, err := startAgent(ctx, r.cfg.Launcher, place, "rates", askJob{Asks: list}, r.cfg.Log, func(readiness) error { return nil },
		func(f drills.Frame) error {
			if f.Type != "answers" {
				return nil
			}
			var all []reply
			err := unmarshal(f, &all)
			select {
			case got <- all:
			default: // it answers once
			}
			return err
		})
	if err != nil {
		return nil, err
	}
	t := time.NewTimer(askAtMost)
	defer t.Stop()
	var all []reply
	select {
	case all = <-got:
	case <-a.ended:
		err = errors.Join(a.failure(), errors.New("it did not answer"))
	case <-t.C:
		err = errors.New("it did not answer in time")
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	stopped := a.stop(context.WithoutCancel(ctx))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("rates agent in %s: %w", placeName(place), err), stopped)
	}
	return all, stopped
}

// settled tells whether the check has ended: only then is what it found complete.
func (r *Rates) settled() bool {
	if r == nil {
		return false
	}
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// probe is a probe's spec at the rate that its target allows, and a sentence when that is not the system file's.
func (r *Rates) probe(name string, s drills.ProbeSpec) (drills.ProbeSpec, string) {
	key := probeKey + name
	if !r.settled() || !r.calm[key] {
		return s, ""
	}
	var said []string
	if every, ok := r.slower[key]; ok {
		said = append(said, fmt.Sprintf("it asks every %s instead of every %s", every, s.Every))
		s.Every = drills.Duration(every)
	}
	if s.Burst > 0 {
		said = append(said, "it sends no bursts")
		s.Burst = 0
	}
	return s, strings.Join(said, ", ")
}

// canary is the same for a canary.
func (r *Rates) canary(name string, s drills.CanarySpec) (drills.CanarySpec, string) {
	every, ok := time.Duration(0), false
	if r.settled() {
		every, ok = r.slower[canaryKey+name]
	}
	if !ok {
		return s, ""
	}
	said := fmt.Sprintf("it writes every %s instead of every %s", every, s.Every)
	s.Every = drills.Duration(every)
	return s, said
}

// slowedFinding says that something asks less often than the system file has it.
func slowedFinding(what, name, said string) drills.Event {
	return drills.Event{At: time.Now().UTC(), Kind: drills.EvFinding, Finding: &drills.Finding{
		ID: "slowed:" + name, Severity: drills.SeverityInfo, Title: fmt.Sprintf("The %s %s was slowed down to its target's rate limit", what, name),
		Detail: "Learned before the fault: " + said + ". Intervals are as wide as the period.",
	}}
}
