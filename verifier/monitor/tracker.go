package monitor

import (
	"maps"
	"slices"
	"strings"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/eevans-d/simulacro/drills"
)

// span is when a request went out and when its answer was here: what it tells was true at some instant in between.
type span struct{ sent, got time.Time }

// life is one alert, identified by its name and labels, from pending to gone.
type life struct {
	name     string
	severity string
	labels   map[string]string // without alertname
	state    drills.AlertState
	old      bool // it fired before we looked: not this drill's doing
}

// tracker turns successive answers of Prometheus and the sink into the steps of each alert's life. Pure: no clock, no network.
type tracker struct {
	hold  map[string]time.Duration // the rule's `for`, by alert name
	lives map[string]*life         // active now
	seen  map[string]*life         // ever active, for recognising a delivery
	begun map[string]bool          // "<key> <startsAt> <status>" already told
	old   map[string]bool          // keys that were firing at the start
	over  map[string]bool          // alerts beyond maxLives, not followed
	start time.Time
}

// maxLives bounds the alerts that are followed; a storm beyond that is counted, not followed.
const maxLives = 2000

func newTracker(start time.Time, rules []alertRule) *tracker {
	t := &tracker{
		hold: map[string]time.Duration{}, lives: map[string]*life{}, seen: map[string]*life{},
		begun: map[string]bool{}, old: map[string]bool{}, over: map[string]bool{}, start: start,
	}
	for _, r := range rules {
		if d, ok := t.hold[r.Name]; !ok || r.For < d { // the shorter one: a lower bound must hold for both
			t.hold[r.Name] = r.For
		}
	}
	return t
}

// baseline takes the first answer: what fires already is returned and never attributed.
func (t *tracker) baseline(alerts []v1.Alert) (firing []*life) {
	for key, a := range byKey(alerts) {
		if a.State != v1.AlertStateFiring {
			continue
		}
		l := newLife(a)
		l.state, l.old = drills.AlertFiring, true
		t.lives[key], t.seen[key], t.old[key] = l, l, true
		firing = append(firing, l)
	}
	slices.SortFunc(firing, func(a, b *life) int { return strings.Compare(a.String(), b.String()) })
	return firing
}

// observe compares Prometheus's answer with the one before.
//
// How an instant is bounded: the answer before was true at some instant after prev.sent, so a step that it did not
// show happened after prev.sent; the one that shows it was true before now.got. Prometheus itself says more:
// activeAt is the evaluation that made the alert pending, and it cannot fire before activeAt plus the rule's `for`.
// That bound is on Prometheus's clock, so it is used only where it lies inside our own interval.
func (t *tracker) observe(prev, now span, alerts []v1.Alert) []drills.AlertEvent {
	var out []drills.AlertEvent
	seen := byKey(alerts)
	for _, key := range slices.Sorted(maps.Keys(seen)) {
		if ev, ok := t.step(key, seen[key], prev, now); ok {
			out = append(out, ev)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(t.lives)) {
		l := t.lives[key]
		if _, still := seen[key]; still {
			continue
		}
		delete(t.lives, key)
		// An alert that was only pending and an old one have nothing to resolve.
		if l.state == drills.AlertFiring && !l.old {
			out = append(out, l.event(drills.AlertResolved, drills.Interval{From: prev.sent, To: now.got}))
		}
	}
	return out
}

func (t *tracker) step(key string, a v1.Alert, prev, now span) (drills.AlertEvent, bool) {
	l, state, bound := t.lives[key], drills.AlertPending, a.ActiveAt
	if a.State == v1.AlertStateFiring {
		state = drills.AlertFiring
		bound = a.ActiveAt.Add(t.hold[string(a.Labels[model.AlertNameLabel])])
	}
	switch {
	case l == nil && len(t.seen) >= maxLives && t.seen[key] == nil:
		t.over[string(a.Labels[model.AlertNameLabel])] = true
		return drills.AlertEvent{}, false
	case l == nil:
		l = newLife(a)
		t.lives[key], t.seen[key] = l, l
	case l.state == state || l.old:
		return drills.AlertEvent{}, false
	}
	l.state = state
	at := drills.Interval{From: prev.sent, To: now.got}
	if bound.After(at.From) && !bound.After(at.To) {
		at.From = bound
	}
	if at.From.IsZero() { // pending before we looked, and Prometheus's clock is ahead of ours
		at.From = at.To
	}
	return l.event(state, at), true
}

func newLife(a v1.Alert) *life {
	l := &life{name: string(a.Labels[model.AlertNameLabel]), severity: string(a.Labels["severity"]), labels: map[string]string{}}
	for k, v := range a.Labels {
		if k != model.AlertNameLabel {
			l.labels[string(k)] = string(v)
		}
	}
	return l
}

func (l *life) event(state drills.AlertState, at drills.Interval) drills.AlertEvent {
	at.From, at.To = at.From.UTC(), at.To.UTC()
	return drills.AlertEvent{Name: l.name, Labels: l.labels, Severity: l.severity, State: state, At: at, Source: "prometheus"}
}

// String is the alert for people: its name and what tells it from others of that name.
func (l *life) String() string { return describe(l.name, l.labels) }

func describe(name string, labels map[string]string) string {
	var parts []string
	for _, k := range []string{"component", "job", "instance", "severity"} {
		if v := labels[k]; v != "" {
			parts = append(parts, k+"="+v)
		}
	}
	if len(parts) == 0 {
		return name
	}
	return name + "{" + strings.Join(parts, ",") + "}"
}

// byKey indexes active alerts by name and labels; of two with the same, the one that fires counts.
func byKey(alerts []v1.Alert) map[string]v1.Alert {
	out := map[string]v1.Alert{}
	for _, a := range alerts {
		if a.State != v1.AlertStateFiring && a.State != v1.AlertStatePending {
			continue
		}
		key := a.Labels.Fingerprint().String()
		if had, ok := out[key]; !ok || had.State != v1.AlertStateFiring {
			out[key] = a
		}
	}
	return out
}
