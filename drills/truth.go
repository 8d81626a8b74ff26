package drills

import "slices"

// Truth is what the doctor may do so that numbers of the monitoring can be compared with what is known to be true, because it
// did it itself: it holds a few connections, publishes a few messages on a topic of its own, and asks Prometheus before,
// meanwhile and after.
type Truth struct {
	Canary      string        `json:"canary" yaml:"canary"`                     // of kind websocket: where to connect and publish, and as whom
	Connections int           `json:"connections,omitempty" yaml:"connections"` // at each address; default 3
	Messages    int           `json:"messages,omitempty" yaml:"messages"`       // default 20
	Metrics     []TruthMetric `json:"metrics" yaml:"metrics"`
}

// TruthMetric is one number and what it claims to be.
type TruthMetric struct {
	Metric    string    `json:"metric" yaml:"metric"` // a selector; its series are added up
	Is        TruthKind `json:"is" yaml:"is"`
	Of        string    `json:"of,omitempty" yaml:"of"`               // errors: the selector of what they are a share of
	Max       float64   `json:"max,omitempty" yaml:"max"`             // errors: the largest share, 0 to 1
	MaxAge    Duration  `json:"max-age,omitempty" yaml:"max-age"`     // time: how long ago it may be
	Tolerance float64   `json:"tolerance,omitempty" yaml:"tolerance"` // by how much it may be off; default 0
}

// TruthKind says what a number is compared with.
type TruthKind string

// Gauges: connections held now, and users who hold one. Counters: connections ever made, frames received, messages published,
// messages of ours delivered (per connection), messages that could not be sent. Time is an instant in Unix seconds.
const (
	TruthConnections TruthKind = "connections"
	TruthUsers       TruthKind = "users"
	TruthConnects    TruthKind = "connects"
	TruthReceived    TruthKind = "received"
	TruthPublished   TruthKind = "published"
	TruthDelivered   TruthKind = "delivered"
	TruthErrors      TruthKind = "errors"
	TruthTime        TruthKind = "time"
)

// TruthKinds lists them all.
func TruthKinds() []TruthKind {
	return []TruthKind{TruthConnections, TruthUsers, TruthConnects, TruthReceived, TruthPublished, TruthDelivered, TruthErrors, TruthTime}
}

// Selectors are all that Prometheus is asked for, each once.
func (t Truth) Selectors() []string {
	var out []string
	for _, m := range t.Metrics {
		for _, s := range []string{m.Metric, m.Of} {
			if s != "" && !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// Deed is one thing that a witness does when it is told to.
type Deed string

// Open makes all connections, Publish sends the messages and waits for them, Reopen replaces half of the connections, Shut ends
// them all.
const (
	DeedOpen    Deed = "open"
	DeedPublish Deed = "publish"
	DeedReopen  Deed = "reopen"
	DeedShut    Deed = "shut"
)

// Tally is what a witness has done and seen since it began. Held is of now; everything else only grows.
type Tally struct {
	Held      int `json:"held"`
	Most      int `json:"most"`      // held at a time
	Places    int `json:"places"`    // addresses at which it holds connections
	Connects  int `json:"connects"`  // connections made
	Received  int `json:"received"`  // frames, of whatever content
	Published int `json:"published"` // messages that were acknowledged
	Delivered int `json:"delivered"` // messages of its own that came back, per connection
	Broken    int `json:"broken"`    // connections that ended without its doing
	Refused   int `json:"refused"`   // messages that were not acknowledged
}
