package drills

// Drill is one scenario: what is believed, what is required, what is done, what must follow.
type Drill struct {
	Version    int    `json:"version" yaml:"version"`
	Name       string `json:"drill" yaml:"drill"`
	Title      string `json:"title" yaml:"title"`
	Hypothesis string `json:"hypothesis" yaml:"hypothesis"`
	// Translations holds title and hypothesis in other languages, by ISO 639-1 code.
	Translations   map[string]Wording `json:"translations,omitempty" yaml:"translations"`
	Component      string             `json:"component" yaml:"component"`
	Environments   []string           `json:"environments" yaml:"environments"`
	Require        []Requirement      `json:"require,omitempty" yaml:"require"`
	SteadyState    SteadyState        `json:"steady-state" yaml:"steady-state"`
	Method         []Step             `json:"method" yaml:"method"`
	Recovery       Recovery           `json:"recovery" yaml:"recovery"`
	Expect         Expect             `json:"expect" yaml:"expect"`
	StopConditions []StopCondition    `json:"stop-conditions,omitempty" yaml:"stop-conditions"`

	File   string `json:"file" yaml:"-"`
	Digest string `json:"digest" yaml:"-"` // sha256 of the file, hex
}

// Requirement is one precondition: facts of a component's role view, or that no alert fires.
type Requirement struct {
	Component    string            `json:"component,omitempty"`
	Conditions   map[string]string `json:"conditions,omitempty"`    // fact -> condition such as ">= 2", "< 1s", "ok"
	AlertsFiring string            `json:"alerts-firing,omitempty"` // "none"
}

// SteadyState is what must hold before the first fault. Shares are 0..1.
type SteadyState struct {
	For    Duration         `json:"for" yaml:"for"`
	Probes map[string]Share `json:"probes,omitempty" yaml:"probes"`
	SLOs   string           `json:"slos,omitempty" yaml:"slos"` // met: the drilled component's must be; default: those that are missed are told
}

// Share is a least success share, 0..1, written ">= 99%" in files.
type Share float64

// Step is one fault on the time axis (offsets from the first injection).
type Step struct {
	ID       string   `json:"id"`
	At       Duration `json:"at"`
	Fault    string   `json:"fault"`
	Target   Target   `json:"target"`
	Duration Duration `json:"duration,omitempty"`
	With     any      `json:"with,omitempty"` // the decoded parameters, for plan and reports
	Seed     int64    `json:"seed,omitempty"`
	Below    bool     `json:"below-keep-healthy,omitempty"` // asked for: more members than the component's keep-healthy allows
	Plan     Fault    `json:"-"`
}

// While says whose recovery counts.
type While string

// FaultActive (default): the system must recover by itself while the fault is in force; FaultLifted: after our lift;
// Any: whichever.
const (
	FaultActive While = "fault-active"
	FaultLifted While = "fault-lifted"
	AnyTime     While = "any"
)

// Recovery says what counts as recovered: the success share over a window of length For is back at the baseline on every probe.
type Recovery struct {
	While  While    `json:"while" yaml:"while"`
	For    Duration `json:"for" yaml:"for"`
	Probes []string `json:"probes,omitempty" yaml:"probes"` // default: the component's recovered-means
	Share  Share    `json:"share,omitempty" yaml:"share"`   // default: the baseline's own
	Limit  Duration `json:"limit,omitempty" yaml:"limit"`   // how long to observe at most; default the RTO + For, at most 15m
}

// Expect is what must follow. Every part is optional; the component's objectives are always judged.
type Expect struct {
	RoleMoved   *RoleMoved      `json:"role-moved,omitempty" yaml:"role-moved"`
	RTA         *MaxTime        `json:"rta,omitempty" yaml:"rta"`
	Loss        Losses          `json:"loss,omitempty" yaml:"loss"` // one bound or a list of them
	Rejoin      *Within         `json:"rejoin,omitempty" yaml:"rejoin"`
	Alerts      *Alerts         `json:"alerts,omitempty" yaml:"alerts"`
	During      []During        `json:"during,omitempty" yaml:"during"`
	Load        LoadBounds      `json:"load,omitempty" yaml:"load"` // one bound or a list of them, of different steps
	Reaped      []ReapedExpect  `json:"reaped,omitempty" yaml:"reaped"`
	Contract    *Contract       `json:"contract,omitempty" yaml:"contract"`
	SLOs        *SLOExpect      `json:"slos,omitempty" yaml:"slos"`
	Breakers    []BreakerExpect `json:"breakers,omitempty" yaml:"breakers"`
	Consistency *Consistency    `json:"consistency,omitempty" yaml:"consistency"`
	Restore     *RestoreExpect  `json:"restore,omitempty" yaml:"restore"`
}

// RoleMoved expects that the role ends up on another member within a time of T0.
type RoleMoved struct {
	Component string   `json:"component" yaml:"component"`
	Role      string   `json:"role" yaml:"role"`
	Within    Duration `json:"within" yaml:"within"`
	While     While    `json:"while,omitempty" yaml:"while"`
}

// MaxTime is a regression bound on a measured time (the objective itself is in the system file).
type MaxTime struct {
	Max Duration `json:"max" yaml:"max"`
}

// Consistency expects that a register canary's history is linearizable. Without it, a history that is not is a finding.
type Consistency struct {
	Canary  string `json:"canary" yaml:"canary"`
	AtLeast string `json:"at-least" yaml:"at-least"` // linearizable
}

// Loss bounds the acknowledged canary writes that may be lost.
type Loss struct {
	Canary    string   `json:"canary" yaml:"canary"`
	MaxWrites *int     `json:"max-writes,omitempty" yaml:"max-writes"`
	MaxAge    Duration `json:"max-age,omitempty" yaml:"max-age"`
	// Of what was found twice or out of order. Order is known of canaries of kind redis-stream and websocket.
	MaxDuplicated *int `json:"max-duplicated,omitempty" yaml:"max-duplicated"`
	MaxReordered  *int `json:"max-reordered,omitempty" yaml:"max-reordered"`
}

// Within is a deadline, counted from the lift.
type Within struct {
	Within Duration `json:"within" yaml:"within"`
}

// Alerts says which alerts must fire (and be resolved) and that no other one may.
type Alerts struct {
	Fire   []AlertExpect `json:"fire,omitempty" yaml:"fire"`
	Allow  []string      `json:"allow,omitempty" yaml:"allow"`   // may fire, need not
	Others string        `json:"others,omitempty" yaml:"others"` // none | any (default)
}

// AlertExpect is one alert: firing within a time of T0, resolved within a time of the lift.
type AlertExpect struct {
	Name           string   `json:"name" yaml:"name"`
	Within         Duration `json:"within" yaml:"within"`
	NotifiedWithin Duration `json:"notified-within,omitempty" yaml:"notified-within"`
	ResolvedWithin Duration `json:"resolved-within,omitempty" yaml:"resolved-within"`
}

// During is a bound on a probe or a PromQL value over a window of the run.
type During struct {
	Title      string    `json:"title" yaml:"title"`
	Probe      string    `json:"probe,omitempty" yaml:"probe"`
	PromQL     string    `json:"promql,omitempty" yaml:"promql"`
	Window     [2]string `json:"window" yaml:"window"`             // "T0", "T0+15s", "T6", "T8", "lift", "lift+10s"
	Success    Share     `json:"success,omitempty" yaml:"success"` // probe
	P95        Duration  `json:"p95,omitempty" yaml:"p95"`         // probe
	P99        Duration  `json:"p99,omitempty" yaml:"p99"`         // probe
	MinSamples int       `json:"min-samples,omitempty" yaml:"min-samples"`
	Max        *float64  `json:"max,omitempty" yaml:"max"`         // promql
	Min        *float64  `json:"min,omitempty" yaml:"min"`         // promql
	NoData     string    `json:"no-data,omitempty" yaml:"no-data"` // inconclusive (default) | fail
}

// LoadBound bounds what a load step of the drill must achieve.
type LoadBound struct {
	Step        string      `json:"step" yaml:"step"`
	Connected   Share       `json:"connected,omitempty" yaml:"connected"`         // share of the wanted connections that were held
	Delivered   Share       `json:"delivered,omitempty" yaml:"delivered"`         // share of expected frames that arrived
	P95         Duration    `json:"p95,omitempty" yaml:"p95"`                     // delivery latency
	P99         Duration    `json:"p99,omitempty" yaml:"p99"`                     //
	Drops       *int        `json:"max-drops,omitempty" yaml:"max-drops"`         // connections dropped by the target
	Reconnected Share       `json:"reconnected,omitempty" yaml:"reconnected"`     // of the dropped ones
	BackWithin  Duration    `json:"back-within,omitempty" yaml:"back-within"`     // after many ended at once, until as many are open again
	Rate        Share       `json:"rate,omitempty" yaml:"rate"`                   // of the wanted operations a second, done well
	Success     Share       `json:"success,omitempty" yaml:"success"`             // of the operations that say something of the target
	Throttled   *int        `json:"max-throttled,omitempty" yaml:"max-throttled"` // operations that a limiter refused; given, that is the target's doing
	Flows       []FlowBound `json:"flows,omitempty" yaml:"flows"`                 // bounds on single flows of an open-model load
}

// ReapedExpect bounds how long the target keeps the connections of clients that have fallen silent (half-open-sockets,
// slow-consumers), or whose token has expired (expired-tokens).
type ReapedExpect struct {
	Step    string   `json:"step" yaml:"step"`
	Within  Duration `json:"within,omitempty" yaml:"within"`     // of each client's falling silent, until the target has ended its connection
	MaxHeld *int     `json:"max-held,omitempty" yaml:"max-held"` // that may still be held when the fault is lifted; default none
}

// FlowBound bounds one flow of an open-model load.
type FlowBound struct {
	Flow    string   `json:"flow" yaml:"flow"`
	Rate    Share    `json:"rate,omitempty" yaml:"rate"`
	Success Share    `json:"success,omitempty" yaml:"success"`
	P95     Duration `json:"p95,omitempty" yaml:"p95"`
	P99     Duration `json:"p99,omitempty" yaml:"p99"`
}

// StopCondition ends the injection at once and restores. Exactly one of its conditions is set.
type StopCondition struct {
	Probe              *ProbeStop `json:"probe,omitempty" yaml:"probe"`
	Alert              *AlertStop `json:"alert,omitempty" yaml:"alert"`
	Outage             Duration   `json:"outage,omitempty" yaml:"outage"` // seconds of outage of any recovered-means probe
	Time               Duration   `json:"time,omitempty" yaml:"time"`     // since the first injection
	ObjectiveTruncated bool       `json:"objective-truncated,omitempty" yaml:"objective-truncated"`
}

// ProbeStop stops when a probe has been bad for that long.
type ProbeStop struct {
	Name string   `json:"name" yaml:"name"`
	Bad  Duration `json:"bad" yaml:"bad"`
}

// AlertStop stops when an alert of that severity fires that the drill does not expect.
type AlertStop struct {
	Severity string `json:"severity" yaml:"severity"`
	NotIn    string `json:"not-in,omitempty" yaml:"not-in"` // "expect"
}
