package monitor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// fake answers as Prometheus, Alertmanager and the sink do, all on one port.
type fake struct {
	ready   int
	alerts  string // JSON of the alerts
	resolve int64  // so many questions for alerts are answered with them, then none is left; 0: they stay
	groups  string // JSON of the rule groups
	targets string // JSON of the active targets
	instant map[string]string
	ranges  map[string]string // by query: JSON of the matrix
	series  map[string]string // by selector: JSON of the label sets
	sink    string
	user    atomic.Pointer[string]
	asked   atomic.Int64
	told    atomic.Int64 // questions for alerts
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, _, _ := r.BasicAuth()
	f.user.Store(&user)
	f.asked.Add(1)
	_ = r.ParseForm()
	ok := func(format string, a ...any) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"status":"success","data":`+format+`}`, a...)
	}
	switch r.URL.Path {
	case "/-/ready":
		w.WriteHeader(f.ready)
	case "/api/v1/alerts":
		if f.told.Add(1); f.resolve > 0 && f.told.Load() > f.resolve {
			ok(`{"alerts":[]}`)
			return
		}
		ok(`{"alerts":[%s]}`, f.alerts)
	case "/api/v1/rules":
		ok(`{"groups":[%s]}`, f.groups)
	case "/api/v1/targets":
		ok(`{"activeTargets":[%s]}`, f.targets)
	case "/api/v1/query":
		ok(`{"resultType":"vector","result":[%s]}`, f.instant[r.Form.Get("query")])
	case "/api/v1/query_range":
		m, there := f.ranges[r.Form.Get("query")]
		if !there {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"status":"error","errorType":"bad_data","error":"parse error: unexpected end of input"}`))
			return
		}
		ok(`{"resultType":"matrix","result":[%s]}`, m)
	case "/api/v1/series":
		ok(`[%s]`, f.series[r.Form.Get("match[]")])
	case "/notifications":
		_, _ = w.Write([]byte("[" + f.sink + "]"))
	}
}

// monitorOf opens a Monitor on f, whose address is a name that only the dial knows, as inside a Compose network.
func monitorOf(t *testing.T, f *fake, change func(*Config)) *Monitor {
	t.Helper()
	if f.ready == 0 {
		f.ready = http.StatusOK
	}
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr != "prometheus:9090" {
			return nil, fmt.Errorf("no such name: %s", addr)
		}
		var d net.Dialer
		return d.DialContext(ctx, network, srv.Listener.Addr().String())
	}
	cfg := Config{
		Dial: dial, Poll: 20 * time.Millisecond, Patience: 100 * time.Millisecond, Monitoring: drills.Monitoring{
			Prometheus:   &drills.Endpoint{URL: "http://prometheus:9090/", Username: "${env:WHO}", Password: "x"},
			Alertmanager: &drills.Endpoint{URL: "http://prometheus:9090"},
			NotifiedBy:   &drills.NotifiedBy{Kind: "webhook", At: "http://prometheus:9090"},
		},
		Expand: func(s string) (string, error) { return strings.ReplaceAll(s, "${env:WHO}", "reader"), nil },
	}
	if change != nil {
		change(&cfg)
	}
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

const (
	redisRule = `{"name":"gad","rules":[{"type":"alerting","name":"RedisDown","query":"redis_up == 0","duration":2,"labels":{}},
		{"type":"recording","name":"x","query":"y"}]}`
	scraped = `{"scrapePool":"redis","labels":{"instance":"r1"},"health":"up","scrapeInterval":"1s"},
		{"scrapePool":"node","labels":{"instance":"n"},"health":"down","lastError":"refused","scrapeInterval":"5s"}`
	redisFires = `{"labels":{"alertname":"RedisDown","instance":"r1","severity":"critical"},"state":"firing","activeAt":"2026-01-01T00:00:00Z","value":"0e+00"}`
)

func TestChecks(t *testing.T) {
	expect := drills.Expect{Alerts: &drills.Alerts{Fire: []drills.AlertExpect{{Name: "RedisDown"}}, Allow: []string{"Watchdog"}}}
	none := []drills.Requirement{{AlertsFiring: "none"}}
	watchdog := `{"labels":{"alertname":"Watchdog"},"state":"firing"}`
	for _, c := range []struct {
		name    string
		fake    *fake
		drill   drills.Drill
		id      *drills.Identity
		bad     string // name of the one check that fails; "" for none
		says    string // in its actual or hint
		without bool   // no Prometheus declared
	}{
		{name: "all well", fake: &fake{groups: redisRule, targets: scraped, alerts: watchdog}, drill: drills.Drill{Expect: expect, Require: none}},
		{name: "prometheus is not ready", fake: &fake{ready: 503}, bad: "monitoring: prometheus answers", says: "503"},
		{
			name: "rule missing", fake: &fake{groups: strings.ReplaceAll(redisRule, "RedisDown", "RedisGone")}, drill: drills.Drill{Expect: expect},
			bad: "monitoring: rule RedisDown", says: "RedisGone",
		},
		{name: "no rules", drill: drills.Drill{Expect: expect}, bad: "monitoring: rule set", says: "rule_files"},
		{
			name: "expected alert fires already", fake: &fake{groups: redisRule, alerts: redisFires}, drill: drills.Drill{Expect: expect},
			bad: "monitoring: expected alerts not firing yet", says: "RedisDown{instance=r1,severity=critical}",
		},
		{name: "any alert fires", fake: &fake{alerts: redisFires}, drill: drills.Drill{Require: none}, bad: "monitoring: no unexpected alert firing", says: "RedisDown"},
		{name: "an alert fires a little longer", fake: &fake{alerts: redisFires, resolve: 2}, drill: drills.Drill{Require: none}},
		{name: "an alert fires, nobody minds", fake: &fake{alerts: redisFires}},
		{name: "identity holds", fake: &fake{instant: map[string]string{"count(up)": `{"metric":{},"value":[1,"3"]}`}}, id: &drills.Identity{PromQL: "count(up)", Min: 3}},
		{
			name: "identity too small", fake: &fake{instant: map[string]string{"count(up)": `{"metric":{},"value":[1,"2"]}`}}, id: &drills.Identity{PromQL: "count(up)", Min: 3},
			bad: "identity: promql", says: "does not watch the system",
		},
		{name: "identity without data", id: &drills.Identity{PromQL: "count(up)", Min: 0}, bad: "identity: promql", says: "no data"},
		{name: "identity NaN", fake: &fake{instant: map[string]string{"q": `{"metric":{},"value":[1,"NaN"]}`}}, id: &drills.Identity{PromQL: "q"}, bad: "identity: promql", says: "NaN"},
		{name: "monitoring needed, none declared", without: true, drill: drills.Drill{Expect: expect}, bad: "monitoring: prometheus declared", says: "add monitoring.prometheus"},
		{name: "no monitoring, none needed", without: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := monitorOf(t, cmp.Or(c.fake, &fake{}), func(cfg *Config) {
				cfg.Identity = c.id
				if c.without {
					cfg.Monitoring = drills.Monitoring{}
				}
			})
			var failing []drills.Check
			for _, k := range m.Check(t.Context(), &c.drill) {
				if !k.OK && k.Name != "monitoring: alertmanager answers" { // shares the fake's readiness
					failing = append(failing, k)
				}
			}
			switch {
			case c.bad == "" && len(failing) > 0:
				t.Errorf("failing: %+v", failing)
			case c.bad != "" && len(failing) == 0:
				t.Errorf("nothing fails, want %q", c.bad)
			case c.bad != "" && (failing[0].Name != c.bad || !strings.Contains(failing[0].Actual+failing[0].Hint, c.says)):
				t.Errorf("failing %+v, want %q saying %q", failing, c.bad, c.says)
			}
		})
	}
}

func TestRuleSet(t *testing.T) {
	for want, f := range map[string]*fake{
		"gad":       {groups: redisRule},
		"blueprint": {groups: redisRule, instant: map[string]string{RuleSetMetric: `{"metric":{"set":"blueprint"},"value":[1,"1"]}`}},
	} {
		if got, err := monitorOf(t, f, nil).RuleSet(t.Context()); err != nil || got != want {
			t.Errorf("RuleSet = %q, %v; want %q", got, err, want)
		}
		if user := *f.user.Load(); user != "reader" {
			t.Errorf("asked as %q: the reference in the credentials was not expanded", user)
		}
	}
}

func TestWindows(t *testing.T) {
	t0 := time.Unix(1_800_000_000, 0).UTC()
	window := func(d time.Duration) drills.Interval { return drills.Interval{From: t0, To: t0.Add(d)} }
	series := func(values ...string) string {
		var ps []string
		for i, v := range values {
			ps = append(ps, fmt.Sprintf(`[%d,%q]`, t0.Unix()+int64(i), v))
		}
		return `{"metric":{},"values":[` + strings.Join(ps, ",") + `]}`
	}
	f := &fake{targets: scraped, ranges: map[string]string{
		"ratio": series("NaN", "0.5", "NaN", "0.25"), "nan": series("NaN"), "none": "", "inf": series("+Inf", "1"),
		"two": series("1", "2") + "," + series("7", "0"),
	}}
	for _, c := range []struct {
		query         string
		window        drills.Interval
		min, max, end float64
		samples       int
		step          time.Duration
		err           string
	}{
		{query: "ratio", window: window(10 * time.Second), min: .25, max: .5, end: .25, samples: 2, step: time.Second},
		{query: "nan", window: window(10 * time.Second), step: time.Second},
		{query: "none", window: window(10 * time.Second), step: time.Second},
		{query: "inf", window: window(10 * time.Second), min: 1, max: math.MaxFloat64, end: 1, samples: 2, step: time.Second},
		{query: "two", window: window(10 * time.Second), min: 0, max: 7, end: 2, samples: 4, step: time.Second},
		{query: "ratio", window: window(300 * time.Millisecond), min: .25, max: .5, end: .25, samples: 2, step: 300 * time.Millisecond},
		{query: "ratio", window: window(22 * time.Hour), min: .25, max: .5, end: .25, samples: 2, step: 7201 * time.Millisecond},
		{query: "rate(", window: window(10 * time.Second), step: time.Second, err: "parse error"},
		{query: "ratio", window: drills.Interval{}, err: "did not reach"},
	} {
		t.Run(fmt.Sprintf("%s over %s", c.query, c.window.To.Sub(c.window.From)), func(t *testing.T) {
			m := monitorOf(t, f, nil)
			evs, err := m.Windows(t.Context(), []drills.NamedWindow{
				{During: drills.During{Title: "no query", Probe: "p"}},
				{During: drills.During{Title: "x", PromQL: c.query}, Window: c.window},
			})
			if err != nil || len(evs) != 1 || evs[0].Kind != drills.EvQuery {
				t.Fatalf("Windows = %+v, %v; want one query event", evs, err)
			}
			q := evs[0].Query
			if q.Min != c.min || q.Max != c.max || q.Last != c.end || q.Samples != c.samples || q.NoData != (c.samples == 0) || q.Step.D() != c.step {
				t.Errorf("got %+v, want %+v", q, c)
			}
			if !strings.Contains(q.Error, c.err) || (c.err == "") != (q.Error == "") {
				t.Errorf("error %q, want %q", q.Error, c.err)
			}
			if c.step > 0 && !strings.Contains(q.Resolution, "1s to 5s") {
				t.Errorf("resolution %q does not say how often it is scraped", q.Resolution)
			}
			if _, err := json.Marshal(evs); err != nil {
				t.Errorf("the event cannot be journaled: %v", err)
			}
		})
	}
}

func TestExporterUpServiceDown(t *testing.T) {
	labels := `{"__name__":%q,"job":"redis","instance":"r1"}`
	series := func(name, values string) string {
		return fmt.Sprintf(`{"metric":`+labels+`,"values":[%s]}`, name, values)
	}
	for _, c := range []struct {
		name, up, service, groups, severity string
	}{
		{"service down, exporter up, a rule looks", `[1,"1"],[2,"1"],[3,"1"]`, `[1,"1"],[2,"0"],[3,"0"]`, redisRule, drills.SeverityInfo},
		{"service down, exporter up, no rule looks", `[1,"1"],[2,"1"]`, `[1,"0"],[2,"0"]`, strings.ReplaceAll(redisRule, "redis_up", "up"), drills.SeverityWarning},
		{"both down", `[1,"1"],[2,"0"]`, `[1,"1"],[2,"0"]`, redisRule, ""},
		{"exporter gone", `[1,"1"],[2,"0"]`, `[1,"1"]`, redisRule, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{groups: c.groups, ranges: map[string]string{"up": series("up", c.up), serviceUp: series("redis_up", c.service)}}
			evs, err := monitorOf(t, f, nil).disagreements(t.Context(), drills.Interval{From: time.Unix(1, 0), To: time.Unix(3, 0)})
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case c.severity == "" && len(evs) > 0:
				t.Errorf("found %+v where both agree", evs[0].Finding)
			case c.severity != "" && (len(evs) != 1 || evs[0].Finding.Severity != c.severity || !strings.Contains(evs[0].Finding.Detail, "r1: up==1 while redis_up==0 in 2 of ")):
				t.Errorf("events %+v, want one finding (%s) with r1 and 2 samples", evs, c.severity)
			}
		})
	}
}

func TestRealPolling(t *testing.T) {
	now := time.Now()
	f := &fake{
		groups: redisRule, targets: scraped, ranges: map[string]string{"up": "", serviceUp: ""},
		sink: fmt.Sprintf(`{"received_at":%d,"status":"firing","alerts":[{"status":"firing","labels":{"alertname":"A"},"startsAt":%q}]},
			{"received_at":%q,"status":"resolved","alerts":[{"status":"resolved","labels":{"alertname":"A"},"startsAt":%q}]}`,
			now.UnixNano(), now.Format(time.RFC3339Nano), now.Add(time.Second).Format(time.RFC3339Nano), now.Format(time.RFC3339Nano)),
		alerts: strings.ReplaceAll(redisFires, "2026-01-01T00:00:00Z", now.Add(-time.Minute).Format(time.RFC3339)),
	}
	m := monitorOf(t, f, nil)
	events := make(chan drills.Event, 100)
	if err := m.Start(t.Context(), func(e drills.Event) { events <- e }); err != nil {
		t.Fatal(err)
	}
	var got []string
	for len(got) < 4 {
		select {
		case e := <-events:
			if e.Finding != nil {
				got = append(got, e.Finding.ID)
			} else {
				got = append(got, string(e.Alert.State)+" "+e.Alert.Name)
			}
		case <-time.After(3 * time.Second):
			t.Fatalf("only %v", got)
		}
	}
	if want := []string{"scrape-targets-down", "alerts-already-firing", "notified A", "resolved-notified A"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if evs, err := m.Finish(t.Context(), drills.Timing{Opened: now}); err != nil || len(evs) > 0 {
		t.Errorf("Finish = %v, %v", evs, err)
	}
	asked := f.asked.Load()
	time.Sleep(3 * m.cfg.Poll)
	if more := f.asked.Load() - asked; more > 0 {
		t.Errorf("%d requests after Finish: the poller outlived it", more)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, mon := range map[string]drills.Monitoring{
		"address": {Prometheus: &drills.Endpoint{URL: "prometheus:9090"}},
		"kind":    {NotifiedBy: &drills.NotifiedBy{Kind: "email", At: "http://x"}},
		"sink":    {NotifiedBy: &drills.NotifiedBy{Kind: "webhook", At: "x"}},
	} {
		if _, err := New(Config{Monitoring: mon}); drills.CodeOf(err) != drills.Input {
			t.Errorf("%s: err = %v, want code input", name, err)
		}
	}
}
