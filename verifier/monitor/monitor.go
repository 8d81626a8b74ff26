package monitor

import (
	"context"
	"net"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
)

// Dial connects to an address inside the system's networks, or on the host.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// Config is what a Monitor needs. Only Monitoring is required.
type Config struct {
	Monitoring drills.Monitoring
	Identity   *drills.Identity             // what pins the monitored system; nil: not checked
	Dial       Dial                         // nil: ordinary dialing
	Expand     func(string) (string, error) // resolves ${env:…} and ${file:…} in URLs and credentials; nil: as they are
	Expect     *drills.Expect               // nil: no alert is expected
	SeenBy     map[string]drills.SeenBy     // by component: what Prometheus is asked about it
	Poll       time.Duration                // between two polls; default 250 ms
	Patience   time.Duration                // how long a preflight waits for alerts in the way; default 30 s
	Log        *zap.Logger
}

// Monitor implements drills.Observer, drills.Windower and drills.Preflight over one system's monitoring.
// A system without monitoring has a Monitor that sees nothing and says so in its checks.
type Monitor struct {
	cfg   Config
	prom  *promClient // nil: none declared
	am    *endpoint   // nil: none declared
	sink  *sinkClient // nil: none declared
	watch *watcher    // while started, and after Finish
}

// DefaultPoll is how often Prometheus and the sink are asked.
const DefaultPoll = 250 * time.Millisecond

// alertPatience is half of the engine's own limit for getting ready.
const alertPatience = 30 * time.Second

// requestTimeout bounds one request while watching; a monitoring system slower than this is blind.
const requestTimeout = 2 * time.Second

// New reads the endpoints; it touches nothing. The error is about the system file (code input).
func New(cfg Config) (*Monitor, error) {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Poll <= 0 {
		cfg.Poll = DefaultPoll
	}
	if cfg.Patience <= 0 {
		cfg.Patience = alertPatience
	}
	if cfg.Expand == nil {
		cfg.Expand = func(s string) (string, error) { return s, nil }
	}
	m := &Monitor{cfg: cfg}
	if e := cfg.Monitoring.Prometheus; e != nil {
		ep, err := newEndpoint(cfg, "prometheus", *e)
		if err != nil {
			return nil, err
		}
		if m.prom, err = newPromClient(ep); err != nil {
			return nil, drills.Wrap(drills.Input, err, "monitoring.prometheus", "an HTTP address such as http://prometheus:9090")
		}
	}
	if e := cfg.Monitoring.Alertmanager; e != nil {
		ep, err := newEndpoint(cfg, "alertmanager", *e)
		if err != nil {
			return nil, err
		}
		m.am = ep
	}
	return m, m.openSink(cfg)
}

func (m *Monitor) openSink(cfg Config) error {
	n := cfg.Monitoring.NotifiedBy
	if n == nil {
		return nil
	}
	if n.Kind != "webhook" {
		return drills.Errorf(drills.Input, "the kind there is: webhook", "monitoring.notified-by: kind %q is not known", n.Kind)
	}
	ep, err := newEndpoint(cfg, "notified-by", drills.Endpoint{URL: n.At})
	if err != nil {
		return err
	}
	m.sink = &sinkClient{ep}
	return nil
}

// expectAlerts lists the alerts that must fire and those that may.
func expectAlerts(e *drills.Expect) (fire []drills.AlertExpect, allow []string) {
	if e == nil || e.Alerts == nil {
		return nil, nil
	}
	return e.Alerts.Fire, e.Alerts.Allow
}

func finding(id, severity, title, detail string) drills.Event {
	return drills.Event{
		At: time.Now().UTC(), Kind: drills.EvFinding,
		Finding: &drills.Finding{ID: id, Severity: severity, Title: title, Detail: detail},
	}
}
