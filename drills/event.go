package drills

import (
	"encoding/json"
	"time"
)

// EventKind names what happened.
type EventKind string

// The kinds of events. Which field of Event each uses is said beside it.
const (
	EvOpened   EventKind = "opened"   // Opened
	EvPhase    EventKind = "phase"    // Phase
	EvCheck    EventKind = "check"    // Check
	EvBaseline EventKind = "baseline" // Baseline
	EvIntended EventKind = "intended" // Change
	EvApplied  EventKind = "applied"  // Change, Effect
	EvFailed   EventKind = "failed"   // Change, Text: the do returned an error; it may have happened all the same
	EvGap      EventKind = "gap"      // Gap: a fault ended without us
	EvLift     EventKind = "lift"     // Change: its duration is over, its undo begins
	EvUndone   EventKind = "undone"   // Change, Effect (Skipped when not ours to undo any more), Text: reason
	EvResidue  EventKind = "residue"  // Change, Text: what is still there
	EvEdge     EventKind = "edge"     // Edge
	EvAlert    EventKind = "alert"    // Alert
	EvRole     EventKind = "role"     // Role
	EvFinding  EventKind = "finding"  // Finding
	EvQuery    EventKind = "query"    // Query
	EvMeasured EventKind = "measured" // Probe, Canary, Split, Register, Breaker or Restore
	EvSeen     EventKind = "seen"     // Seen
	EvBlind    EventKind = "blind"    // Blind
	EvRunbook  EventKind = "runbook"  // Runbook, whole, at every change of it
	EvWindow   EventKind = "window"   // Window
	EvStop     EventKind = "stop"     // Stop
	EvNote     EventKind = "note"     // Text
	EvClosed   EventKind = "closed"   // Text: digest of the record's inputs
)

// Event is one line of the journal. Seq and Prev (sha256 of the previous raw line, hex; 64 zeros for the first) are
// filled in by the journal.
type Event struct {
	Seq      int               `json:"seq"`
	Prev     string            `json:"prev"`
	At       time.Time         `json:"at"`
	Kind     EventKind         `json:"kind"`
	Phase    Phase             `json:"phase,omitempty"`
	Text     string            `json:"text,omitempty"`
	Opened   *Opened           `json:"opened,omitempty"`
	Check    *Check            `json:"check,omitempty"`
	Baseline *Baseline         `json:"baseline,omitempty"`
	Change   *Change           `json:"change,omitempty"`
	Effect   *Effect           `json:"effect,omitempty"`
	Gap      *Gap              `json:"gap,omitempty"`
	Edge     *Edge             `json:"edge,omitempty"`
	Alert    *AlertEvent       `json:"alert,omitempty"`
	Role     *RoleView         `json:"role,omitempty"`
	Finding  *Finding          `json:"finding,omitempty"`
	Query    *QueryResult      `json:"query,omitempty"`
	Probe    *ProbeMeasured    `json:"probe,omitempty"`
	Canary   *CanaryMeasured   `json:"canary,omitempty"`
	Split    *SplitMeasured    `json:"split,omitempty"`
	Register *RegisterMeasured `json:"register,omitempty"`
	Window   *WindowStat       `json:"window,omitempty"`
	Breaker  *BreakerMeasured  `json:"breaker,omitempty"`
	Restore  *RestoreMeasured  `json:"restore,omitempty"`
	Runbook  *RunbookMeasured  `json:"runbook,omitempty"`
	Seen     *Seen             `json:"seen,omitempty"`
	Blind    *Blind            `json:"blind,omitempty"`
	Stop     *Stop             `json:"stop,omitempty"`
	Data     json.RawMessage   `json:"data,omitempty"`
}

// Opened fixes, before T0, everything that could be argued about later.
type Opened struct {
	Schema      string            `json:"schema"`
	Run         string            `json:"run"`
	Purpose     Purpose           `json:"purpose"`
	Slot        string            `json:"slot,omitempty"` // the calendar slot that a scheduled run fills
	Profile     string            `json:"profile,omitempty"`
	Operator    string            `json:"operator,omitempty"`
	Tool        string            `json:"tool"` // version of simulacro
	Host        map[string]string `json:"host,omitempty"`
	Engine      map[string]string `json:"engine,omitempty"`
	Drill       *Drill            `json:"drill"`
	System      *System           `json:"system"`
	Objectives  Objectives        `json:"objectives"` // in force for the drill's component
	Members     []Member          `json:"members,omitempty"`
	RuleSet     string            `json:"rule_set,omitempty"`
	Calibration string            `json:"calibration,omitempty"`
	Readiness   []Diagnosis       `json:"readiness,omitempty"` // what the doctor said of system and monitoring before the run
	Ledger      *Ledger           `json:"ledger,omitempty"`    // what earlier runs of the month used of the error budgets
}

// Check is the answer to one question asked before injection.
type Check struct {
	Name     string `json:"name"` // e.g. "identity: engine id"
	OK       bool   `json:"ok"`
	Expected string `json:"expected,omitempty"`
	Actual   string `json:"actual,omitempty"`
	Hint     string `json:"hint,omitempty"`
}

// Classes counts outcomes of single probes.
type Classes struct {
	Good         int `json:"good"`
	Slow         int `json:"slow,omitempty"`
	Failed       int `json:"failed,omitempty"` // answered, wrongly (5xx, error reply)
	Refused      int `json:"refused,omitempty"`
	Timeout      int `json:"timeout,omitempty"`
	Throttled    int `json:"throttled,omitempty"`    // 429 or Retry-After: the observer's fault, not an outage
	Unauthorised int `json:"unauthorised,omitempty"` // 401/403, NOAUTH, 28P01: ours
	Malformed    int `json:"malformed,omitempty"`    // our own request was not understood (400, syntax)
	Observer     int `json:"observer,omitempty"`     // we could not even send (no socket, no route to our own resolver)
}

// Bad counts the outcomes that a user would call an outage.
func (c Classes) Bad() int { return c.Slow + c.Failed + c.Refused + c.Timeout }

// Ours counts the outcomes that say nothing about the system.
func (c Classes) Ours() int { return c.Throttled + c.Unauthorised + c.Malformed + c.Observer }

// Total counts everything.
func (c Classes) Total() int { return c.Good + c.Bad() + c.Ours() }

// Baseline is one probe's behaviour over the settle window.
type Baseline struct {
	Probe  string   `json:"probe"`
	Window Interval `json:"window"`
	Count  Classes  `json:"count"`
	Share  float64  `json:"share"` // Good / (Good + Bad)
	P50    Duration `json:"p50"`
	P95    Duration `json:"p95"`
	P99    Duration `json:"p99"`
}

// Edge is a live change of a probe's state, for progress, stop conditions and for knowing when to stop observing.
// Verdicts come from ProbeMeasured.
type Edge struct {
	Probe string    `json:"probe"`
	Good  bool      `json:"good"`
	Since time.Time `json:"since"`
	Class string    `json:"class,omitempty"` // why not good: refused, timeout, throttled, …
}

// AlertState is where an alert is in its life.
type AlertState string

// Pending and firing as Prometheus has it; notified and resolved-notified as the receiver saw it; resolved: gone from Prometheus.
const (
	AlertPending          AlertState = "pending"
	AlertFiring           AlertState = "firing"
	AlertNotified         AlertState = "notified"
	AlertResolved         AlertState = "resolved"
	AlertResolvedNotified AlertState = "resolved-notified"
)

// AlertEvent is one step of one alert's life. At lies in the interval (poll resolution).
type AlertEvent struct {
	Name     string            `json:"name"`
	Labels   map[string]string `json:"labels,omitempty"`
	Severity string            `json:"severity,omitempty"`
	State    AlertState        `json:"state"`
	At       Interval          `json:"at"`
	Source   string            `json:"source"` // prometheus | alertmanager | sink
}

// Severity of a finding.
const (
	SeverityInfo    = "info"
	SeverityWarning = "warning"
	SeveritySerious = "serious"
)

// Finding is something the owners should know, on a pass too.
type Finding struct {
	ID       string `json:"id"` // stable slug, e.g. "lost-writes", "two-primaries"
	Severity string `json:"severity"`
	Title    string `json:"title"` // one sentence
	Detail   string `json:"detail,omitempty"`
}

// QueryResult is a PromQL value over a window. NoData means that nothing can be said.
type QueryResult struct {
	Title      string   `json:"title"`
	Query      string   `json:"query"`
	Window     Interval `json:"window"`
	Step       Duration `json:"step"`
	Min        float64  `json:"min"`
	Max        float64  `json:"max"`
	Last       float64  `json:"last"`
	Samples    int      `json:"samples"`
	NoData     bool     `json:"no_data,omitempty"`
	Error      string   `json:"error,omitempty"`
	Resolution string   `json:"resolution,omitempty"`
}

// StopCause says why a run stopped early.
type StopCause string

// The causes of aborted runs.
const (
	StopByCondition StopCause = "stop-condition"
	StopOperator    StopCause = "operator"
	StopCrash       StopCause = "crash"
	StopInternal    StopCause = "internal" // our own failure, e.g. a full disk or a dead prober
)

// Stop is an early end.
type Stop struct {
	Cause     StopCause `json:"cause"`
	Reason    string    `json:"reason"`
	Truncated bool      `json:"objective_truncated,omitempty"`
}
