package drills

import "time"

// BreakerSpec says how a circuit breaker of a component can be seen (components.NAME.breakers in the system file): by its own
// metrics, by the traffic that it lets through or refuses, or by both.
type BreakerSpec struct {
	Of      string          `json:"of,omitempty" yaml:"of"` // the component that it stands before
	Metrics *BreakerMetrics `json:"metrics,omitempty" yaml:"metrics"`
	Traffic *BreakerTraffic `json:"traffic,omitempty" yaml:"traffic"`
}

// BreakerMetrics reads the metrics of every instance directly, more often than any monitoring scrapes them: the time to open
// is then known to one period of ours. Names are Prometheus metric names.
type BreakerMetrics struct {
	From     From              `json:"from" yaml:"from"`
	URLs     []string          `json:"urls" yaml:"urls"`                     // one per instance, in the text format of Prometheus
	Every    Duration          `json:"every,omitempty" yaml:"every"`         // default 100ms where a drill judges a breaker, else 1s
	Timeout  Duration          `json:"timeout,omitempty" yaml:"timeout"`     // default 1s
	Labels   map[string]string `json:"labels,omitempty" yaml:"labels"`       // that choose this breaker's series
	State    string            `json:"state" yaml:"state"`                   // gauge
	Open     *float64          `json:"open,omitempty" yaml:"open"`           // the gauge when open; default 2
	HalfOpen *float64          `json:"half-open,omitempty" yaml:"half-open"` // default 1; every other value is closed
	Opened   string            `json:"opened,omitempty" yaml:"opened"`       // counter: times it opened, also between two readings
	Calls    string            `json:"calls,omitempty" yaml:"calls"`         // counter: calls that reached the dependency
	Failures string            `json:"failures,omitempty" yaml:"failures"`   // counter: those that failed
	Rejected string            `json:"rejected,omitempty" yaml:"rejected"`   // counter: calls spared
	Waited   string            `json:"waited,omitempty" yaml:"waited"`       // counter: seconds spent in calls
}

// BreakerTraffic infers the breaker from one probe of one instance: while it is closed, failures take as long as the
// dependency keeps silent; once it is open they come at once.
type BreakerTraffic struct {
	Probe string `json:"probe" yaml:"probe"`
	// Says begins the answer of an open breaker, where it has one of its own ("HTTP 503, Retry-After").
	Says string `json:"says,omitempty" yaml:"says"`
}

// BreakerState is what a breaker does.
type BreakerState string

// Closed lets calls through, open refuses them, half-open lets a few through to see.
const (
	BreakerClosed   BreakerState = "closed"
	BreakerOpen     BreakerState = "open"
	BreakerHalfOpen BreakerState = "half-open"
)

// BreakerSpan is a time in one state. Enter holds the instant at which it began: between the last sign of the state before
// and the first of this one. The counts are what happened in it; a reading in which the state changed counts for the closed
// one of the two what was called, for the other what was refused.
type BreakerSpan struct {
	State    BreakerState `json:"state"`
	Enter    Interval     `json:"enter"`
	Calls    int          `json:"calls"`
	Failures int          `json:"failures"`
	Rejected int          `json:"rejected"`
	Waited   float64      `json:"waited_s"` // seconds in calls to the dependency
}

// Sources of what is known of a breaker.
const (
	BreakerByMetrics = "metrics"
	BreakerByTraffic = "traffic"
)

// BreakerMeasured is one breaker of one instance over a run. `verify` recomputes it from the raw readings or samples.
type BreakerMeasured struct {
	Name     string        `json:"name"`     // component/breaker
	Instance string        `json:"instance"` // host:port, or the probe that it was inferred from
	Source   string        `json:"source"`   // metrics | traffic
	Spans    []BreakerSpan `json:"spans,omitempty"`
	Unseen   int           `json:"unseen,omitempty"` // openings by its own counter that fell between two readings
	Readings int           `json:"readings"`
	Missed   int           `json:"missed,omitempty"` // readings that failed
	Largest  Duration      `json:"largest_gap"`      // between two readings: nothing shorter is sure to be seen
	From     time.Time     `json:"from"`
	To       time.Time     `json:"to"`
	Raw      string        `json:"raw"`
	SHA256   string        `json:"sha256"`
	Error    string        `json:"error,omitempty"` // nothing can be said, and why
}

// BreakerExpect is what a drill expects of one breaker, of every instance.
type BreakerExpect struct {
	Component    string   `json:"component" yaml:"component"`
	Breaker      string   `json:"breaker" yaml:"breaker"`
	OpensWithin  Duration `json:"opens-within,omitempty" yaml:"opens-within"`   // of T0
	ClosesWithin Duration `json:"closes-within,omitempty" yaml:"closes-within"` // of the lift, and stays closed
	// HalfOpen expects that it closes only by a trial call that succeeds: not before the lift, and never without trying.
	HalfOpen  bool `json:"half-open,omitempty" yaml:"half-open"`
	MaxTrials *int `json:"max-trials,omitempty" yaml:"max-trials"` // calls let through before the lift once it is open, per instance
	MinSpared *int `json:"min-spared,omitempty" yaml:"min-spared"` // calls refused instead of made, over all instances
	// Stays is "closed" where nothing may open it, such as under clients' own errors.
	Stays BreakerState `json:"stays,omitempty" yaml:"stays"`
}

// Name is the breaker's name in measurements and judgements.
func (x BreakerExpect) Name() string { return x.Component + "/" + x.Breaker }
