package drills

import (
	"maps"
	"slices"
	"strings"
)

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

// From is where a probe or canary runs: {network: NAME} or {host: true}. A file may list several for a probe, which becomes as
// many probes when it is read (see Vantage): each is measured and reported by itself, and recovery takes all of them.
type From struct {
	Network string `json:"network,omitempty" yaml:"network"`
	Host    bool   `json:"host,omitempty" yaml:"host"`
}

// Vantage is the name of a probe's series from one of several places: NAME@NETWORK or NAME@host.
func Vantage(probe string, f From) string {
	if f.Host {
		return probe + "@host"
	}
	return probe + "@" + f.Network
}

// Series are the probes that a name stands for: itself, or one per place where the file lists several.
func (s *System) Series(name string) []string {
	if _, ok := s.Probes[name]; ok {
		return []string{name}
	}
	var out []string
	for p := range s.Probes {
		if strings.HasPrefix(p, name+"@") {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return []string{name}
	}
	slices.Sort(out)
	return out
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

	// Burst is the period of extra probes from the first failed one until the service answers again; default none. Tripwire
	// holds an idle connection to the target whose end stamps the beginning of an outage. Both only sharpen the edges of an
	// outage that the scheduled probes show. Kinds http, tcp, redis and postgres.
	Burst    Duration `json:"burst,omitempty" yaml:"burst"`
	Tripwire bool     `json:"tripwire,omitempty" yaml:"tripwire"`

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

// CanarySpec is a numbered stream of writes, read back after recovery and purged. Which fields a kind uses is checked by
// drills/scenario.
type CanarySpec struct {
	Kind       string   `json:"kind" yaml:"kind"` // redis | redis-stream | redis-register | postgres | postgres-register | http | websocket
	From       From     `json:"from" yaml:"from"`
	Every      Duration `json:"every,omitempty" yaml:"every"`           // default 20ms
	Timeout    Duration `json:"timeout,omitempty" yaml:"timeout"`       // default 500ms
	Connection string   `json:"connection,omitempty" yaml:"connection"` // persistent (default; held as the application holds it) | pinned (stays with the primary at the start) | fresh (per write) | mixed (registers: the last client is pinned, the others are persistent)
	Keys       string   `json:"keys,omitempty" yaml:"keys"`             // redis; {run} is replaced. Namespace of our own
	Table      string   `json:"table,omitempty" yaml:"table"`           // postgres: schema.table; {run} is replaced
	Purge      bool     `json:"purge" yaml:"purge"`
	// Retries of a write that was not acknowledged, within its timeout, as an at-least-once producer does: redis-stream.
	Retries  int  `json:"retries,omitempty" yaml:"retries"`
	Geometry bool `json:"geometry,omitempty" yaml:"geometry"` // postgres: every row carries a PostGIS point
	// Registers and Clients of a register: every operation reads or writes one of so many registers as one of so many clients.
	Registers int `json:"registers,omitempty" yaml:"registers"` // default 4
	Clients   int `json:"clients,omitempty" yaml:"clients"`     // default 3; websocket: at each address of Receive, default 2

	Write   *HTTPWrite        `json:"write,omitempty" yaml:"write"`     // http
	Read    *HTTPRead         `json:"read,omitempty" yaml:"read"`       // http: read, list or both
	List    *HTTPList         `json:"list,omitempty" yaml:"list"`       // http
	Remove  *HTTPRemove       `json:"remove,omitempty" yaml:"remove"`   // http
	Headers map[string]string `json:"headers,omitempty" yaml:"headers"` // http, websocket
	Login   *Login            `json:"login,omitempty" yaml:"login"`     // http, websocket

	// Numbered messages are posted to PublishURL, and every client at each address of Receive must get every one. Pub/sub
	// stores nothing: what the clients received is all that can be read back.
	PublishURL string     `json:"publish-url,omitempty" yaml:"publish"` // websocket
	Receive    []string   `json:"receive,omitempty" yaml:"receive"`     // websocket: ws:// addresses, of several instances
	Topic      string     `json:"topic,omitempty" yaml:"topic"`         // websocket; {run} is replaced. Ours alone, so that nobody is told
	Body       string     `json:"body,omitempty" yaml:"body"`           // websocket: {id} and {topic} are replaced; default as the probe's
	Expect     HTTPExpect `json:"expect,omitzero" yaml:"expect"`        // websocket: what acknowledges a message; default any 2xx

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

// Store is the kind of the component that holds what the canary wrote.
func (c CanarySpec) Store() string {
	store, _, _ := strings.Cut(c.Kind, "-")
	return store
}

// IsStored tells whether what the canary writes is kept anywhere: messages are passed on and forgotten.
func (c CanarySpec) IsStored() bool { return c.Kind != PubSub }

// IsOrdered tells whether the order in which writes took effect can be seen.
func (c CanarySpec) IsOrdered() bool { return c.Kind == PubSub || c.Kind == "redis-stream" }

// PubSub is the kind of canary whose messages are received, not stored.
const PubSub = "websocket"

// IsRegister tells whether the canary is a history of reads and writes, not a stream of numbered writes.
func (c CanarySpec) IsRegister() bool { return strings.HasSuffix(c.Kind, "-register") }

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

// Control is how faults enter a component's store: a user with the rights that they need, which is rarely the application's.
type Control struct {
	DSN      string `json:"dsn,omitempty" yaml:"dsn"`           // postgres; a fault on one member replaces its hosts
	Username string `json:"username,omitempty" yaml:"username"` // redis; without control: as its roles are asked
	Password string `json:"password,omitempty" yaml:"password"` // redis
	Port     int    `json:"port,omitempty" yaml:"port"`         // of a member; default: that of the roles, else 6379 or 5432
	TLS      *TLS   `json:"tls,omitempty" yaml:"tls"`
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
	Name           string                 `json:"name" yaml:"-"`
	Title          string                 `json:"title,omitempty" yaml:"title"`
	Kind           string                 `json:"kind" yaml:"kind"` // redis, postgres, http, websocket, …
	Members        MemberSelect           `json:"members" yaml:"members"`
	Roles          *RoleSource            `json:"roles,omitempty" yaml:"roles"`
	Control        *Control               `json:"control,omitempty" yaml:"control"`
	UsedBy         []string               `json:"used-by,omitempty" yaml:"used-by"`
	RecoveredMeans []string               `json:"recovered-means,omitempty" yaml:"recovered-means"`
	Canaries       []string               `json:"canaries,omitempty" yaml:"canaries"` // that judge its RPO
	Objectives     Objectives             `json:"objectives" yaml:"objectives"`
	KeepHealthy    int                    `json:"keep-healthy,omitempty" yaml:"keep-healthy"`
	SeenBy         *SeenBy                `json:"seen-by,omitempty" yaml:"seen-by"`
	SLOs           []SLO                  `json:"slos,omitempty" yaml:"slos"`
	Breakers       map[string]BreakerSpec `json:"breakers,omitempty" yaml:"breakers"`
	Connections    int                    `json:"connections,omitempty" yaml:"connections"` // that all members together must be able to hold
	Health         *HealthClaim           `json:"health,omitempty" yaml:"health"`
	Backups        map[string]BackupPlace `json:"backups,omitempty" yaml:"backups"`
	Copies         *Copies                `json:"copies,omitempty" yaml:"copies"` // of the backups, elsewhere
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

	// What the doctor compares with what is there.
	Jobs       map[string]ScrapeJob `json:"jobs,omitempty" yaml:"jobs"`
	Labels     *LabelRules          `json:"labels,omitempty" yaml:"labels"`
	Dashboards []string             `json:"dashboards,omitempty" yaml:"dashboards"` // JSON files beside the system file, by path or glob
	Truth      *Truth               `json:"truth,omitempty" yaml:"truth"`           // what `doctor --active` may do
}

// ScrapeJob is what one scrape job should be.
type ScrapeJob struct {
	Interval Duration          `json:"interval,omitempty" yaml:"interval"` // zero: any
	Targets  int               `json:"targets,omitempty" yaml:"targets"`   // at least; default 1
	Labels   map[string]string `json:"labels,omitempty" yaml:"labels"`     // that every target has
	Absent   string            `json:"absent,omitempty" yaml:"absent"`     // it is known not to be there, and why that is accepted
}

// LabelRules say which labels metrics may carry.
type LabelRules struct {
	Forbidden []string `json:"forbidden,omitempty" yaml:"forbidden"`   // such as user or session: one series per person
	Allowed   []string `json:"allowed,omitempty" yaml:"allowed"`       // empty: any that is not forbidden
	MaxSeries int      `json:"max-series,omitempty" yaml:"max-series"` // in the head of Prometheus's store; zero: any
}

// Limits bound what drills may do to the system.
type Limits struct {
	ConcurrentFaults int      `json:"concurrent-faults,omitempty" yaml:"concurrent-faults"`
	OutagePerRun     Duration `json:"outage-per-run,omitempty" yaml:"outage-per-run"`
	CoolDown         Duration `json:"cool-down,omitempty" yaml:"cool-down"`
	ErrorBudget      string   `json:"error-budget,omitempty" yaml:"error-budget"`   // tell (default) | block: no drill once the month's is used up
	HostCommands     bool     `json:"host-commands,omitempty" yaml:"host-commands"` // drills may run commands beside the orchestrator
	LoadRate         float64  `json:"load-rate,omitempty" yaml:"load-rate"`         // operations a second that a load step may make; production: none unless given
	// Targets are rate limits by host:port, where the targets do not state theirs in their answers or state too much.
	Targets map[string]TargetLimit `json:"targets,omitempty" yaml:"targets"`
}

// TargetLimit is how many requests a target takes in how long. Probes and HTTP canaries together use half of it at most.
type TargetLimit struct {
	Requests int      `json:"requests" yaml:"requests"`
	Per      Duration `json:"per" yaml:"per"`
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
