package drills

import "time"

// OutageKind says how an outage looked.
type OutageKind string

// Down: answers failed, were refused or never came. Frozen: requests were held and answered at the end.
// Slow: answered, beyond the probe's limit.
const (
	Down   OutageKind = "down"
	Frozen OutageKind = "frozen"
	SlowBy OutageKind = "slow"
)

// Outage is one outage of one probe with its brackets: the true start lies in Start, the true end in End.
type Outage struct {
	Kind    OutageKind `json:"kind"`
	Start   Interval   `json:"start"` // (last good send, first bad send]
	End     *Interval  `json:"end,omitempty"`
	Bad     int        `json:"bad"`
	Samples int        `json:"samples"`
}

// Bucket is one cell of the availability strip.
type Bucket struct {
	Good int `json:"g"`
	Bad  int `json:"b,omitempty"`
	Ours int `json:"o,omitempty"`
	// P95 of good answers in the cell, milliseconds.
	P95ms float64 `json:"p,omitempty"`
}

// WindowStat is a probe's behaviour over one `during` window or phase.
type WindowStat struct {
	Probe  string   `json:"probe"`
	Title  string   `json:"title"` // the During title, or "phase:NAME"
	Window Interval `json:"window"`
	Count  Classes  `json:"count"`
	Share  float64  `json:"share"`
	P50    Duration `json:"p50"`
	P95    Duration `json:"p95"`
	P99    Duration `json:"p99"`
}

// ProbeMeasured is everything the record knows of one probe. `verify` recomputes it from the raw samples.
type ProbeMeasured struct {
	Name     string    `json:"name"`
	Kind     string    `json:"kind"`
	Place    string    `json:"place"`
	Every    Duration  `json:"every"`
	Timeout  Duration  `json:"timeout"`
	Count    Classes   `json:"count"`
	Baseline float64   `json:"baseline"` // share in steady state; 1 when there was no steady state
	Outages  []Outage  `json:"outages,omitempty"`
	From     time.Time `json:"from"`        // first sample sent
	To       time.Time `json:"to"`          // last sample sent
	Cell     Duration  `json:"cell"`        // width of a strip bucket
	Strip    []Bucket  `json:"strip"`       // from From on
	Late     Duration  `json:"late_p99"`    // p99 of the prober's own lateness
	LateMax  Duration  `json:"late_max"`    //
	Gap      Duration  `json:"largest_gap"` // longest time without any sample sent
	Realtime bool      `json:"realtime"`    // SCHED_FIFO was granted
	Raw      string    `json:"raw"`         // file name under raw/
	SHA256   string    `json:"sha256"`
	Error    string    `json:"error,omitempty"` // the prober died: the run is invalid
}

// LostSpan is a run of consecutive lost writes, by acknowledgement time.
type LostSpan struct {
	FromSeq  int64     `json:"from_seq"`
	ToSeq    int64     `json:"to_seq"`
	Writes   int       `json:"writes"`
	FirstAck time.Time `json:"first_ack"`
	LastAck  time.Time `json:"last_ack"`
}

// MemberRead is what one member held at read-back.
type MemberRead struct {
	Member string `json:"member"`
	Found  int    `json:"found"`
	Error  string `json:"error,omitempty"`
}

// CanaryMeasured is the ledger of one canary after read-back.
type CanaryMeasured struct {
	Name          string     `json:"name"`
	Kind          string     `json:"kind"`
	Place         string     `json:"place"`
	Connection    string     `json:"connection"`
	Every         Duration   `json:"every"`
	Sent          int        `json:"sent"`
	Acked         int        `json:"acked"`
	Failed        int        `json:"failed"`
	Indeterminate int        `json:"indeterminate"` // sent, no answer: may or may not be there
	Survived      int        `json:"survived"`      // acked and found
	Lost          int        `json:"lost"`
	LostBeforeT0  int        `json:"lost_before_t0"` // acknowledged before T0
	Duplicated    int        `json:"duplicated"`
	Corrupt       int        `json:"corrupt"`
	Phantom       int        `json:"phantom"` // found, never sent
	Spans         []LostSpan `json:"spans,omitempty"`
	// Point is the acknowledgement time of the newest write whose predecessors all survive (send..ack interval).
	Point Interval `json:"point"`
	// NewestLost is the acknowledgement of the newest lost write (send..ack interval); zero when nothing was lost.
	NewestLost Interval     `json:"newest_lost,omitzero"`
	ReadBack   Interval     `json:"read_back"`
	Members    []MemberRead `json:"members,omitempty"`
	Purged     bool         `json:"purged"`
	PurgeProof string       `json:"purge_proof,omitempty"`
	Strip      []Bucket     `json:"strip"` // acked=Good, failed and indeterminate=Bad, lost=Ours per cell
	From       time.Time    `json:"from"`
	Cell       Duration     `json:"cell"`
	Raw        string       `json:"raw"`
	SHA256     string       `json:"sha256"`
	Error      string       `json:"error,omitempty"` // writing or read-back broke: loss is not measured
}

// LoadMeasured is what a load step reports when it is stopped (Effect.Evidence of its undo).
type LoadMeasured struct {
	Step        string        `json:"step"`
	Engine      string        `json:"engine"`
	Wanted      int           `json:"wanted"`
	Connected   int           `json:"connected"` // held at the same time, at most
	FailedDials int           `json:"failed_dials"`
	DialErrors  []CountedText `json:"dial_errors,omitempty"`
	Drops       int           `json:"drops"` // closed by the target or broken, not by us
	Reconnects  int           `json:"reconnects"`
	Published   int           `json:"published"`
	PublishFail int           `json:"publish_failed"`
	Expected    int64         `json:"expected"` // frames that should have arrived: published × connections held then
	Received    int64         `json:"received"`
	Duplicated  int64         `json:"duplicated"`
	P50         Duration      `json:"p50"` // delivery latency from the publisher's intended send time
	P95         Duration      `json:"p95"`
	P99         Duration      `json:"p99"`
	Max         Duration      `json:"max"`
	ConnectP50  Duration      `json:"connect_p50"`
	ConnectP99  Duration      `json:"connect_p99"`
	RampTook    Duration      `json:"ramp_took"`
	LagP99      Duration      `json:"generator_lag_p99"` // our own lateness
	Saturated   string        `json:"generator_saturated,omitempty"`
	RSSBytes    int64         `json:"rss_bytes"`
	CPU         Duration      `json:"cpu"`
	Series      []LoadPoint   `json:"series,omitempty"` // one a second
}

// CountedText is an error text and how often it was seen.
type CountedText struct {
	Text  string `json:"text"`
	Count int    `json:"count"`
}

// LoadPoint is one second of load.
type LoadPoint struct {
	At       time.Time `json:"at"`
	Open     int       `json:"open"`
	Received int64     `json:"received"`
	P95      Duration  `json:"p95"`
}
