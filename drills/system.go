package drills

import "maps"

// System is what is drilled: its components, how to reach them, objectives, monitoring, limits.
// Strings may hold ${env:NAME} and ${file:PATH}; they are expanded only when handed to the process that needs them.
type System struct {
	Version     int                              `json:"version" yaml:"version"`
	Name        string                           `json:"system" yaml:"system"`
	Title       string                           `json:"title,omitempty" yaml:"title"`
	Environment string                           `json:"environment" yaml:"environment"` // reference | staging | production | …
	Disposable  bool                             `json:"disposable,omitempty" yaml:"disposable"`
	Runtime     RuntimeSpec                      `json:"runtime" yaml:"runtime"`
	Identity    *Identity                        `json:"identity,omitempty" yaml:"identity"`
	Probes      map[string]ProbeSpec             `json:"probes" yaml:"probes"`
	Canaries    map[string]CanarySpec            `json:"canaries,omitempty" yaml:"canaries"`
	Components  map[string]Component             `json:"components" yaml:"components"`
	Profiles    map[string]map[string]Objectives `json:"profiles,omitempty" yaml:"profiles"`
	Monitoring  Monitoring                       `json:"monitoring" yaml:"monitoring"`
	Limits      Limits                           `json:"limits" yaml:"limits"`

	File   string `json:"file" yaml:"-"`
	Digest string `json:"digest" yaml:"-"` // sha256 of the file, hex
}

// RuntimeSpec chooses the runtime; Docker is the one there is.
type RuntimeSpec struct {
	Docker *DockerSpec `json:"docker,omitempty" yaml:"docker"`
}

// DockerSpec names the engine and the Compose project.
type DockerSpec struct {
	Host     string `json:"host,omitempty" yaml:"host"`           // empty: DOCKER_HOST or the default socket
	EngineID string `json:"engine-id,omitempty" yaml:"engine-id"` // pin; may be left out only in environment reference
	Project  string `json:"project" yaml:"project"`
}

// Identity pins the monitored system: the query must return at least Min.
type Identity struct {
	PromQL string  `json:"promql" yaml:"promql"`
	Min    float64 `json:"min" yaml:"min"`
}

// From is where a probe or canary runs: {network: NAME} or {host: true}.
type From struct {
	Network string `json:"network,omitempty" yaml:"network"`
	Host    bool   `json:"host,omitempty" yaml:"host"`
}

// TLS is how a client checks its server and shows itself. Paths are read by the orchestrator and handed over.
type TLS struct {
	CA         string `json:"ca,omitempty" yaml:"ca"`
	Cert       string `json:"cert,omitempty" yaml:"cert"`
	Key        string `json:"key,omitempty" yaml:"key"`
	ServerName string `json:"server-name,omitempty" yaml:"server-name"`
	Insecure   bool   `json:"insecure,omitempty" yaml:"insecure"` // recorded; for test systems
}

// SentinelAuth is how a client enters the Sentinels where they ask for more than an address: it has nothing to do with how
// it enters the Redis members.
type SentinelAuth struct {
	Username string `json:"username,omitempty" yaml:"username"`
	Password string `json:"password,omitempty" yaml:"password"`
	TLS      *TLS   `json:"tls,omitempty" yaml:"tls"`
}

// Login gets a bearer token by form POST and renews it before it expires and after a 401.
type Login struct {
	URL      string `json:"url" yaml:"url"`
	Username string `json:"username" yaml:"username"`
	Password string `json:"password" yaml:"password"`
	Field    string `json:"field,omitempty" yaml:"field"` // JSON field of the token; default access_token
}

// HTTPExpect is what a good answer looks like. Default: any 2xx.
type HTTPExpect struct {
	Status   []int  `json:"status,omitempty" yaml:"status"`
	Contains string `json:"contains,omitempty" yaml:"contains"`
}

// ProbeSpec is one black-box check, run many times a second. Which fields a kind uses is checked by drills/scenario.
type ProbeSpec struct {
	Kind    string   `json:"kind" yaml:"kind"` // http | tcp | redis | postgres | websocket | command
	From    From     `json:"from" yaml:"from"`
	Every   Duration `json:"every,omitempty" yaml:"every"`     // default 50ms
	Timeout Duration `json:"timeout,omitempty" yaml:"timeout"` // default 250ms
	Slow    Duration `json:"slow,omitempty" yaml:"slow"`       // an answer slower than this is slow (counted as bad); default none

	URL        string            `json:"url,omitempty" yaml:"url"`             // http, websocket (subscribe side)
	Method     string            `json:"method,omitempty" yaml:"method"`       // http; default GET
	Headers    map[string]string `json:"headers,omitempty" yaml:"headers"`     // http
	Body       string            `json:"body,omitempty" yaml:"body"`           // http
	Expect     HTTPExpect        `json:"expect,omitzero" yaml:"expect"`        // http
	Login      *Login            `json:"login,omitempty" yaml:"login"`         // http, websocket
	PublishURL string            `json:"publish-url,omitempty" yaml:"publish"` // websocket: POST here, receive on URL
	Topic      string            `json:"topic,omitempty" yaml:"topic"`         // websocket
	Address    string            `json:"address,omitempty" yaml:"address"`     // tcp, redis (direct)
	Via        string            `json:"via,omitempty" yaml:"via"`             // redis: direct (default) | sentinel
	Sentinels  []string          `json:"sentinels,omitempty" yaml:"sentinels"`
	Master     string            `json:"master,omitempty" yaml:"master"`
	Username   string            `json:"username,omitempty" yaml:"username"`
	Password   string            `json:"password,omitempty" yaml:"password"`
	Operation  string            `json:"operation,omitempty" yaml:"operation"` // redis: write (default) | read | ping; postgres: write | read (default)
	Key        string            `json:"key,omitempty" yaml:"key"`             // redis; default simulacro:probe:<name>
	DSN        string            `json:"dsn,omitempty" yaml:"dsn"`             // postgres (sslmode in it)
	Query      string            `json:"query,omitempty" yaml:"query"`         // postgres; default by operation
	Command    []string          `json:"command,omitempty" yaml:"command"`     // command: exit 0 is good
	TLS        *TLS              `json:"tls,omitempty" yaml:"tls"`

	SentinelAuth *SentinelAuth `json:"sentinel-auth,omitempty" yaml:"sentinel-auth"`
}

// CanarySpec is a numbered stream of writes, read back after recovery and purged.
type CanarySpec struct {
	Kind       string   `json:"kind" yaml:"kind"` // redis | postgres
	From       From     `json:"from" yaml:"from"`
	Every      Duration `json:"every,omitempty" yaml:"every"`           // default 20ms
	Timeout    Duration `json:"timeout,omitempty" yaml:"timeout"`       // default 500ms
	Connection string   `json:"connection,omitempty" yaml:"connection"` // persistent (default; held as the application holds it) | pinned (stays with the primary at the start) | fresh (per write)
	Keys       string   `json:"keys,omitempty" yaml:"keys"`             // redis; {run} is replaced. Namespace of our own
	Table      string   `json:"table,omitempty" yaml:"table"`           // postgres: schema.table; {run} is replaced
	Purge      bool     `json:"purge" yaml:"purge"`

	Via       string   `json:"via,omitempty" yaml:"via"`
	Sentinels []string `json:"sentinels,omitempty" yaml:"sentinels"`
	Master    string   `json:"master,omitempty" yaml:"master"`
	Address   string   `json:"address,omitempty" yaml:"address"`
	Username  string   `json:"username,omitempty" yaml:"username"`
	Password  string   `json:"password,omitempty" yaml:"password"`
	DSN       string   `json:"dsn,omitempty" yaml:"dsn"`
	// Members are the addresses read back from (host:port), every one of them; empty: the members of the component.
	Members []string `json:"members,omitempty" yaml:"members"`
	TLS     *TLS     `json:"tls,omitempty" yaml:"tls"`

	SentinelAuth *SentinelAuth `json:"sentinel-auth,omitempty" yaml:"sentinel-auth"`
}

// Selector finds a component's members on the runtime.
type Selector struct {
	Service string            `json:"service,omitempty" yaml:"service"` // glob over Compose services
	Names   []string          `json:"names,omitempty" yaml:"names"`
	Labels  map[string]string `json:"labels,omitempty" yaml:"labels"`
}

// MemberSelect is the `members:` block of a component.
type MemberSelect struct {
	Select Selector `json:"select" yaml:"select"`
}

// RoleSource says who knows the roles of a component's members.
type RoleSource struct {
	From      string   `json:"from" yaml:"from"` // sentinel | patroni
	Master    string   `json:"master,omitempty" yaml:"master"`
	Addresses []string `json:"addresses,omitempty" yaml:"addresses"` // host:port inside the system's networks; patroni: empty means every member on port
	Port      int      `json:"port,omitempty" yaml:"port"`           // data port of a member (6379, 5432); patroni REST port is rest-port
	RESTPort  int      `json:"rest-port,omitempty" yaml:"rest-port"`
	Username  string   `json:"username,omitempty" yaml:"username"` // of the data nodes
	Password  string   `json:"password,omitempty" yaml:"password"`
	TLS       *TLS     `json:"tls,omitempty" yaml:"tls"` // of the Redis data nodes

	SentinelAuth *SentinelAuth `json:"sentinel-auth,omitempty" yaml:"sentinel-auth"`
}

// Source is where an objective was approved.
type Source struct {
	Document string `json:"document" yaml:"document"`
	Clause   string `json:"clause,omitempty" yaml:"clause"`
}

// Objectives are the targets. Zero means: no such objective.
type Objectives struct {
	RTO          Duration `json:"rto,omitempty" yaml:"rto"`
	RPO          Duration `json:"rpo,omitempty" yaml:"rpo"`
	Availability string   `json:"availability,omitempty" yaml:"availability"` // "99.99%"
	Source       Source   `json:"source,omitzero" yaml:"source"`
}

// Component is a named part of the system.
type Component struct {
	Name           string       `json:"name" yaml:"-"`
	Title          string       `json:"title,omitempty" yaml:"title"`
	Kind           string       `json:"kind" yaml:"kind"` // redis, postgres, http, websocket, …
	Members        MemberSelect `json:"members" yaml:"members"`
	Roles          *RoleSource  `json:"roles,omitempty" yaml:"roles"`
	UsedBy         []string     `json:"used-by,omitempty" yaml:"used-by"`
	RecoveredMeans []string     `json:"recovered-means,omitempty" yaml:"recovered-means"`
	Canaries       []string     `json:"canaries,omitempty" yaml:"canaries"` // that judge its RPO
	Objectives     Objectives   `json:"objectives" yaml:"objectives"`
	KeepHealthy    int          `json:"keep-healthy,omitempty" yaml:"keep-healthy"`
}

// Endpoint is an HTTP address inside the system's networks or on the host.
type Endpoint struct {
	URL      string `json:"url" yaml:"url"`
	Username string `json:"username,omitempty" yaml:"username"`
	Password string `json:"password,omitempty" yaml:"password"`
	TLS      *TLS   `json:"tls,omitempty" yaml:"tls"`
}

// NotifiedBy is where notifications can be seen to arrive.
type NotifiedBy struct {
	Kind string `json:"kind" yaml:"kind"` // webhook: our sink's API
	At   string `json:"at" yaml:"at"`
}

// Monitoring is how people would learn of an outage.
type Monitoring struct {
	Prometheus   *Endpoint   `json:"prometheus,omitempty" yaml:"prometheus"`
	Alertmanager *Endpoint   `json:"alertmanager,omitempty" yaml:"alertmanager"`
	NotifiedBy   *NotifiedBy `json:"notified-by,omitempty" yaml:"notified-by"`
}

// Limits bound what drills may do to the system.
type Limits struct {
	ConcurrentFaults int      `json:"concurrent-faults,omitempty" yaml:"concurrent-faults"`
	OutagePerRun     Duration `json:"outage-per-run,omitempty" yaml:"outage-per-run"`
	CoolDown         Duration `json:"cool-down,omitempty" yaml:"cool-down"`
}

// ObjectivesOf returns the objectives of a component under a profile ("" is the system file's own).
// A profile replaces only the targets that it names; the source is then the profile.
func (s *System) ObjectivesOf(component, profile string) Objectives {
	o := s.Components[component].Objectives
	p, ok := s.Profiles[profile][component]
	if !ok {
		return o
	}
	if p.RTO != 0 {
		o.RTO = p.RTO
	}
	if p.RPO != 0 {
		o.RPO = p.RPO
	}
	if p.Availability != "" {
		o.Availability = p.Availability
	}
	o.Source = p.Source
	if o.Source.Document == "" {
		o.Source = Source{Document: "profile " + profile, Clause: component}
	}
	return o
}

// Networks lists the names of the networks that probes and canaries run in.
func (s *System) Networks() map[string]bool {
	out := map[string]bool{}
	for p := range maps.Values(s.Probes) {
		out[p.From.Network] = true
	}
	for c := range maps.Values(s.Canaries) {
		out[c.From.Network] = true
	}
	delete(out, "")
	return out
}
