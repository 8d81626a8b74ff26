package verifier

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
)

func TestAllowanceOfAnAnswer(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		name    string
		headers []string
		want    allowance
	}{
		{"none", nil, allowance{}},
		{"legacy", []string{"X-RateLimit-Limit: 100", "X-RateLimit-Remaining: 97"}, allowance{100, time.Minute, 97, "rate limit headers"}},
		{"legacy, an hour by seconds", []string{"X-RateLimit-Limit: 5000", "X-RateLimit-Reset: 3600"}, allowance{5000, time.Hour, -1, "rate limit headers"}},
		{"legacy, half an hour by date", []string{"X-RateLimit-Limit: 5000", "X-RateLimit-Reset: 1800001800"}, allowance{5000, 30 * time.Minute, -1, "rate limit headers"}},
		{"a reset in ten seconds says nothing of the window", []string{"X-RateLimit-Limit: 60", "X-RateLimit-Reset: 10"}, allowance{60, time.Minute, -1, "rate limit headers"}},
		{"draft 3, several windows: the tightest", []string{"RateLimit-Limit: 10, 10;w=1, 50;w=60", "RateLimit-Remaining: 9"}, allowance{50, time.Minute, 9, "RateLimit-Policy"}},
		{"draft 6", []string{"RateLimit-Limit: 100", "RateLimit-Policy: 100;w=10", "RateLimit-Remaining: 50", "RateLimit-Reset: 5"}, allowance{100, 10 * time.Second, 50, "RateLimit-Policy"}},
		{"draft 7", []string{"RateLimit: limit=100, remaining=40, reset=5", "RateLimit-Policy: 100;w=30"}, allowance{100, 30 * time.Second, 40, "RateLimit-Policy"}},
		{"draft 7 without a policy", []string{"RateLimit: limit=100, remaining=40, reset=90"}, allowance{100, 90 * time.Second, 40, "RateLimit"}},
		{"draft 8", []string{`RateLimit-Policy: "burst";q=100;w=10,"daily";q=1000;w=86400`, `RateLimit: "daily";r=500;t=300`}, allowance{1000, 24 * time.Hour, 500, "RateLimit-Policy"}},
		{"nonsense", []string{"X-RateLimit-Limit: many", "RateLimit-Policy: 100;w=0", "RateLimit: x"}, allowance{}},
		{"below none", []string{"X-RateLimit-Limit: -5"}, allowance{}},
	} {
		h := http.Header{}
		for _, line := range c.headers {
			k, v, _ := strings.Cut(line, ": ")
			h.Add(k, v)
		}
		got, ok := allowanceOf(h, now)
		if ok != (c.want.Requests > 0) || !cmp.Equal(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// Whatever asks whatever: afterwards it fits, nobody asks more often than before, and nobody is slowed down for nothing.
func TestPaceFits(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
	slowed := 0
	for range 5000 {
		a := allowance{Requests: 1 + r.IntN(5000), Window: time.Duration(1+r.IntN(120)) * time.Second, Left: r.IntN(6000) - 1000}
		a.Left = max(a.Left, -1)
		var all []asker
		for i := range 1 + r.IntN(8) {
			all = append(all, asker{name: strconv.Itoa(i), every: time.Duration(1+r.IntN(3000)) * time.Millisecond, most: 2 * time.Second})
		}
		p := pace(all, a)
		sum := 0.0
		for _, x := range all {
			every, ok := p.every[x.name]
			if ok && every <= x.every || ok && every != p.floor || !ok && p.floor > x.every {
				t.Fatalf("%+v of %+v in %+v", p, all, a)
			}
			if !ok {
				every = x.every
			}
			sum += perWindow(every, a)
		}
		if sum > a.ours()*(1+1e-9) && a.ours() > 0 {
			t.Fatalf("%g requests of %g: %+v in %+v: %+v", sum, a.ours(), all, a, p)
		}
		if (p.floor > 0) != (p.wanted > a.ours()) || p.floor > 0 && len(p.every) == 0 {
			t.Fatalf("%+v of %+v in %+v", p, all, a)
		}
		if p.floor > 0 && p.floor < time.Minute {
			slowed++
			if sum < 0.75*a.ours() { // no slower than rounding and the steps between askers make it
				t.Fatalf("only %g of %g used: %+v in %+v: %+v", sum, a.ours(), all, a, p)
			}
		}
	}
	if slowed < 1000 {
		t.Errorf("%d were slowed down", slowed)
	}
}

// limited is a real server that lets through so many requests in a window, says so, and counts.
type limited struct {
	*httptest.Server
	most   int
	window time.Duration
	silent bool

	mu        sync.Mutex
	seen      []time.Time
	throttled int
}

func newLimited(t *testing.T, most int, window time.Duration) *limited {
	l := &limited{most: most, window: window}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/free" {
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		now := time.Now()
		for len(l.seen) > 0 && now.Sub(l.seen[0]) > l.window {
			l.seen = l.seen[1:]
		}
		left := l.most - len(l.seen)
		if !l.silent {
			w.Header().Set("RateLimit-Policy", fmt.Sprintf("%d;w=%d", l.most, int(l.window.Seconds())))
			w.Header().Set("RateLimit-Remaining", strconv.Itoa(max(0, left-1)))
		}
		if left <= 0 {
			l.throttled++
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		l.seen = append(l.seen, now)
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *limited) host() string { u, _ := url.Parse(l.URL); return u.Host }

func (l *limited) probes() map[string]drills.ProbeSpec {
	return map[string]drills.ProbeSpec{
		"fast": {Kind: "http", From: drills.From{Host: true}, URL: l.URL + "/", Every: ms(20), Timeout: ms(500), Burst: ms(2)},
		"slow": {Kind: "http", From: drills.From{Network: "n"}, URL: l.URL + "/", Every: ms(1000), Timeout: ms(500)},
		"free": {Kind: "http", From: drills.From{Host: true}, URL: l.URL + "/free", Every: ms(20), Timeout: ms(500)},
	}
}

func learn(t *testing.T, l *limited, cfg RatesConfig) (*Rates, []drills.Check) {
	t.Helper()
	cfg.Launcher, cfg.Probes = &inProcess{t: t}, l.probes()
	r := NewRates(cfg)
	return r, r.Check(t.Context(), nil)
}

// probed runs the probes for a while and returns what was measured of them.
func probed(t *testing.T, l *limited, r *Rates) (map[string]drills.ProbeMeasured, []string) {
	t.Helper()
	seen := &events{}
	p := NewProbes(ProbesConfig{Specs: l.probes(), Launcher: &inProcess{t: t}, Samples: newMemSamples(), Rates: r})
	if err := p.Start(t.Context(), seen.emit); err != nil {
		t.Fatal(err)
	}
	wait(t, 2500*time.Millisecond)
	ev, err := p.Finish(t.Context(), drills.Timing{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]drills.ProbeMeasured{}
	for _, e := range ev {
		out[e.Probe.Name] = *e.Probe
	}
	var findings []string
	for _, e := range seen.all {
		if e.Finding != nil {
			findings = append(findings, e.Finding.ID+": "+e.Finding.Detail)
		}
	}
	return out, findings
}

// The observer that would run into the limit of its target learns it first: not one request is throttled, and its interval is
// as wide as its period. The same probes without it are throttled.
func TestProbesKeepTheirTargetsLimit(t *testing.T) {
	t.Parallel()
	l := newLimited(t, 40, 2*time.Second)
	r, checks := learn(t, l, RatesConfig{Recovery: drills.Recovery{For: ms(5000)}})
	if len(checks) != 1 || !checks[0].OK || !strings.Contains(checks[0].Actual, "probe fast ask every") || !strings.Contains(checks[0].Expected, "50% of 40 requests in 2s") {
		t.Fatalf("%+v", checks)
	}
	m, findings := probed(t, l, r)
	if l.throttled != 0 || m["fast"].Count.Throttled != 0 {
		t.Errorf("%d requests were throttled", l.throttled)
	}
	if e := m["fast"].Every.D(); e < 110*time.Millisecond || e > 120*time.Millisecond || m["fast"].Count.Good < 10 || m["slow"].Every != ms(1000) || m["free"].Every != ms(20) {
		t.Errorf("fast every %s, slow every %s, free every %s: %+v", e, m["slow"].Every, m["free"].Every, m["fast"].Count)
	}
	if len(findings) != 1 || !strings.Contains(findings[0], "slowed:fast: Learned before the fault: it asks every") || !strings.Contains(findings[0], "instead of every 20ms, it sends no bursts") {
		t.Errorf("%q", findings)
	}
	again, _ := probed(t, l, nil)
	if l.throttled == 0 || again["fast"].Count.Throttled == 0 {
		t.Error("the limit does not bite: this test proves nothing")
	}
}

// What cannot be measured at the rate that is left is not measured at all, and why is said.
func TestRatesThatDoNotFit(t *testing.T) {
	t.Parallel()
	tight := newLimited(t, 4, 10*time.Second)
	_, checks := learn(t, tight, RatesConfig{Recovery: drills.Recovery{For: ms(5000)}})
	if len(checks) != 1 || checks[0].OK || !strings.Contains(checks[0].Actual, "too seldom to measure a recovery") {
		t.Errorf("%+v", checks)
	}
	used := newLimited(t, 4, 10*time.Second)
	for range 5 {
		if resp, err := http.Get(used.URL); err == nil {
			resp.Body.Close()
		}
	}
	if _, checks = learn(t, used, RatesConfig{}); len(checks) != 1 || checks[0].OK || !strings.Contains(checks[0].Actual, "0 of 4 left: nothing is left for us") {
		t.Errorf("%+v", checks)
	}
	silent := newLimited(t, 0, 10*time.Second)
	silent.silent = true
	if _, checks = learn(t, silent, RatesConfig{}); len(checks) != 1 || checks[0].OK || !strings.Contains(checks[0].Actual, "does not say what it allows. Retry-After: 1") {
		t.Errorf("%+v", checks)
	}
}

// A target that answers nobody may allow anything: a drill that is judged by it does not begin. Bystanders may be away.
func TestRatesOfATargetThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	gone := newLimited(t, 100, time.Second)
	gone.Close()
	for judged, ok := range map[bool]bool{true: false, false: true} {
		_, checks := learn(t, gone, RatesConfig{Judged: map[string]bool{"slow": judged}})
		if len(checks) != 1 || checks[0].OK != ok || judged && !strings.Contains(checks[0].Actual, "not asked: ") {
			t.Errorf("judged %v: %+v", judged, checks)
		}
	}
}

// The system file can state a limit that the target does not: it holds for everything that goes there.
func TestRatesOfTheSystemFile(t *testing.T) {
	t.Parallel()
	l := newLimited(t, 1000, time.Second)
	l.silent = true
	limits := map[string]drills.TargetLimit{l.host(): {Requests: 1200, Per: drills.Duration(time.Minute)}}
	canaries := map[string]drills.CanarySpec{"c": {Kind: "http", From: drills.From{Host: true}, Every: ms(100), Write: &drills.HTTPWrite{URL: l.URL + "/{n}"}}}
	r, checks := learn(t, l, RatesConfig{Limits: limits, Canaries: canaries})
	// 600 a minute for 3 + 1: the slow one keeps 60, the others share 540.
	if len(checks) != 1 || !checks[0].OK || !strings.Contains(checks[0].Expected, "system file") {
		t.Fatalf("%+v", checks)
	}
	s, _ := r.probe("free", l.probes()["free"])
	c, said := r.canary("c", canaries["c"])
	if s.Every != ms(340) || c.Every != ms(340) || !strings.Contains(said, "every 340ms instead of every 100ms") {
		t.Errorf("free every %s, canary every %s (%s): %+v", s.Every, c.Every, said, checks)
	}
	if len(l.seen) == 0 {
		t.Error("nothing was asked")
	}
	unlimited := newLimited(t, 1000, time.Second)
	unlimited.silent = true
	if r, checks := learn(t, unlimited, RatesConfig{}); len(checks) != 1 || !checks[0].OK || len(r.slower) != 0 {
		t.Errorf("%+v", checks)
	}
}
