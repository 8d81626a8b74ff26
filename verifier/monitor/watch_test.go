package monitor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"go.uber.org/zap/zaptest"

	"github.com/eevans-d/simulacro/drills"
)

// world is a Prometheus and a sink on a time axis: what each would answer at an instant after the start.
type world struct {
	start  time.Time
	spells []spell
	dark   [][2]time.Duration // Prometheus does not answer
	told   []telling
	cost   time.Duration // of one answer
}

// spell is one alert pending from and firing from, until; for sets activeAt = pend.
type spell struct {
	name, instance    string
	pend, fire, until time.Duration
}

type telling struct {
	at     time.Duration
	status string
	labels map[string]string
	starts time.Duration
}

func (w *world) alerts(context.Context) ([]v1.Alert, error) {
	time.Sleep(w.cost)
	now := time.Since(w.start)
	for _, d := range w.dark {
		if now >= d[0] && now < d[1] {
			return nil, errors.New("connection refused")
		}
	}
	var out []v1.Alert
	for _, s := range w.spells {
		if now < s.pend || now >= s.until {
			continue
		}
		a := v1.Alert{
			ActiveAt: w.start.Add(s.pend), State: v1.AlertStatePending,
			Labels: model.LabelSet{"alertname": model.LabelValue(s.name), "instance": model.LabelValue(s.instance), "severity": "critical"},
		}
		if now >= s.fire {
			a.State = v1.AlertStateFiring
		}
		out = append(out, a)
	}
	return out, nil
}

func (w *world) notifications(_ context.Context, since time.Time) ([]notification, error) {
	var out []notification
	for _, n := range w.told {
		at := w.start.Add(n.at)
		if at.After(time.Now()) || at.Before(since) { // since is inclusive: repeats are the watcher's to drop
			continue
		}
		out = append(out, notification{ReceivedAt: stamp{at}, Alerts: []notifiedAlert{{Status: n.status, Labels: n.labels, StartsAt: w.start.Add(n.starts)}}})
	}
	return out, nil
}

// play watches the world for that long and returns the alert events as "state name@from..to" in seconds, and the findings.
func play(t *testing.T, w *world, rules []alertRule, length time.Duration) (alerts []string, findings []drills.Finding) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w.start = time.Now().Add(10 * time.Second) // the watcher starts at 0 s, so that -5 s is before it
		time.Sleep(10 * time.Second)
		var mu sync.Mutex
		take := func(e drills.Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Finding != nil {
				findings = append(findings, *e.Finding)
			}
			if a := e.Alert; a != nil {
				alerts = append(alerts, fmt.Sprintf("%s %s %s@%.2f..%.2f %s", a.State, a.Name, a.Labels["instance"],
					a.At.From.Sub(w.start).Seconds(), a.At.To.Sub(w.start).Seconds(), a.Source))
			}
		}
		watch := &watcher{prom: w, sink: w, poll: DefaultPoll, emit: take, log: zaptest.NewLogger(t)}
		if err := watch.begin(t.Context(), rules); err != nil {
			t.Fatal(err)
		}
		time.Sleep(length)
		for _, e := range watch.end() {
			take(e)
		}
	})
	return alerts, findings
}

func TestTimeline(t *testing.T) {
	redis := map[string]string{"alertname": "RedisDown", "instance": "r1", "severity": "critical", "cluster": "external-label"}
	rules := []alertRule{{Name: "RedisDown", For: 2 * time.Second}, {Name: "RedisDown", For: 5 * time.Second}}
	for _, c := range []struct {
		name     string
		world    world
		want     []string
		findings []string
	}{
		{
			name: "a whole life",
			world: world{
				spells: []spell{{"RedisDown", "r1", 1100 * time.Millisecond, 3300 * time.Millisecond, 6600 * time.Millisecond}},
				told: []telling{
					{3400 * time.Millisecond, "firing", redis, 3300 * time.Millisecond},
					{4 * time.Second, "firing", redis, 3300 * time.Millisecond},
					{6700 * time.Millisecond, "resolved", redis, 3300 * time.Millisecond},
				},
			},
			want: []string{
				"pending RedisDown r1@1.10..1.25 prometheus", // activeAt is the lower bound
				"firing RedisDown r1@3.25..3.50 prometheus",  // activeAt + for = 3.1 lies before the poll that did not see it
				"notified RedisDown r1@3.40..3.40 sink",      // once, and with Prometheus's labels
				"resolved RedisDown r1@6.50..6.75 prometheus",
				"resolved-notified RedisDown r1@6.70..6.70 sink",
			},
		},
		{
			name:  "fires within one poll, narrowed by the rule's for",
			world: world{spells: []spell{{"RedisDown", "r1", 1100 * time.Millisecond, 3100 * time.Millisecond, time.Hour}}},
			want:  []string{"pending RedisDown r1@1.10..1.25 prometheus", "firing RedisDown r1@3.10..3.25 prometheus"},
		},
		{
			name:  "a slow answer widens the interval",
			world: world{cost: 100 * time.Millisecond, spells: []spell{{"Other", "x", -time.Second, 1100 * time.Millisecond, time.Hour}}},
			// the poll sent at 0.85 did not see it, the one sent at 1.10 (first poll at 0.10) was answered at 1.20
			want: []string{"pending Other x@-1.00..0.10 prometheus", "firing Other x@0.85..1.20 prometheus"},
		},
		{
			name: "old alerts are noted, not attributed, until they fire anew",
			world: world{
				spells: []spell{{"RedisDown", "r1", -5 * time.Second, -3 * time.Second, 2 * time.Second}, {"RedisDown", "r1", 4 * time.Second, 6100 * time.Millisecond, time.Hour}},
				told:   []telling{{time.Second, "firing", redis, -3 * time.Second}, {2100 * time.Millisecond, "resolved", redis, -3 * time.Second}, {6200 * time.Millisecond, "firing", redis, 6100 * time.Millisecond}},
			},
			want:     []string{"pending RedisDown r1@4.00..4.00 prometheus", "firing RedisDown r1@6.00..6.25 prometheus", "notified RedisDown r1@6.20..6.20 sink"},
			findings: []string{"alerts-already-firing"},
		},
		{
			name:  "pending only: nothing to resolve",
			world: world{spells: []spell{{"RedisDown", "r1", time.Second, time.Hour, 2 * time.Second}}},
			want:  []string{"pending RedisDown r1@1.00..1.00 prometheus"},
		},
		{
			name:  "blind: the change carries the whole span, and one finding has it",
			world: world{spells: []spell{{"RedisDown", "r1", time.Second, 3 * time.Second, time.Hour}}, dark: [][2]time.Duration{{2 * time.Second, 5 * time.Second}}},
			want:  []string{"pending RedisDown r1@1.00..1.00 prometheus", "firing RedisDown r1@3.00..5.00 prometheus"},
			// the last good answer was asked for at 1.75
			findings: []string{"monitoring-blind"},
		},
		{
			name:  "two instances, two lives",
			world: world{spells: []spell{{"TargetDown", "a", time.Second, time.Second, time.Hour}, {"TargetDown", "b", 2 * time.Second, 2 * time.Second, time.Hour}}},
			want:  []string{"firing TargetDown a@1.00..1.00 prometheus", "firing TargetDown b@2.00..2.00 prometheus"},
		},
		{
			name:  "a notification nobody can place keeps its own labels",
			world: world{told: []telling{{time.Second, "firing", map[string]string{"alertname": "Elsewhere", "instance": "z"}, time.Second}}},
			want:  []string{"notified Elsewhere z@1.00..1.00 sink"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, findings := play(t, &c.world, rules, 8*time.Second)
			if !slices.Equal(got, c.want) {
				t.Errorf("alerts\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			var ids []string
			for _, f := range findings {
				ids = append(ids, f.ID)
			}
			if !slices.Equal(ids, c.findings) {
				t.Errorf("findings %v, want %v", findings, c.findings)
			}
		})
	}
}

func TestBlindSpanIsTold(t *testing.T) {
	for _, c := range []struct {
		name     string
		dark     [][2]time.Duration
		severity string
		says     []string
	}{
		{
			"twice",
			[][2]time.Duration{{time.Second, 2 * time.Second}, {4 * time.Second, 5 * time.Second}},
			drills.SeverityWarning,
			[]string{"Prometheus did not answer for 2.5 s in 2 span(s)", "connection refused"},
		},
		{"to the end", [][2]time.Duration{{time.Second, time.Hour}}, drills.SeveritySerious, []string{"still so at the end"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, findings := play(t, &world{dark: c.dark}, nil, 8*time.Second)
			if len(findings) != 1 || findings[0].Severity != c.severity {
				t.Fatalf("findings %+v, want one that is %s", findings, c.severity)
			}
			for _, s := range c.says {
				if !strings.Contains(findings[0].Title+findings[0].Detail, s) {
					t.Errorf("%q is not in %+v", s, findings[0])
				}
			}
		})
	}
}

func TestBeginNeedsAFirstAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{start: time.Now(), dark: [][2]time.Duration{{0, time.Hour}}}
		err := (&watcher{prom: w, poll: DefaultPoll, emit: func(drills.Event) {}, log: zaptest.NewLogger(t)}).begin(t.Context(), nil)
		if drills.CodeOf(err) != drills.Blocked {
			t.Errorf("err = %v, want code blocked", err)
		}
	})
}

func TestAStormIsBounded(t *testing.T) {
	tr := newTracker(time.Now(), nil)
	var alerts []v1.Alert
	for i := range maxLives + 50 {
		alerts = append(alerts, v1.Alert{State: v1.AlertStateFiring, Labels: model.LabelSet{"alertname": "Storm", "i": model.LabelValue(fmt.Sprint(i))}})
	}
	if n := len(tr.observe(span{}, span{}, alerts)); n != maxLives || len(tr.over) != 1 {
		t.Errorf("%d events and %d names over the bound, want %d and 1", n, len(tr.over), maxLives)
	}
}
