package drills

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// ready asks everything that must hold before anything is injected, all of it, and takes the guard last.
func (r *run) ready(ctx context.Context) bool {
	if !r.enter(Ready) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, r.Limits.Ready)
	defer cancel()
	if !r.ripen(ctx) {
		return false
	}
	ok := r.preflights(ctx)
	ok = r.resolve(ctx) && ok
	if !ok || r.interrupted(ctx) {
		return false
	}
	return r.lock(ctx)
}

// ripen waits for requirements that only need time, where it is not much: after another drill they mostly do. What is
// not so afterwards blocks like everything else.
func (r *run) ripen(ctx context.Context) bool {
	if !slices.ContainsFunc(r.drill.Require, Requirement.needsTime) {
		return true // nothing to look for
	}
	t, err := r.grown(ctx)
	if r.interrupted(ctx) {
		return false
	}
	if err != nil {
		return true // resolve asks again, and tells
	}
	left, what := Ripe(r.drill, t)
	if what == "" || left > r.Limits.Ready/2 {
		return true
	}
	left += time.Second // roles are read in steps
	r.emit(Event{Kind: EvNote, Text: fmt.Sprintf("waiting %s: %s", left.Round(100*time.Millisecond), what)})
	return r.wait(ctx, left)
}

// grown waits for members that were started just now and are not healthy yet, and returns the topology after that.
func (r *run) grown(ctx context.Context) (Topology, error) {
	for end, told := time.Now().Add(r.Limits.Ready/2), false; ; told = true {
		t, err := r.Runtime.Topology(ctx)
		young := growing(r.drill, t)
		if err != nil || len(young) == 0 || !time.Now().Before(end) {
			return t, err
		}
		if !told {
			r.emit(Event{Kind: EvNote, Text: fmt.Sprintf("waiting %s at most until they are healthy: %s", r.Limits.Ready/2, strings.Join(young, ", "))})
		}
		if !r.wait(ctx, time.Second) {
			return t, nil
		}
	}
}

// preflights run side by side; their checks are recorded in the order of the list.
func (r *run) preflights(ctx context.Context) bool {
	results := make([][]Check, len(r.Preflights))
	var wg sync.WaitGroup
	for i, p := range r.Preflights {
		wg.Go(func() { results[i] = p.Check(ctx, r.drill) })
	}
	wg.Wait()
	ok := true
	for _, checks := range results {
		for _, c := range checks {
			ok = r.check(c) && ok
		}
	}
	return ok
}

// resolve reads the topology, checks `require:` and plans every step.
func (r *run) resolve(ctx context.Context) bool {
	t, err := r.Runtime.Topology(ctx)
	if err != nil {
		return r.check(Check{Name: "topology", Actual: err.Error(), Hint: "see `simulacro doctor`"})
	}
	ok := true
	for _, c := range Requirements(r.drill, t) {
		ok = r.check(c) && ok
	}
	plan, errs := MakePlan(r.drill, r.system, t, r.opened.Run)
	for _, err := range errs {
		ok = r.check(Check{Name: "plan", Actual: err.Error()}) && ok
	}
	if n := concurrent(r.drill); r.system.Limits.ConcurrentFaults > 0 && n > r.system.Limits.ConcurrentFaults {
		ok = r.check(Check{Name: "concurrent faults", Expected: fmt.Sprint("<= ", r.system.Limits.ConcurrentFaults), Actual: fmt.Sprint(n), Hint: "limits.concurrent-faults in the system file"}) && ok
	}
	r.plan = plan
	return r.prepared(ctx, plan) && ok
}

// prepared finds out of every change whether it may be done. What is read here is not used: it is read again before the deed.
func (r *run) prepared(ctx context.Context, plan Plan) bool {
	ok := true
	for _, c := range plan.Changes() {
		if _, err := r.prepare(ctx, c); err != nil {
			ok = r.check(Check{Name: "capability: " + c.Do.Verb + " on " + c.Member, Actual: err.Error()})
		}
	}
	return ok
}

// beside tells whether a fault of this name happens beside the system and breaks nothing of it.
func beside(fault string) bool {
	return strings.HasPrefix(fault, "saturate-") || fault == "restore-backup" || fault == "runbook"
}

// concurrent is the largest number of steps in force at the same time; a step without a duration stays in force.
func concurrent(d *Drill) int {
	most := 0
	for _, a := range d.Method {
		n := 0
		for _, b := range d.Method {
			ends := b.Duration == 0 || b.At+b.Duration > a.At
			if b.At <= a.At && ends && !beside(b.Fault) {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

func (r *run) lock(ctx context.Context) bool {
	g, release, err := r.Lock(ctx)
	if err != nil {
		return r.check(Check{Name: "guard", Expected: "no other run on this system", Actual: err.Error(), Hint: "see `simulacro status`"})
	}
	r.guard, r.release = g, release
	return r.check(Check{Name: "guard", OK: true, Actual: "holds the lock"})
}

// steady starts every observer and watches the settle window: the baseline of every probe, and what the drill asks of it.
func (r *run) steady(ctx context.Context) bool {
	if !r.enter(Steady) {
		return false
	}
	for _, o := range r.Observers {
		r.started = append(r.started, o)
		if err := o.Start(context.WithoutCancel(ctx), func(e Event) { r.emit(e) }); err != nil {
			return r.check(Check{Name: "observer", Actual: err.Error()})
		}
	}
	if !r.wait(ctx, r.Limits.Warm) {
		return false
	}
	from := time.Now()
	if !r.wait(ctx, r.drill.SteadyState.For.D()) {
		return false
	}
	r.settled = Interval{From: from, To: time.Now()}
	return r.baseline(ctx) && !r.interrupted(ctx)
}

// wait lets time pass, unless the run is interrupted.
func (r *run) wait(ctx context.Context, d time.Duration) bool {
	end := time.Now().Add(d)
	for time.Now().Before(end) {
		if r.interrupted(ctx) {
			return false
		}
		Wait(ctx, min(r.Limits.Tick, time.Until(end)))
	}
	return !r.interrupted(ctx)
}

func (r *run) baseline(ctx context.Context) bool {
	for _, o := range r.Observers {
		b, ok := o.(Baseliner)
		if !ok {
			continue
		}
		events, err := b.Baseline(ctx, r.settled)
		if err != nil {
			return r.check(Check{Name: "baseline", Actual: err.Error()})
		}
		for _, e := range events {
			r.emit(e)
		}
	}
	f := newFolder(r.all())
	if cause, why := f.observerFault(); why != "" {
		r.emit(Event{Kind: EvFinding, Finding: &Finding{ID: cause, Severity: SeveritySerious, Title: why}})
		return false
	}
	ok := r.steadyEnough(f.rec.Baselines)
	return r.steadySLOs(f.rec.Baselines) && ok
}

// steadySLOs tells which SLOs of the component the system misses before anything is injected; only a drill that says
// `steady-state: {slos: met}` is not run for it.
func (r *run) steadySLOs(bs []Baseline) bool {
	must, ok := r.drill.SteadyState.SLOs == "met", true
	for _, s := range SteadySLOs(r.system, r.drill.Component, bs) {
		switch {
		case must:
			c := Check{Name: "steady SLO: " + s.Title, Expected: s.Target, Actual: strings.TrimSpace(s.Actual + " " + s.Why), OK: s.Verdict == Met}
			if !c.OK {
				c.Hint = "the system was outside its SLO before the drill: look at it first"
			}
			ok = r.check(c) && ok
		case s.Verdict == NotMet:
			r.emit(Event{Kind: EvNote, Text: fmt.Sprintf("an SLO is missed before the fault: %s (%s): %s", s.Title, s.Target, s.Why)})
		}
	}
	return ok
}

// steadyEnough compares the baselines with the drill's steady state: a system that is already outside it is not drilled.
func (r *run) steadyEnough(bs []Baseline) bool {
	seen := map[string]Baseline{}
	for _, b := range bs {
		seen[b.Probe] = b
	}
	ok := true
	for name, want := range r.drill.SteadyState.Probes {
		b, found := seen[name]
		c := Check{Name: "steady state: " + name, Expected: shareText(want), Actual: "no samples", Hint: "the system was not healthy before the drill: look at it first"}
		if found && b.Count.Good+b.Count.Bad() > 0 {
			c.Actual = fmt.Sprintf("%.2f%% of %d", b.Share*100, b.Count.Good+b.Count.Bad())
			c.OK = b.Share >= float64(want)
		}
		ok = r.check(c) && ok
	}
	return ok
}
