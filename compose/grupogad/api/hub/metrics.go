package hub

import "github.com/prometheus/client_golang/prometheus"

// metrics are the ggrt_* series of the blueprint's Tabla 2 (the label env is put on by the registry)
// and the drop counter. Counters move where the thing happens; gauges are read from the hub when
// scraped, so they cannot drift.
type metrics struct {
	connections, sent, broadcasts, relayed, errors, slow, gone, expired prometheus.Counter
	heartbeat                                                           prometheus.Gauge
	latency                                                             prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	m := metrics{
		connections: counter("ggrt_connections_total", "WebSocket connections accepted."),
		sent:        counter("ggrt_messages_sent_total", "Messages written to WebSocket connections."),
		broadcasts:  counter("ggrt_broadcasts_total", "Broadcasts that began on this instance."),
		relayed:     counter("ggrt_broadcasts_relayed_total", "Broadcasts received from other instances through Redis and delivered here."),
		errors:      counter("ggrt_send_errors_total", "Messages that could not be sent to a connection."),
		slow:        counter("ggrt_slow_consumers_dropped_total", "Connections dropped because their queue was full."),
		gone:        counter("ggrt_silent_peers_cut_total", "Connections cut because the peer gave no sign of life."),
		expired:     counter("ggrt_expired_sessions_closed_total", "Connections closed because their token had expired."),
		heartbeat: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ggrt_heartbeat_last_timestamp",
			Help: "Unix time of the last complete heartbeat round; 0 before the first.",
		}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "ggrt_message_latency_seconds",
			Help:    "From the sender accepting a broadcast to its being written to a connection.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
	}
	reg.MustRegister(m.heartbeat, m.latency)
	return m
}

type collector struct {
	hub                 *Hub
	active, users, role *prometheus.Desc
}

func newCollector(h *Hub) collector {
	return collector{
		hub:    h,
		active: prometheus.NewDesc("ggrt_active_connections", "WebSocket connections open now.", nil, nil),
		users:  prometheus.NewDesc("ggrt_user_active", "Distinct users with at least one open connection.", nil, nil),
		role:   prometheus.NewDesc("ggrt_role_connections", "Open WebSocket connections by role.", []string{"role"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) { ch <- c.active; ch <- c.users; ch <- c.role }

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c.hub.Stats()
	if c.hub.o.ActiveZero() {
		s.Connections = 0
	}
	ch <- prometheus.MustNewConstMetric(c.active, prometheus.GaugeValue, float64(s.Connections))
	ch <- prometheus.MustNewConstMetric(c.users, prometheus.GaugeValue, float64(s.Users))
	for role, n := range s.ByRole {
		ch <- prometheus.MustNewConstMetric(c.role, prometheus.GaugeValue, float64(n), role)
	}
}
