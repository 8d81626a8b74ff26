package main

import (
	"slices"
	"time"
)

// rule is one alert. Expr may use $window, the set's rate window. Metrics are the names that the rule
// stands on; the defect missing-metric misspells them.
type rule struct {
	Name            string
	Expr            string
	Metrics         []string
	Blueprint, Fast time.Duration // "for" in each set
	Severity        string        // critical | warning
	Component       string
	Channel         string // where the blueprint sends it
	Summary         string
	UpOf            string // job whose `up` the defect up-of-exporter watches instead
}

const (
	critical, warning = "critical", "warning"
	emailSlack, slack = "email+slack", "slack"

	// sustained is how long a rate or a percentile must be bad in the fast set. Like the blueprint's five
	// minutes it is longer than a failover may take: those alerts are about trouble that stays.
	sustained = 30 * time.Second
)

// catalogue is every alert of Tablas 4, 15 and 16, plus replication, which those tables forget, and InstanceDown, which
// GRUPO_GAD inhibits others by without ever having defined it. Thresholds are the SLOs of Tabla 3.
func catalogue() []rule {
	return slices.Concat(apiRules(), botRules(), storeRules(), platformRules())
}

func botRules() []rule {
	return []rule{
		{
			Name: "HighBotLatency", Expr: `histogram_quantile(0.95, sum by (le) (rate(bot_response_latency_bucket{job="bot"}[$window]))) > 2`,
			Metrics: []string{"bot_response_latency_bucket"}, Blueprint: 5 * time.Minute, Fast: sustained,
			Severity: warning, Component: "bot", Channel: slack, Summary: "p95 of the bot's answers above 2 s",
		},
		{
			Name: "BotDown", Expr: `up{job="bot"} == 0`, Metrics: []string{"up"},
			Blueprint: time.Minute, Fast: 5 * time.Second, Severity: critical, Component: "bot", Channel: emailSlack,
			Summary: "The Telegram bot does not answer its scrape",
		},
	}
}

func apiRules() []rule {
	return []rule{
		{
			Name: "APIDown", Expr: `up{job="api"} == 0`, Metrics: []string{"up"},
			Blueprint: time.Minute, Fast: 5 * time.Second, Severity: critical, Component: "api", Channel: emailSlack,
			Summary: "API instance {{ $labels.instance }} does not answer its scrape",
		},
		{
			Name: "HighErrorRate", Expr: `sum(rate(http_requests_total{job="api",status=~"5.."}[$window])) / sum(rate(http_requests_total{job="api"}[$window])) > 0.01`,
			Metrics: []string{"http_requests_total"}, Blueprint: 5 * time.Minute, Fast: sustained,
			Severity: critical, Component: "api", Channel: emailSlack, Summary: "More than 1 % of API requests fail",
		},
		{
			Name: "HighLatencyP95", Expr: `histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{job="api"}[$window]))) > 0.2`,
			Metrics: []string{"http_request_duration_seconds_bucket"}, Blueprint: 5 * time.Minute, Fast: sustained,
			Severity: warning, Component: "api", Channel: slack, Summary: "p95 of API requests above 200 ms",
		},
		{
			Name: "CriticalLatencyP99", Expr: `histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{job="api"}[$window]))) > 0.5`,
			Metrics: []string{"http_request_duration_seconds_bucket"}, Blueprint: 2 * time.Minute, Fast: sustained,
			Severity: critical, Component: "api", Channel: emailSlack, Summary: "p99 of API requests above 500 ms",
		},
		{
			Name: "HighWebSocketLatency", Expr: `histogram_quantile(0.95, sum by (le) (rate(ggrt_message_latency_seconds_bucket{job="api"}[$window]))) > 0.2`,
			Metrics: []string{"ggrt_message_latency_seconds_bucket"}, Blueprint: 5 * time.Minute, Fast: sustained,
			Severity: warning, Component: "websocket", Channel: slack, Summary: "p95 of WebSocket delivery above 200 ms",
		},
		{
			Name: "HighWebSocketBroadcastErrors", Expr: `sum(rate(ggrt_send_errors_total{job="api"}[$window])) / sum(rate(ggrt_messages_sent_total{job="api"}[$window])) > 0.001`,
			Metrics: []string{"ggrt_send_errors_total"}, Blueprint: 5 * time.Minute, Fast: sustained,
			Severity: warning, Component: "websocket", Channel: slack, Summary: "More than 0.1 % of WebSocket messages could not be sent",
		},
	}
}

func storeRules() []rule {
	return []rule{
		{
			Name:    "PostgreSQLDown", // a member that hangs takes its own scrape with it, while those of the others go on
			Expr:    `pg_up{job="postgres"} == 0 or (up{job="postgres"} == 0 and on () max(up{job="postgres"}) == 1)`,
			Metrics: []string{"pg_up", "up"}, UpOf: "postgres",
			Blueprint: time.Minute, Fast: 3 * time.Second, Severity: critical, Component: "database", Channel: emailSlack,
			Summary: "PostgreSQL member {{ $labels.instance }} is down",
		},
		{
			Name: "PostgreSQLReplicationBroken",
			Expr: `(pg_replication_streaming_replicas{job="postgres"} < 2 and on (instance) pg_replication_is_replica == 0)` +
				` or (pg_replication_receiving{job="postgres"} == 0 and on (instance) pg_replication_is_replica == 1)`,
			Metrics:   []string{"pg_replication_streaming_replicas", "pg_replication_receiving"},
			Blueprint: time.Minute, Fast: 5 * time.Second, Severity: critical, Component: "database", Channel: emailSlack,
			Summary: "{{ $labels.instance }}: a replica does not stream, the next failover may lose data or fail",
		},
		{
			Name: "SlowQueries", Expr: `histogram_quantile(0.99, sum by (le) (rate(query_duration_seconds_bucket{job="api"}[$window]))) > 1`,
			Metrics: []string{"query_duration_seconds_bucket"}, Blueprint: 2 * time.Minute, Fast: sustained,
			Severity: warning, Component: "database", Channel: slack, Summary: "p99 of database queries above 1 s",
		},
		{
			Name:    "RedisDown", // as above: a scrape that waits for a dead member can time out, and then redis_up has no value
			Expr:    `redis_up{job="redis"} == 0 or (up{job="redis"} == 0 and on () max(up{job="redis"}) == 1)`,
			Metrics: []string{"redis_up", "up"}, UpOf: "redis",
			Blueprint: time.Minute, Fast: 2 * time.Second, Severity: critical, Component: "cache", Channel: emailSlack,
			Summary: "Redis member {{ $labels.instance }} is down",
		},
		{
			Name:    "RedisPrimaryMissing", // only while some member is seen: no data is not the same as no primary
			Expr:    `((count(redis_instance_info{job="redis",role="master"}) or vector(0)) < 1) and on () (sum(redis_up{job="redis"}) > 0)`,
			Metrics: []string{"redis_up"}, Blueprint: time.Minute, Fast: 5 * time.Second,
			Severity: critical, Component: "cache", Channel: emailSlack, Summary: "No Redis member is primary",
		},
		{
			Name: "RedisReplicationBroken",
			// A Prometheus that was down itself holds the roles from before for five minutes: only fresh ones count.
			Expr: `(redis_connected_slaves{job="redis"} < 2 and on (instance) (timestamp(redis_instance_info{role="master"}) > time() - 30))` +
				` or redis_master_link_up{job="redis"} == 0`,
			Metrics: []string{"redis_connected_slaves", "redis_master_link_up"}, Blueprint: time.Minute, Fast: 5 * time.Second,
			Severity: critical, Component: "cache", Channel: emailSlack,
			Summary: "{{ $labels.instance }}: a Redis replica is cut off, the next failover may lose data or fail",
		},
		{
			Name: "RedisHighEvictionRate", Expr: `rate(redis_evicted_keys_total{job="redis"}[$window]) > 100`,
			Metrics: []string{"redis_evicted_keys_total"}, Blueprint: 5 * time.Minute, Fast: sustained,
			Severity: warning, Component: "cache", Channel: slack, Summary: "{{ $labels.instance }} evicts more than 100 keys a second",
		},
		{
			Name:    "RedisMemoryHigh", // a limit of 0 means none; dividing by it would always fire
			Expr:    `redis_memory_used_bytes{job="redis"} / (redis_memory_max_bytes{job="redis"} > 0) > 0.9`,
			Metrics: []string{"redis_memory_used_bytes"}, Blueprint: 5 * time.Minute, Fast: sustained,
			Severity: warning, Component: "cache", Channel: slack, Summary: "{{ $labels.instance }} uses more than 90 % of its memory limit",
		},
	}
}

func platformRules() []rule {
	return []rule{
		{ // beyond the tables: a backup that stopped is noticed when it is needed, or here
			Name: "BackupTooOld", Expr: `time() - backup_last_success_timestamp_seconds{job="backup"} > 7200`, Metrics: []string{"backup_last_success_timestamp_seconds"},
			Blueprint: 5 * time.Minute, Fast: 5 * time.Second, Severity: warning, Component: "database", Channel: slack,
			Summary: "The newest {{ $labels.kind }} backup is older than two hours",
		},
		{
			Name: "BackupWALStopped", Expr: `backup_wal_receiver_up{job="backup"} == 0`, Metrics: []string{"backup_wal_receiver_up"},
			Blueprint: 5 * time.Minute, Fast: sustained, Severity: warning, Component: "database", Channel: slack,
			Summary: "No WAL is archived: what is written from now on cannot be restored",
		},
		{
			Name: "HighProxyLatency", Expr: `histogram_quantile(0.95, sum by (le) (rate(caddy_http_response_duration_seconds_bucket{job="caddy"}[$window]))) > 0.1`,
			Metrics: []string{"caddy_http_response_duration_seconds_bucket"}, Blueprint: 5 * time.Minute, Fast: sustained,
			Severity: warning, Component: "proxy", Channel: slack, Summary: "p95 of the proxy's time to first byte above 100 ms",
		},
		{
			Name: "ProxyDown", Expr: `up{job="caddy"} == 0`, Metrics: []string{"up"},
			Blueprint: time.Minute, Fast: 5 * time.Second, Severity: critical, Component: "proxy", Channel: emailSlack,
			Summary: "The proxy does not answer its scrape",
		},
		{
			Name: "InstanceDown", Expr: `up{job="node"} == 0`, Metrics: []string{"up"},
			Blueprint: time.Minute, Fast: 15 * time.Second, Severity: critical, Component: "infrastructure", Channel: emailSlack,
			Summary: "Host {{ $labels.instance }} does not answer its scrape",
		},
		{
			Name: "TargetDown", Expr: `up == 0`, Metrics: []string{"up"},
			Blueprint: time.Minute, Fast: 15 * time.Second, Severity: warning, Component: "", Channel: slack,
			Summary: "Scrape target {{ $labels.job }}/{{ $labels.instance }} is down",
		},
	}
}
