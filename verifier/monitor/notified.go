package monitor

import (
	"maps"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/eevans-d/simulacro/drills"
)

// told turns deliveries into notified and resolved-notified steps, each once per life of an alert: Alertmanager
// repeats an alert with every change of its group.
func (t *tracker) told(ns []notification) []drills.AlertEvent {
	var out []drills.AlertEvent
	for _, n := range ns {
		for _, a := range n.Alerts {
			if ev, ok := t.tell(n.ReceivedAt.Time, a); ok {
				out = append(out, ev)
			}
		}
	}
	return out
}

func (t *tracker) tell(at time.Time, a notifiedAlert) (drills.AlertEvent, bool) {
	state := drills.AlertNotified
	if a.Status == "resolved" {
		state = drills.AlertResolvedNotified
	}
	own := lifeOf(a.Labels)
	once := strings.Join([]string{own.key(), a.StartsAt.UTC().Format(time.RFC3339Nano), a.Status}, " ")
	if t.begun[once] {
		return drills.AlertEvent{}, false
	}
	t.begun[once] = true
	l := t.match(own)
	if t.old[l.key()] && a.StartsAt.Before(t.start) {
		return drills.AlertEvent{}, false // it fired before the drill: nobody was told of the drill
	}
	ev := l.event(state, drills.At(at))
	ev.Source = "sink"
	return ev, true
}

// match finds the alert in Prometheus that a delivered one is: external labels and relabelling change what
// Alertmanager gets, so the same name and labels that include Prometheus's are enough. The most specific wins.
func (t *tracker) match(own *life) *life {
	best, found := own, -1
	for _, l := range t.seen {
		if l.name == own.name && len(l.labels) > found && includes(own.labels, l.labels) {
			best, found = l, len(l.labels)
		}
	}
	return best
}

func lifeOf(labels map[string]string) *life {
	l := &life{name: labels[model.AlertNameLabel], severity: labels["severity"], labels: maps.Clone(labels)}
	delete(l.labels, model.AlertNameLabel)
	return l
}

// key is the identity of an alert: the fingerprint of its name and labels, as Prometheus computes it.
func (l *life) key() string {
	set := model.LabelSet{model.AlertNameLabel: model.LabelValue(l.name)}
	for k, v := range l.labels {
		set[model.LabelName(k)] = model.LabelValue(v)
	}
	return set.Fingerprint().String()
}

func includes(all, some map[string]string) bool {
	for k, v := range some {
		if w, ok := all[k]; !ok || w != v {
			return false
		}
	}
	return true
}
