package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

func TestCatalogueIsComplete(t *testing.T) {
	want := []string{
		"APIDown", "BackupTooOld", "BackupWALStopped", "BotDown", "CriticalLatencyP99", "HighBotLatency", "HighErrorRate", "HighLatencyP95", "HighProxyLatency",
		"HighWebSocketBroadcastErrors", "HighWebSocketLatency", "InstanceDown", "PostgreSQLDown", "PostgreSQLReplicationBroken", "ProxyDown",
		"RedisDown", "RedisHighEvictionRate", "RedisMemoryHigh", "RedisPrimaryMissing", "RedisReplicationBroken", "SlowQueries", "TargetDown",
	}
	if got := alertNames(catalogue()); !slices.Equal(got, want) {
		t.Errorf("alerts\n got %v\nwant %v", got, want)
	}
	for _, r := range catalogue() {
		if r.Severity != critical && r.Severity != warning {
			t.Errorf("%s: severity %q", r.Name, r.Severity)
		}
		if r.Fast < time.Second || r.Fast >= r.Blueprint {
			t.Errorf("%s: fast for %v must be at least 1s and below the blueprint's %v", r.Name, r.Fast, r.Blueprint)
		}
		if r.Summary == "" || len(r.Metrics) == 0 {
			t.Errorf("%s: needs a summary and the metrics it stands on", r.Name)
		}
		for _, m := range r.Metrics {
			if !strings.Contains(r.Expr, m) {
				t.Errorf("%s: metric %s is not in %s", r.Name, m, r.Expr)
			}
		}
	}
}

// rendered returns the alerts of a choice by name, as they would be read from the file.
func rendered(t *testing.T, name string, defects ...string) map[string]ruleItem {
	t.Helper()
	s, err := setNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	files, err := choice{s, defects}.files()
	if err != nil {
		t.Fatal(err)
	}
	var f ruleFile
	if err := yaml.Unmarshal(files["rules.yml"], &f); err != nil {
		t.Fatal(err)
	}
	items := map[string]ruleItem{}
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			items[r.Alert+r.Record] = r
		}
	}
	return items
}

func TestSetsDifferOnlyInTime(t *testing.T) {
	blueprint, fast := rendered(t, "blueprint"), rendered(t, "fast")
	for name, b := range blueprint {
		f := fast[name]
		if got := strings.ReplaceAll(f.Expr, "[10s]", "[5m]"); got != b.Expr {
			t.Errorf("%s: fast %s, blueprint %s", name, f.Expr, b.Expr)
		}
		if strings.Contains(b.Expr, "$window") {
			t.Errorf("%s: the window was not filled in: %s", name, b.Expr)
		}
	}
	if got := blueprint["RedisDown"].For; got != "1m" { // Tabla 16
		t.Errorf("blueprint RedisDown for %s, want 1m", got)
	}
	if got := fast["RedisDown"].For; got != "2s" {
		t.Errorf("fast RedisDown for %s, want 2s", got)
	}
}

func TestDefects(t *testing.T) {
	for _, tc := range []struct {
		name    string
		defects []string
		exprs   map[string]string // whole expression of these; all others as in the sound set
	}{
		{
			"exporter watched instead of service",
			[]string{"up-of-exporter"},
			map[string]string{"RedisDown": `up{job="redis"} == 0`, "PostgreSQLDown": `up{job="postgres"} == 0`},
		},
		{
			"metric that nobody exposes",
			[]string{"missing-metric:RedisDown"},
			map[string]string{"RedisDown": `simulacro_missing_redis_up{job="redis"} == 0 or (simulacro_missing_up{job="redis"} == 0 and on () max(simulacro_missing_up{job="redis"}) == 1)`},
		},
		{
			"division by a limit that is not set",
			[]string{"memory-divides-by-zero"},
			map[string]string{"RedisMemoryHigh": `redis_memory_used_bytes{job="redis"} / redis_memory_max_bytes{job="redis"} > 0.9`},
		},
		{
			"thresholds that are not the SLOs",
			[]string{"slo-drift"},
			map[string]string{
				"HighErrorRate":      `sum(rate(http_requests_total{job="api",status=~"5.."}[10s])) / sum(rate(http_requests_total{job="api"}[10s])) > 0.05`,
				"HighLatencyP95":     `histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{job="api"}[10s]))) > 0.5`,
				"CriticalLatencyP99": `histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{job="api"}[10s]))) > 2`,
			},
		},
		{"Alertmanager's alone", []string{"unreachable-route", "placeholder-receivers"}, nil},
		{
			"two on different rules",
			[]string{"up-of-exporter", "missing-metric:TargetDown"},
			map[string]string{"RedisDown": `up{job="redis"} == 0`, "PostgreSQLDown": `up{job="postgres"} == 0`, "TargetDown": `simulacro_missing_up == 0`},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sound, spoilt := rendered(t, "fast"), rendered(t, "fast", tc.defects...)
			for name, r := range spoilt {
				want, changed := tc.exprs[name]
				if !changed {
					want = sound[name].Expr
				}
				if r.Expr != want {
					t.Errorf("%s: %s, want %s", name, r.Expr, want)
				}
				if r.Alert != "" && (r.Labels["rule_set"] != "fast" || r.Labels["rule_defect"] != strings.Join(tc.defects, ",")) {
					t.Errorf("%s: labels %v do not say which set and defects it belongs to", name, r.Labels)
				}
			}
			mark := spoilt[ruleSetMetric].Labels
			if mark["set"] != "fast" || mark["defect"] != strings.Join(tc.defects, ",") {
				t.Errorf("%s has labels %v", ruleSetMetric, mark)
			}
		})
	}
}

func TestSoundSetCarriesNoDefectLabel(t *testing.T) {
	for name, r := range rendered(t, "blueprint") {
		if _, there := r.Labels["rule_defect"]; there {
			t.Errorf("%s has a rule_defect label", name)
		}
	}
}

// Every series that a spoilt rule stands on must be gone from it, or the alert could still fire.
func TestMissingMetricTakesAllOfThem(t *testing.T) {
	for _, r := range catalogue() {
		spoilt, err := spoil(catalogue(), []string{missingMetric + r.Name})
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(spoilt, func(s rule) bool { return s.Name == r.Name })
		for _, m := range r.Metrics {
			if regexp.MustCompile(`\b` + m + `\b`).MatchString(spoilt[i].Expr) {
				t.Errorf("%s still stands on %s: %s", r.Name, m, spoilt[i].Expr)
			}
		}
	}
}

func TestWrongChoices(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		says string
	}{
		{"unknown set", []string{"-set", "slow", "-out", "x"}, "blueprint and fast"},
		{"unknown defect", []string{"-out", "x", "-defect", "nonsense"}, "up-of-exporter"},
		{"unknown alert", []string{"-out", "x", "-defect", "missing-metric:Nope"}, "RedisDown"},
		{"two on one rule", []string{"-out", "x", "-defect", "up-of-exporter", "-defect", "missing-metric:RedisDown"}, "both change RedisDown"},
		{"nowhere to write", nil, "-out"},
		{"unknown flag", []string{"-fast"}, "-fast"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			var out, errs strings.Builder
			if code := run(t.Context(), tc.args, &out, &errs); code != 2 {
				t.Errorf("exit code %d, want 2", code)
			}
			if !strings.Contains(errs.String(), tc.says) {
				t.Errorf("said %q, want it to contain %q", errs.String(), tc.says)
			}
			if left, _ := filepath.Glob("*"); len(left) != 0 {
				t.Errorf("wrote %v", left)
			}
		})
	}
}

func TestWriteIsReadableInContainersAndRepeatable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "monitoring")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if code := run(t.Context(), []string{"-out", dir}, t.Output(), t.Output()); code != 0 {
			t.Fatalf("exit code %d", code)
		}
	}
	for path, want := range map[string]os.FileMode{
		dir: 0o755, filepath.Join(dir, "rules.yml"): 0o644,
		filepath.Join(dir, "prometheus.yml"): 0o644, filepath.Join(dir, "alertmanager.yml"): 0o644,
	} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", filepath.Base(path), got, want)
		}
	}
}

// TestAlertmanagerDefects: each changes what it says, and the sound file has none of it.
func TestAlertmanagerDefects(t *testing.T) {
	s, err := setNamed("fast")
	if err != nil {
		t.Fatal(err)
	}
	sound := alertmanagerConfig(s, nil)
	if len(sound.Route.Routes) != 2 || sound.Receivers[0].Webhooks[0].URL != sinkURL {
		t.Errorf("sound: %+v", sound)
	}
	for _, in := range sound.Inhibit { // a source that no rule defines never inhibits
		if name := strings.Trim(strings.TrimPrefix(in.Source[0], "alertname="), `"`); !slices.Contains(alertNames(catalogue()), name) {
			t.Errorf("no rule %s, which is to inhibit others", name)
		}
	}
	if got := alertmanagerConfig(s, []string{unreachableRoute}); len(got.Route.Routes) != 3 || got.Route.Routes[2].Matchers[0] != `component="database"` || got.Route.Routes[0].Matchers[0] != `severity="critical"` {
		t.Errorf("unreachable route: %+v", got.Route)
	}
	for _, r := range alertmanagerConfig(s, []string{placeholderReceiver}).Receivers {
		if r.Webhooks[0].URL == sinkURL {
			t.Errorf("%s still reaches the sink", r.Name)
		}
	}
	if got := alertmanagerConfig(s, []string{danglingInhibition}).Inhibit; len(got) != len(sound.Inhibit)+1 {
		t.Errorf("inhibitions: %+v", got)
	}
}
