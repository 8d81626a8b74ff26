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
	Kind  OutageKind `json:"kind"`
	Start Interval   `json:"start"` // (last good send, first bad send]
	// Began is the best estimate of the beginning, within Start: when an idle connection to the target broke. Zero: none did.
	Began   time.Time `json:"began,omitzero"`
	End     *Interval `json:"end,omitempty"`
	Bad     int       `json:"bad"`
	Samples int       `json:"samples"`
}

// Length is the most likely length of an outage that has ended: from Began, or else the middle of Start, to the middle of End.
// Its error is at most half the width of the interval [End.From − Start.To, End.To − Start.From] where Began is not known.
func (o Outage) Length() time.Duration {
	if o.End == nil {
		return 0
	}
	began := o.Began
	if began.IsZero() {
		began = middle(o.Start)
	}
	return middle(*o.End).Sub(began)
}

func middle(i Interval) time.Time { return i.From.Add(i.To.Sub(i.From) / 2) }

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
	// Degraded is there in the windows of a contract only.
	Degraded *ContractStat `json:"degraded,omitempty"`
}

// ProbeMeasured is everything the record knows of one probe. `verify` recomputes it from the raw samples.
type ProbeMeasured struct {
	Name     string    `json:"name"`
	Kind     string    `json:"kind"`
	Place    string    `json:"place"`
	Every    Duration  `json:"every"`
	Timeout  Duration  `json:"timeout"`
	Count    Classes   `json:"count"`           // of the scheduled probes, as everything here
	Burst    int       `json:"burst,omitempty"` // extra probes in quick succession during outages
	Cuts     int       `json:"cuts,omitempty"`  // how often the idle connection broke
	Baseline float64   `json:"baseline"`        // share in steady state; 1 when there was no steady state
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
	Member  string `json:"member"`
	Found   int    `json:"found"`             // held intact, acknowledged or not
	Missing int    `json:"missing,omitempty"` // acknowledged, held by another member that counts, and not by this one
	Error   string `json:"error,omitempty"`
}

// ServerAcks is what one server acknowledged. First and Last hold its first and its last acknowledgement.
type ServerAcks struct {
	Server string   `json:"server"` // the member's name, else its address
	Writes int      `json:"writes"`
	Lost   int      `json:"lost,omitempty"`
	First  Interval `json:"first"`
	Last   Interval `json:"last"`
}

// Positions are places in a store's log: ids of stream entries ("1700000000000-0"), or WAL positions of PostgreSQL
// ("timeline:LSN"), which stand behind the row and before its commit. Empty: there is none.
type Positions struct {
	NewestAcked     string     `json:"newest_acked"`            // of the last write to be acknowledged
	NewestSurviving string     `json:"newest_surviving"`        // of the last acknowledged one that survives
	Point           string     `json:"point,omitempty"`         // of the newest write whose predecessors all survive
	NewestLost      string     `json:"newest_lost,omitempty"`   // of the last acknowledged one that was lost
	WALLost         int64      `json:"wal_lost,omitempty"`      // bytes of WAL from the point to the newest lost write, where both are on one timeline
	Timelines       []Timeline `json:"timelines,omitempty"`     // that began during the run
	TimelinesWhy    string     `json:"timelines_why,omitempty"` // why the server did not say where they began
}

// Timeline is one line of PostgreSQL's history that began while the canary wrote.
type Timeline struct {
	ID     int    `json:"id"`
	Began  string `json:"began,omitempty"`  // LSN at which it branched off, as the new primary's history file says
	After  string `json:"after,omitempty"`  // newest surviving write of an earlier timeline
	Before string `json:"before,omitempty"` // first acknowledged write of this timeline
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
	Indeterminate int        `json:"indeterminate"`       // sent, no answer: may or may not be there
	Throttled     int        `json:"throttled,omitempty"` // refused because we ask too often: says nothing of the system
	Survived      int        `json:"survived"`            // acked and found
	Lost          int        `json:"lost"`
	LostBeforeT0  int        `json:"lost_before_t0"`        // acknowledged before T0
	Duplicated    int        `json:"duplicated"`            // found twice on one member
	Corrupt       int        `json:"corrupt"`               // altered on at least one member that counts
	Phantom       int        `json:"phantom"`               // found, never sent
	Stale         int        `json:"stale,omitempty"`       // acknowledged and found, but not on every member that counts
	Resurrected   int        `json:"resurrected,omitempty"` // refused or deleted, and found all the same
	Reordered     int        `json:"reordered,omitempty"`   // stored behind a write that was sent only after their acknowledgement
	Spans         []LostSpan `json:"spans,omitempty"`
	// Servers are those that acknowledged writes, in the order of their first one; empty where the store does not say who.
	Servers []ServerAcks `json:"servers,omitempty"`
	// Point holds the acknowledgement of the newest write whose predecessors, in the order of acknowledgement, all survive.
	Point Interval `json:"point"`
	// NewestLost holds the acknowledgement of the newest lost write; zero when nothing was lost.
	NewestLost Interval   `json:"newest_lost,omitzero"`
	Positions  *Positions `json:"positions,omitempty"`
	// Clients are those of a websocket canary. Nothing is stored there: Lost counts acknowledged messages that at least one
	// client never got, Survived those that all got, and ReadBack is the time in which late ones were waited for.
	Clients    []ClientDelivery `json:"clients,omitempty"`
	ReadBack   Interval         `json:"read_back"`
	Members    []MemberRead     `json:"members,omitempty"`
	Purged     bool             `json:"purged"`
	PurgeProof string           `json:"purge_proof,omitempty"`
	Strip      []Bucket         `json:"strip"` // acked=Good, failed and indeterminate=Bad, lost=Ours per cell
	From       time.Time        `json:"from"`
	Cell       Duration         `json:"cell"`
	Raw        string           `json:"raw"`
	SHA256     string           `json:"sha256"`
	Error      string           `json:"error,omitempty"` // writing or read-back broke: loss is not measured
}

// IsStored tells whether the canary's writes are kept anywhere, so that they can be read back and purged.
func (c CanaryMeasured) IsStored() bool { return c.Kind != PubSub }

// ClientDelivery is what one client of a websocket canary received of what was published.
type ClientDelivery struct {
	Client     string    `json:"client"`         // where it listens, and its number there
	Received   int       `json:"received"`       // acknowledged messages that arrived
	Lost       int       `json:"lost"`           // acknowledged ones that never did
	Connected  int       `json:"lost_connected"` // of Lost: published while the client was connected and had subscribed
	Duplicated int       `json:"duplicated"`     // messages that arrived more than once
	Reordered  int       `json:"reordered"`      // arrived after a message that was sent only after their acknowledgement
	Gap        Duration  `json:"gap"`            // longest time without any message while messages were being published
	GapFrom    time.Time `json:"gap_from"`
	Reconnects int       `json:"reconnects"`
	P50        Duration  `json:"p50"` // from the beginning of publishing to the first arrival
	P95        Duration  `json:"p95"`
	Max        Duration  `json:"max"`
}

// SplitPair is what a former primary did once another server had begun to acknowledge writes. Counts are of writes that Old
// acknowledged between New's first and last acknowledgement.
type SplitPair struct {
	Old      string   `json:"old"`
	New      string   `json:"new"`
	From     Interval `json:"from"`             // holds New's first acknowledgement
	To       Interval `json:"to,omitzero"`      // holds Old's last one after that; zero when there is none
	Acked    int      `json:"acked"`            // surely after New's first
	AtMost   int      `json:"at_most"`          // those that may have been before it, too
	Survived int      `json:"survived"`         // of Acked
	Lost     int      `json:"lost"`             // of Acked
	Watched  bool     `json:"watched"`          // a pinned canary stayed with Old: without one, none acknowledged says little
	Refused  Interval `json:"refused,omitzero"` // holds the instant from which Old refused that canary's writes; zero when it did not
}

// SplitMeasured is who acknowledged the writes of a component's canaries, all of them together. `verify` recomputes it from
// their raw files.
type SplitMeasured struct {
	Component string       `json:"component"`
	Canaries  []string     `json:"canaries"`
	Servers   []ServerAcks `json:"servers,omitempty"` // in the order of their first acknowledgements
	Pairs     []SplitPair  `json:"pairs,omitempty"`
	Error     string       `json:"error,omitempty"`
}

// Linearizability is a checker's answer: that there is an order of all operations which explains every result, that there is
// none, or that the time for looking was over.
type Linearizability string

// The answers. Unknown never counts as linearizable.
const (
	Linearizable  Linearizability = "ok"
	NotExplicable Linearizability = "illegal"
	NotDecided    Linearizability = "unknown"
)

// RegisterMeasured is the history of a few registers that were read and written through the run, checked for
// linearizability. `verify` recomputes it from the raw file.
type RegisterMeasured struct {
	Name          string          `json:"name"`
	Kind          string          `json:"kind"`
	Place         string          `json:"place"`
	Connection    string          `json:"connection"`
	Every         Duration        `json:"every"`
	Registers     int             `json:"registers"`
	Clients       int             `json:"clients"`
	Reads         int             `json:"reads"`         // answered
	Writes        int             `json:"writes"`        // acknowledged
	Failed        int             `json:"failed"`        // refused before any effect
	Indeterminate int             `json:"indeterminate"` // without an answer: a write may take effect at any later time, or never
	Verdict       Linearizability `json:"verdict"`
	Illegal       []int           `json:"illegal,omitempty"`     // the registers without an explanation
	Unexplained   []string        `json:"unexplained,omitempty"` // per illegal register, the first operation that no order explains
	Limit         Duration        `json:"limit"`                 // time that the checker was given
	Purged        bool            `json:"purged"`
	PurgeProof    string          `json:"purge_proof,omitempty"`
	Raw           string          `json:"raw"`
	SHA256        string          `json:"sha256"`
	Picture       string          `json:"picture,omitempty"` // file name under raw/
	PictureSHA256 string          `json:"picture_sha256,omitempty"`
	Error         string          `json:"error,omitempty"` // writing broke: nothing is known
}

// LoadMeasured is what a load step reports when it is stopped (Effect.Evidence of its undo).
type LoadMeasured struct {
	Step        string         `json:"step"`
	Engine      string         `json:"engine"`
	Wanted      int            `json:"wanted"`
	Connected   int            `json:"connected"` // held at the same time, at most
	FailedDials int            `json:"failed_dials"`
	DialErrors  []CountedText  `json:"dial_errors,omitempty"`
	Drops       int            `json:"drops"`         // closed by the target or broken, not by us
	Cut         int            `json:"cut,omitempty"` // reset by the generator itself, all at once
	Reconnects  int            `json:"reconnects"`
	Published   int            `json:"published"`
	PublishFail int            `json:"publish_failed"`
	Expected    int64          `json:"expected"` // frames that should have arrived: published × connections held then
	Received    int64          `json:"received"`
	Duplicated  int64          `json:"duplicated"`
	Reordered   int64          `json:"reordered,omitempty"` // came after a later one on the same connection
	P50         Duration       `json:"p50"`                 // delivery latency from the publisher's intended send time
	P95         Duration       `json:"p95"`
	P99         Duration       `json:"p99"`
	Max         Duration       `json:"max"`
	Arrived     Quantiles      `json:"arrived,omitzero"` // the same up to the kernel's receive stamp; zero: the engine has none
	Reading     Quantiles      `json:"reading,omitzero"` // from that stamp until the generator had it: its own part
	ConnectP50  Duration       `json:"connect_p50"`
	ConnectP99  Duration       `json:"connect_p99"`
	RampTook    Duration       `json:"ramp_took"`
	LagP99      Duration       `json:"generator_lag_p99"` // our own lateness
	Saturated   string         `json:"generator_saturated,omitempty"`
	RSSBytes    int64          `json:"rss_bytes"`              // resident memory of the generator's processes, added up
	MemoryBytes int64          `json:"memory_bytes,omitempty"` // the same with pages that they share counted once
	Storms      []LoadStorm    `json:"storms,omitempty"`
	Note        string         `json:"note,omitempty"` // about how the generator ran
	CPU         Duration       `json:"cpu"`
	Series      []LoadPoint    `json:"series,omitempty"` // one a second
	Flows       []FlowMeasured `json:"flows,omitempty"`  // of an open-model load; what is above of frames is then its operations
	Quiet       *QuietClients  `json:"quiet,omitempty"`  // of clients that fell silent; they expect no frames
}

// Quantiles of a time.
type Quantiles struct {
	P50 Duration `json:"p50"`
	P95 Duration `json:"p95"`
	P99 Duration `json:"p99"`
}

// LoadStorm is many connections that ended within a short time, and their coming back. Times run from the first that ended.
type LoadStorm struct {
	At      time.Time `json:"at"`
	Level   int       `json:"level"`  // open before
	Lowest  int       `json:"lowest"` // open at the worst moment
	Back50  Duration  `json:"back50"` // until half of those lost were back; zero: never
	Back95  Duration  `json:"back95"`
	Back100 Duration  `json:"back100"`
	Failed  int       `json:"failed"` // attempts
	Rate    float64   `json:"rate"`   // connections a second, up to 95 %
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
