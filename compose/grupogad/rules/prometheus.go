package main

import "time"

// The parts of Prometheus' two file formats that are used here.
type (
	promConfig struct {
		Global struct {
			ScrapeInterval     string            `yaml:"scrape_interval"`
			EvaluationInterval string            `yaml:"evaluation_interval"`
			ExternalLabels     map[string]string `yaml:"external_labels"`
		} `yaml:"global"`
		RuleFiles []string `yaml:"rule_files"`
		Alerting  struct {
			Alertmanagers []staticConfigs `yaml:"alertmanagers"`
		} `yaml:"alerting"`
		Scrape []scrapeConfig `yaml:"scrape_configs"`
	}
	staticConfigs struct {
		Static []targets `yaml:"static_configs"`
	}
	targets struct {
		Targets []string          `yaml:"targets"`
		Labels  map[string]string `yaml:"labels,omitempty"`
	}
	scrapeConfig struct {
		Job      string    `yaml:"job_name"`
		Interval string    `yaml:"scrape_interval"`
		Timeout  string    `yaml:"scrape_timeout"`
		Path     string    `yaml:"metrics_path,omitempty"`
		Static   []targets `yaml:"static_configs"`
		Relabel  []relabel `yaml:"relabel_configs,omitempty"`
	}
	relabel struct {
		Source      []string `yaml:"source_labels,omitempty"`
		Regex       string   `yaml:"regex,omitempty"`
		Target      string   `yaml:"target_label"`
		Replacement string   `yaml:"replacement,omitempty"`
	}
)

// environment is on every series and every alert: a drill that is pointed at the wrong Prometheus can tell.
const environment = "reference"

func prometheusConfig(s set) promConfig {
	var c promConfig
	c.Global.ScrapeInterval = promDuration(s.Scrape)
	c.Global.EvaluationInterval = promDuration(min(s.Evaluate, 15*time.Second))
	c.Global.ExternalLabels = map[string]string{"cluster": "grupo_gad_reference", "environment": environment}
	c.RuleFiles = []string{"rules.yml"}
	c.Alerting.Alertmanagers = []staticConfigs{{Static: []targets{{Targets: []string{"alertmanager:9093"}}}}}
	c.Scrape = jobs()
	for i := range c.Scrape {
		c.Scrape[i].Interval, c.Scrape[i].Timeout = promDuration(s.scrapeOf(c.Scrape[i].Job)), promDuration(s.timeoutOf(c.Scrape[i].Job))
		for _, t := range c.Scrape[i].Static {
			t.Labels["environment"] = environment
		}
	}
	return c
}

// jobs is Tabla 1 with the proxy that it leaves out and the database's own proxy.
func jobs() []scrapeConfig {
	return []scrapeConfig{
		job("prometheus", "prometheus", "monitoring", "localhost:9090"),
		job("api", "api", "api", "api-1:8000", "api-2:8000"),
		job("bot", "bot", "bot", "bot:8000"),
		{Job: "postgres", Static: []targets{ // one exporter process per member, so that pg_up means one member
			member("pg-exporter:9187", "pg-1:5432"), member("pg-exporter:9188", "pg-2:5432"), member("pg-exporter:9189", "pg-3:5432"),
		}},
		redisJob("redis-1:6379", "redis-2:6379", "redis-3:6379"),
		job("node", "node-exporter", "infrastructure", "node-exporter:9100"),
		job("alertmanager", "alertmanager", "alerting", "alertmanager:9093"),
		job("caddy", "caddy", "proxy", "caddy:2019"),
		job("haproxy", "haproxy", "database", "haproxy:8404"),
		job("backup", "backup", "database", "backup:9188"),
	}
}

func job(name, service, component string, at ...string) scrapeConfig {
	return scrapeConfig{Job: name, Static: []targets{{Targets: at, Labels: map[string]string{"service": service, "component": component}}}}
}

func member(exporter, instance string) targets {
	return targets{Targets: []string{exporter}, Labels: map[string]string{"service": "postgresql", "component": "database", "instance": instance}}
}

// redisJob asks the one exporter about each member in turn.
func redisJob(members ...string) scrapeConfig {
	c := job("redis", "redis", "cache", members...)
	c.Path = "/scrape"
	c.Relabel = []relabel{
		{Source: []string{"__address__"}, Target: "instance"},
		{Source: []string{"__address__"}, Target: "__param_target", Regex: "(.+)", Replacement: "redis://$1"},
		{Target: "__address__", Replacement: "redis-exporter:9121"},
	}
	return c
}

type (
	ruleFile struct {
		Groups []ruleGroup `yaml:"groups"`
	}
	ruleGroup struct {
		Name     string     `yaml:"name"`
		Interval string     `yaml:"interval"`
		Rules    []ruleItem `yaml:"rules"`
	}
	ruleItem struct {
		Alert       string            `yaml:"alert,omitempty"`
		Record      string            `yaml:"record,omitempty"`
		Expr        string            `yaml:"expr"`
		For         string            `yaml:"for,omitempty"`
		KeepFiring  string            `yaml:"keep_firing_for,omitempty"`
		Labels      map[string]string `yaml:"labels,omitempty"`
		Annotations map[string]string `yaml:"annotations,omitempty"`
	}
)

// ruleSetMetric is 1, with the labels set and defect, while that choice of rules is loaded.
const ruleSetMetric = "simulacro_rule_set"

func alertRules(s set, rules []rule, defect string) ruleFile {
	mark := map[string]string{"set": s.Name}
	if defect != "" {
		mark["defect"] = defect
	}
	alerts := make([]ruleItem, len(rules))
	for i, r := range rules {
		alerts[i] = alert(s, r, defect)
	}
	return ruleFile{Groups: []ruleGroup{
		{Name: "simulacro", Interval: "1s", Rules: []ruleItem{{Record: ruleSetMetric, Expr: "vector(1)", Labels: mark}}},
		{Name: "grupogad", Interval: promDuration(s.Evaluate), Rules: alerts},
	}}
}

func alert(s set, r rule, defect string) ruleItem {
	labels := map[string]string{"severity": r.Severity, "channel": r.Channel, "rule_set": s.Name}
	if r.Component != "" { // else the target's own
		labels["component"] = r.Component
	}
	if defect != "" {
		labels["rule_defect"] = defect
	}
	item := ruleItem{
		Alert: r.Name, Expr: s.window(r.Expr), For: promDuration(s.For(r)), Labels: labels,
		Annotations: map[string]string{"summary": r.Summary},
	}
	if s.KeepFiring > 0 {
		item.KeepFiring = promDuration(s.KeepFiring)
	}
	return item
}
