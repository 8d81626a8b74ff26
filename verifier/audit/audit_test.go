package audit

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// world is a sound monitoring; each test breaks one thing in it.
type world struct {
	sys    *drills.System
	facts  drills.MonitoringFacts
	values map[string][]float64 // by query
	boards map[string][]byte
}

func rule(name, query string, labels ...string) drills.AlertRule {
	r := drills.AlertRule{Name: name, Query: query, Health: "ok", Labels: map[string]string{}}
	for i := 0; i+1 < len(labels); i += 2 {
		r.Labels[labels[i]] = labels[i+1]
	}
	return r
}

func sound() *world {
	most := 0.01
	redisDown := rule("RedisDown", `redis_up{job="redis"} == 0`, "severity", "critical", "component", "cache")
	slow := rule("HighLatencyP95", `histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{job="api"}[5m]))) > 0.2`, "severity", "warning", "component", "api")
	errs := rule("HighErrorRate", `sum(rate(http_requests_total{job="api",status=~"5.."}[5m])) / sum(rate(http_requests_total{job="api"}[5m])) > 0.01`, "severity", "critical", "component", "api")
	return &world{
		sys: &drills.System{
			Components: map[string]drills.Component{
				"redis": {Name: "redis", Kind: "redis", SeenBy: &drills.SeenBy{Service: `max(redis_up{job="redis"})`, Exporter: `min(up{job="redis"})`}},
				"api": {Name: "api", Kind: "http", SLOs: []drills.SLO{
					{ID: "p95", Title: "API p95", P95: drills.Duration(200 * time.Millisecond), Rules: []string{"HighLatencyP95"}, Dashboard: "API"},
					{ID: "errors", Title: "API errors", Max: &most, Rules: []string{"HighErrorRate"}},
				}},
			},
			Monitoring: drills.Monitoring{
				Jobs:   map[string]drills.ScrapeJob{"api": {Interval: drills.Duration(10 * time.Second), Targets: 2, Labels: map[string]string{"service": "fastapi"}}},
				Labels: &drills.LabelRules{Forbidden: []string{"user"}, Allowed: []string{"job", "instance", "service"}, MaxSeries: 100},
			},
		},
		facts: drills.MonitoringFacts{
			Targets: []drills.ScrapeTarget{
				{Job: "api", Instance: "api-1", Labels: map[string]string{"service": "fastapi"}, Up: true, Interval: 10 * time.Second},
				{Job: "api", Instance: "api-2", Labels: map[string]string{"service": "fastapi"}, Up: true, Interval: 10 * time.Second},
				{Job: "redis", Instance: "redis-1", Up: true, Interval: 15 * time.Second},
			},
			Rules: []drills.AlertRule{redisDown, slow, errs}, Labels: []string{"__name__", "job", "instance"}, Series: 50,
			AlertmanagerYAML: `
route:
  receiver: everybody
  routes:
    - {matchers: ['severity="critical"'], receiver: on-call}
inhibit_rules:
  - {source_matchers: ['alertname="RedisDown"'], target_matchers: ['severity="warning"']}
receivers:
  - {name: everybody, webhook_configs: [{url: "http://sink:8080/a"}]}
  - {name: on-call, webhook_configs: [{url: "<secret>"}]}
`,
		},
		values: map[string][]float64{
			`count({__name__="redis_up"})`:                             {3},
			`redis_up{job="redis"}`:                                    {1, 1, 1},
			`count({__name__="http_request_duration_seconds_bucket"})`: {40},
			`count({__name__="http_requests_total"})`:                  {9},
			`count({__name__="up"})`:                                   {3},
			`sum(rate(http_requests_total{job="api"}[1m]))`:            {12},
		},
		boards: map[string][]byte{"api.json": []byte(`{"title":"API","panels":[{"title":"rate","targets":[{"expr":"sum(rate(http_requests_total{job=\"api\"}[$__rate_interval]))"}]}]}`)},
	}
}

func (w *world) run() []drills.Diagnosis {
	return Run(context.Background(), Input{System: w.sys, Facts: w.facts, Dashboards: w.boards, Ask: func(_ context.Context, q string) ([]float64, error) {
		if q == "refused" {
			return nil, errors.New("parse error")
		}
		return w.values[q], nil
	}})
}

func (w *world) setRule(r drills.AlertRule) {
	for i, x := range w.facts.Rules {
		if x.Name == r.Name {
			w.facts.Rules[i] = r
			return
		}
	}
	w.facts.Rules = append(w.facts.Rules, r)
}

// TestSoundMonitoring: nothing is worse than "no data now" where everything is as it should be.
func TestSoundMonitoring(t *testing.T) {
	for _, d := range sound().run() {
		if d.Level.Worse(drills.LevelNotChecked) {
			t.Errorf("%s: %s: %s", d.What, d.Level, d.Found)
		}
	}
}

// TestDefectsAreFound: each way in which a monitoring misleads, most of them of a real one, is told on a line of its own.
func TestDefectsAreFound(t *testing.T) {
	for _, tt := range []struct {
		name    string
		breakIt func(*world)
		what    string
		level   drills.Level
		says    string
	}{
		{"a target is down", func(w *world) { w.facts.Targets[0].Up, w.facts.Targets[0].Error = false, "refused" }, "scrape job api", drills.LevelProblem, "1 of 2 up; down: api-1 (refused)"},
		{"a target is not scraped", func(w *world) { w.facts.Targets = w.facts.Targets[1:] }, "scrape job api", drills.LevelProblem, "1 target, declared are 2"},
		{"a job is not there", func(w *world) { w.sys.Monitoring.Jobs["caddy"] = drills.ScrapeJob{} }, "scrape job caddy", drills.LevelProblem, "no such job"},
		{"a declared gap", func(w *world) { w.sys.Monitoring.Jobs["caddy"] = drills.ScrapeJob{Absent: "probed from outside"} }, "scrape job caddy", drills.LevelWarning, "probed from outside"},
		{"another interval", func(w *world) { w.facts.Targets[1].Interval = time.Minute }, "scrape job api: interval and labels", drills.LevelWarning, "api-2 every 1m0s, declared is 10s"},
		{"a label is missing", func(w *world) { w.facts.Targets[1].Labels = nil }, "scrape job api: interval and labels", drills.LevelWarning, `api-2 has service="", declared is "fastapi"`},
		{"a series per person", func(w *world) { w.facts.Labels = append(w.facts.Labels, "user") }, "labels", drills.LevelProblem, "forbidden: user"},
		{"an unknown label", func(w *world) { w.facts.Labels = append(w.facts.Labels, "path") }, "labels", drills.LevelWarning, "path"},
		{"too many series", func(w *world) { w.facts.Series = 101 }, "series", drills.LevelWarning, "101 active"},
		{"no rules", func(w *world) { w.facts.Rules = nil }, "alert rules", drills.LevelProblem, "none is loaded"},
		{"a metric that nobody exposes", func(w *world) { delete(w.values, `count({__name__="redis_up"})`) }, "rule RedisDown", drills.LevelProblem, "stands on what nobody exposes: redis_up"},
		{"the exporter is watched", func(w *world) { w.setRule(rule("RedisDown", `up{job="redis"} == 0`)) }, "rule RedisDown", drills.LevelProblem, "watches the exporter of redis, not the service"},
		{"a division by zero", func(w *world) {
			w.setRule(rule("RedisMemoryHigh", `redis_used / redis_max > 0.9`))
			w.values[`count({__name__="redis_used"})`], w.values[`count({__name__="redis_max"})`] = []float64{3}, []float64{3}
			w.values[`count((redis_max) == 0)`], w.values[`redis_used / redis_max`] = []float64{3}, []float64{math.Inf(1)}
		}, "rule RedisMemoryHigh", drills.LevelProblem, "divides by zero now: redis_max"},
		{"Prometheus cannot evaluate it", func(w *world) {
			r := rule("RedisDown", `redis_up{job="redis"} == 0`)
			r.Health, r.Error = "err", "many-to-many"
			w.setRule(r)
		}, "rule RedisDown", drills.LevelProblem, "many-to-many"},
		{"a rule of another threshold", func(w *world) {
			w.setRule(rule("HighLatencyP95", `histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{job="api"}[5m]))) > 0.5`))
		}, "SLO api/p95", drills.LevelWarning, "HighLatencyP95 fires at 0.5, the objective is 0.2"},
		{"an SLO without its rule", func(w *world) { w.facts.Rules = w.facts.Rules[:1] }, "SLO api/p95", drills.LevelProblem, "no such rule is loaded: HighLatencyP95"},
		{"an SLO whose rule is mute", func(w *world) { delete(w.values, `count({__name__="http_requests_total"})`) }, "SLO api/errors", drills.LevelProblem, "its rule cannot work: HighErrorRate"},
		{"a dashboard that is not there", func(w *world) { w.boards = nil }, "dashboard of api/p95", drills.LevelProblem, "no dashboard called API"},
		{"a dashboard without data", func(w *world) { delete(w.values, `sum(rate(http_requests_total{job="api"}[1m]))`) }, "dashboard API", drills.LevelProblem, "1 of 1 queries have no data: rate"},
		{"a query that is refused", func(w *world) {
			w.boards["b.json"] = []byte(`{"title":"B","panels":[{"panels":[{"title":"p","targets":[{"expr":"refused"}]}]}]}`)
		}, "dashboard B", drills.LevelProblem, "p (parse error)"},
		{"an empty dashboard", func(w *world) { w.boards["b.json"] = []byte(`{"title":"B"}`) }, "dashboard B", drills.LevelProblem, "no query"},
		{"no dashboard at all", func(w *world) { w.boards["b.json"] = []byte(`[]`) }, "dashboard b.json", drills.LevelProblem, "it is no dashboard"},
		{"an inhibition without a source", func(w *world) {
			w.facts.AlertmanagerYAML = strings.Replace(w.facts.AlertmanagerYAML, `alertname="RedisDown"`, `alertname="InstanceDown"`, 1)
		}, "inhibition 1", drills.LevelProblem, `no loaded rule is its source: {alertname="InstanceDown"}`},
		{"a route behind another", func(w *world) {
			w.facts.AlertmanagerYAML = strings.Replace(w.facts.AlertmanagerYAML, "inhibit_rules", "    - {match: {component: cache}, receiver: database-team}\ninhibit_rules", 1)
		}, "route to database-team", drills.LevelWarning, `no loaded rule's alert reaches it: {component="cache"}`},
		{"a placeholder", func(w *world) {
			w.facts.AlertmanagerYAML = strings.Replace(w.facts.AlertmanagerYAML, "http://sink:8080/a", "https://hooks.slack.example.com/T00000000", 1)
		}, "receiver everybody", drills.LevelProblem, "a placeholder was never filled in"},
		{"a receiver that tells nobody", func(w *world) {
			w.facts.AlertmanagerYAML += "  - {name: nobody}\n"
		}, "receiver nobody", drills.LevelWarning, "it tells nobody"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := sound()
			tt.breakIt(w)
			for _, d := range w.run() {
				if d.What == tt.what {
					if d.Level != tt.level || !strings.Contains(d.Found, tt.says) {
						t.Errorf("%s: %s, want %s: %s", d.Level, d.Found, tt.level, tt.says)
					}
					if d.Why == "" && d.Level == drills.LevelProblem && !strings.HasPrefix(d.What, "dashboard") {
						t.Error("a problem that does not say why it matters")
					}
					return
				}
			}
			t.Errorf("no line about %s", tt.what)
		})
	}
}

// TestRoutesAsAlertmanagerTakesThem: the deepest match, the first of its level, and what continue lets through.
func TestRoutesAsAlertmanagerTakesThem(t *testing.T) {
	a := &amRoute{Match: map[string]string{"severity": "critical"}, Continue: true, Routes: []*amRoute{{MatchRE: map[string]string{"component": "api|db"}}}}
	b := &amRoute{Matchers: []string{`severity=~"critical|warning"`, `component!="x"`}}
	root := &amRoute{Routes: []*amRoute{a, b}}
	for _, tt := range []struct {
		severity, component string
		want                []*amRoute
	}{
		{"critical", "api", []*amRoute{a.Routes[0], b}},
		{"critical", "cache", []*amRoute{a, b}},
		{"warning", "x", []*amRoute{root}},
		{"warning", "", []*amRoute{b}},
	} {
		hit := map[*amRoute]bool{}
		root.send(map[string]string{"severity": tt.severity, "component": tt.component}, hit)
		ok := len(hit) == len(tt.want)
		for _, r := range tt.want {
			ok = ok && hit[r]
		}
		if !ok {
			t.Errorf("%s %s: %d routes, want %d", tt.severity, tt.component, len(hit), len(tt.want))
		}
	}
}

func TestGrafanaVariables(t *testing.T) {
	for expr, want := range map[string]string{
		`rate(x[$__rate_interval])`:                             `rate(x[1m])`,
		`rate(x{job="$job",i=~"${inst:regex}"}[${__interval}])`: `rate(x{job=~".+",i=~".+"}[1m])`,
		`x{job="api"}`: `x{job="api"}`,
	} {
		if got := filled(expr); got != want {
			t.Errorf("%s: %s, want %s", expr, got, want)
		}
	}
}

// FuzzExpression: whatever is found in an expression can be asked for by itself.
func FuzzExpression(f *testing.F) {
	f.Add(`a{b="c"} / d > 1 and absent(x) or up{job=~"y"} == 0`)
	f.Fuzz(func(t *testing.T, s string) {
		x, err := parse(s)
		if err != nil {
			return
		}
		for _, part := range x.selectors {
			if _, err := parse(part.text); err != nil {
				t.Fatalf("selector %q: %v", part.text, err)
			}
		}
		for _, c := range x.comparisons {
			if _, err := parse(c.left); err != nil {
				t.Fatalf("side %q: %v", c.left, err)
			}
		}
	})
}
