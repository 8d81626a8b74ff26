package drills

import "math"

// LoadFlow is one stream of operations of an open-model load: due at a rate, whatever became of those before. Exactly one
// of HTTP, Redis and Postgres is set.
type LoadFlow struct {
	Name        string        `json:"name"`
	Users       int           `json:"users,omitempty"` // people that it stands for
	Rate        float64       `json:"rate"`            // operations a second
	Connections int           `json:"connections"`     // kept open; an operation waits for one
	Timeout     Duration      `json:"timeout"`
	HTTP        *HTTPLoad     `json:"http,omitempty"`
	Redis       *RedisLoad    `json:"redis,omitempty"`
	Postgres    *PostgresLoad `json:"postgres,omitempty"`
}

// HTTPLoad is requests. Paths, bodies and values of headers have places that every operation fills anew: {n}, {run},
// {int:1:100}, {float:-58.5:-58.3}.
type HTTPLoad struct {
	URLs       []string `json:"urls"` // connections are spread over them in turn
	Login      *Login   `json:"login,omitempty"`
	Operations []HTTPOp `json:"operations"`
}

// HTTPOp is one kind of request.
type HTTPOp struct {
	Name    string            `json:"name" yaml:"name"`
	Method  string            `json:"method,omitempty" yaml:"method"` // default GET
	Path    string            `json:"path" yaml:"path"`
	Body    string            `json:"body,omitempty" yaml:"body"`
	Headers map[string]string `json:"headers,omitempty" yaml:"headers"`
	Weight  float64           `json:"weight,omitempty" yaml:"weight"` // share of the operations, relative to the others; default 1
	Status  []int             `json:"status,omitempty" yaml:"status"` // of a good answer; default any 2xx
}

// RedisLoad is GETs and SETs of its own keys, which are removed at the end and expire in any case.
type RedisLoad struct {
	Addresses []string      `json:"addresses,omitempty"` // of members; empty: via the Sentinels
	Sentinels []string      `json:"sentinels,omitempty"`
	Master    string        `json:"master,omitempty"`
	Username  string        `json:"username,omitempty"`
	Password  string        `json:"password,omitempty"`
	TLS       *TLS          `json:"tls,omitempty"`
	Auth      *SentinelAuth `json:"sentinel-auth,omitempty"`
	Prefix    string        `json:"prefix"`
	Keys      int           `json:"keys"`
	Size      int           `json:"size"`     // bytes of a value
	Writes    Share         `json:"writes"`   // share of SETs
	Pipeline  int           `json:"pipeline"` // commands in one round trip, at most; of those that are due already
}

// PostgresLoad is statements in read-only sessions.
type PostgresLoad struct {
	DSN        string      `json:"dsn"`
	Statements []Statement `json:"statements"`
}

// Statement is one kind of query. Args are templates as in HTTPLoad.
type Statement struct {
	Name   string   `json:"name" yaml:"name"`
	SQL    string   `json:"sql" yaml:"sql"`
	Args   []string `json:"args,omitempty" yaml:"args"`
	Weight float64  `json:"weight,omitempty" yaml:"weight"`
	Rows   int      `json:"min-rows,omitempty" yaml:"min-rows"` // fewer are a wrong answer
}

// FlowMeasured is one flow after its ramp. The instants of an operation: due by the schedule, sent, done.
type FlowMeasured struct {
	Name        string        `json:"name"`
	Kind        string        `json:"kind"` // http, redis, postgres
	Users       int           `json:"users,omitempty"`
	Rate        float64       `json:"rate"`        // wanted, operations a second
	Achieved    float64       `json:"achieved"`    // done well a second
	Connections int           `json:"connections"` // kept
	Pipeline    int           `json:"pipeline,omitempty"`
	Due         int           `json:"due"`
	Count       Classes       `json:"count"`
	Unserved    int           `json:"unserved,omitempty"` // still waited for a connection at the end
	P50         Duration      `json:"p50"`                // done - due: what a user waited
	P95         Duration      `json:"p95"`
	P99         Duration      `json:"p99"`
	Max         Duration      `json:"max"`
	WaitP95     Duration      `json:"wait_p95"`    // sent - due: of it, for a free connection
	ServiceP50  Duration      `json:"service_p50"` // done - sent: of it, at the target (not corrected for what waited)
	ServiceP95  Duration      `json:"service_p95"`
	ServiceP99  Duration      `json:"service_p99"`
	LagP99      Duration      `json:"generator_lag_p99"` // sent - due where a connection was free, and the dispatcher's own
	Backlog     int           `json:"backlog_max"`       // operations that waited for a connection at once, at most
	Ops         []OpMeasured  `json:"operations,omitempty"`
	Errors      []CountedText `json:"errors,omitempty"`
	Purge       string        `json:"purge,omitempty"`     // what became of the keys that it wrote
	Histogram   string        `json:"histogram,omitempty"` // of done - due in µs: HdrHistogram V2, compressed, base64
}

// OpMeasured is one kind of operation within a flow.
type OpMeasured struct {
	Name     string   `json:"name"`
	Count    Classes  `json:"count"`
	Unserved int      `json:"unserved,omitempty"`
	P50      Duration `json:"p50"`
	P95      Duration `json:"p95"`
	P99      Duration `json:"p99"`
}

// Success is the share of good answers among the operations that say something of the target; NaN without any.
func (m FlowMeasured) Success() float64 {
	of := m.Count.Good + m.Count.Bad() + m.Unserved
	if of == 0 {
		return math.NaN()
	}
	return float64(m.Count.Good) / float64(of)
}

// Add sums two counts.
func (c Classes) Add(d Classes) Classes {
	return Classes{
		Good: c.Good + d.Good, Slow: c.Slow + d.Slow, Failed: c.Failed + d.Failed, Refused: c.Refused + d.Refused, Timeout: c.Timeout + d.Timeout,
		Throttled: c.Throttled + d.Throttled, Unauthorised: c.Unauthorised + d.Unauthorised, Malformed: c.Malformed + d.Malformed, Observer: c.Observer + d.Observer,
	}
}
