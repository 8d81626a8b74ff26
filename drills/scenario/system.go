package scenario

import (
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

var availabilityPattern = regexp.MustCompile(`^[0-9]{1,3}(\.[0-9]+)?%$`)

// LoadSystem reads a system file. Every problem of the file is in the error (Errors). References to secrets stay as they
// are; relative paths of TLS files are joined to the system file's folder.
func LoadSystem(path string) (*drills.System, error) {
	b, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parseSystem(path, b)
}

func parseSystem(file string, b []byte) (*drills.System, error) {
	d, err := parse(file, b)
	if err != nil {
		return nil, err
	}
	s := &drills.System{}
	d.structure(d.root, "", reflect.ValueOf(s).Elem())
	if d.budget <= 0 {
		return nil, d.err()
	}
	d.references(d.root, "")
	s.File, s.Digest = file, digest(b)
	d.checkLogins()
	d.system(s)
	if err := d.err(); err != nil {
		return nil, err
	}
	return s, nil
}

func (d *document) system(s *drills.System) {
	d.version(s.Version)
	d.requiredName("system", s.Name, "the system's name, such as `system: shop`")
	if d.required("environment", s.Environment != "", oneOf(environments())) {
		d.known("environment", "environment", s.Environment, environments())
	}
	d.runtime(s)
	if d.required("probes", len(s.Probes) > 0, "at least one check as a user would do it") {
		for name, p := range s.Probes {
			d.probe(name, &p, s)
			s.Probes[name] = p
		}
		d.spread(s)
	}
	for name, c := range s.Canaries {
		d.canary(name, &c, s)
		s.Canaries[name] = c
	}
	if d.required("components", len(s.Components) > 0, "the named parts of the system") {
		for name, c := range s.Components {
			c.Name = name
			d.component(name, &c, s)
			s.Components[name] = c
		}
	}
	d.profiles(s)
	d.monitoring(s)
	d.audited(s)
	d.truth(s.Monitoring.Truth, s)
	d.known("limits.error-budget", "value", s.Limits.ErrorBudget, []string{"tell", drills.BudgetBlocks})
	if s.Limits.ConcurrentFaults == 0 {
		s.Limits.ConcurrentFaults = 1
	}
	if s.Limits.ConcurrentFaults < 0 {
		d.add("limits.concurrent-faults", "this cannot be negative", "1 is the default")
	}
	if s.Limits.LoadRate < 0 {
		d.add("limits.load-rate", "this cannot be negative", "operations a second that a load step may make at most")
	}
	for target, l := range s.Limits.Targets {
		path := join("limits.targets", target)
		d.address(path, target)
		d.required(path+".requests", l.Requests != 0, "how many requests are allowed")
		if l.Requests < 0 {
			d.add(path+".requests", "this cannot be negative", "how many requests are allowed")
		}
		d.needed(path+".per", l.Per, "in how long, such as 1m")
	}
}

func (d *document) runtime(s *drills.System) {
	if !d.required("runtime", s.Runtime.Docker != nil || d.spoilt["runtime.docker"], "runtime: {docker: {project: NAME}}") || s.Runtime.Docker == nil {
		return
	}
	d.required("runtime.docker.project", s.Runtime.Docker.Project != "", "the name of the Compose project, as in `docker compose ls`")
	if s.Runtime.Docker.EngineID == "" && s.Environment != "reference" && s.Environment != "" {
		d.add("runtime.docker.engine-id", "engine-id is missing", "pin the engine: docker info --format '{{.ID}}'; only environment reference may leave it out")
	}
}

func (d *document) component(name string, c *drills.Component, s *drills.System) {
	path := join("components", name)
	d.name(path, name)
	d.required(path+".kind", c.Kind != "", "redis, postgres, http, websocket, …")
	d.name(path+".kind", c.Kind)
	x := c.Members.Select
	d.required(path+".members", x.Service != "" || len(x.Names) > 0 || len(x.Labels) > 0, `members: {select: {service: "redis-*"}}`)
	d.glob(path+".members.select.service", x.Service)
	for i, g := range x.Names {
		d.glob(path+".members.select.names["+strconv.Itoa(i)+"]", g)
	}
	d.roleSource(path+".roles", c.Roles, s.File)
	d.control(path+".control", c, s.File)
	d.names(path+".used-by", "component", c.UsedBy, keys(s.Components))
	d.names(path+".recovered-means", "probe", c.RecoveredMeans, append(keys(s.Probes), d.spreadOut()...))
	c.RecoveredMeans = spreadNames(s, c.RecoveredMeans)
	d.names(path+".canaries", "canary", c.Canaries, keys(s.Canaries))
	d.objectives(path+".objectives", c.Objectives)
	d.seenBy(path+".seen-by", c.SeenBy, s)
	d.slos(path+".slos", c.SLOs, s)
	d.breakers(path+".breakers", c, s)
	d.health(path+".health", c.Health, c, s)
	d.backups(path, c)
	if c.KeepHealthy < 0 {
		d.add(path+".keep-healthy", "this cannot be negative", "how many members must stay untouched")
	}
	if c.Connections < 0 {
		d.add(path+".connections", "this cannot be negative", "how many connections all members together must hold")
	}
}

func (d *document) glob(path, pattern string) {
	if _, err := filepath.Match(pattern, ""); err != nil {
		d.add(path, "this is not a glob", "* stands for any letters; close every [")
	}
}

// names checks a list of names of things that the file must declare.
func (d *document) names(path, what string, list, declared []string) {
	for i, n := range list {
		p := path + "[" + strconv.Itoa(i) + "]"
		d.known(p, what, n, declared)
		if slices.Index(list, n) < i {
			d.add(p, n+" is there twice", "remove one")
		}
	}
}

func (d *document) roleSource(path string, r *drills.RoleSource, file string) {
	if r == nil {
		return
	}
	if !d.required(path+".from", r.From != "", "sentinel or patroni") {
		return
	}
	d.known(path+".from", "role source", r.From, []string{"sentinel", "patroni"})
	if r.From == "sentinel" {
		d.required(path+".master", r.Master != "", "the master's name in the Sentinels' settings")
		d.required(path+".addresses", len(r.Addresses) > 0, "the Sentinels, as host:port")
	}
	if r.Port == 0 {
		r.Port = map[string]int{"sentinel": 6379, "patroni": 5432}[r.From]
	}
	if r.RESTPort == 0 && r.From == "patroni" {
		r.RESTPort = 8008
	}
	for key, p := range map[string]int{"port": r.Port, "rest-port": r.RESTPort} {
		if p < 0 || p > 65535 {
			d.add(join(path, key), "this is not a port", "from 1 to 65535")
		}
	}
	d.addresses(path+".addresses", r.Addresses)
	d.secret(path+".password", r.Password)
	d.tls(path+".tls", r.TLS, file)
	d.sentinelAuth(path+".sentinel-auth", r.SentinelAuth, file)
	if r.From != "sentinel" {
		d.unused(path, "from: "+r.From+" does not use it", "tls", "sentinel-auth")
	}
}

// control checks how faults enter a store.
func (d *document) control(path string, c *drills.Component, file string) {
	x := c.Control
	if x == nil {
		return
	}
	switch c.Kind {
	case "postgres":
		if d.required(path+".dsn", x.DSN != "", "postgres://user:${file:PATH}@host:5432/db?sslmode=require") {
			d.dsnSecret(path+".dsn", x.DSN)
		}
		d.unused(path, "a postgres component is entered by its dsn", "username", "password")
	case "redis":
		d.unused(path, "a redis component is entered by username and password", "dsn")
		d.secret(path+".password", x.Password)
	default:
		d.add(path, "only components of kind redis and postgres have it", "remove it")
	}
	if x.Port < 0 || x.Port > 65535 {
		d.add(path+".port", "this is not a port", "from 1 to 65535")
	}
	d.tls(path+".tls", x.TLS, file)
}

func (d *document) objectives(path string, o drills.Objectives) {
	d.positive(path+".rto", o.RTO)
	d.positive(path+".rpo", o.RPO)
	if o.Availability == "" {
		return
	}
	p, err := strconv.ParseFloat(strings.TrimSuffix(o.Availability, "%"), 64)
	if !availabilityPattern.MatchString(o.Availability) || err != nil || p <= 0 || p > 100 {
		d.add(path+".availability", "this is not an availability", "write it as 99.9%")
	}
}

func (d *document) profiles(s *drills.System) {
	for profile, components := range s.Profiles {
		path := join("profiles", profile)
		d.name(path, profile)
		for c, o := range components {
			d.known(join(path, c), "component", c, keys(s.Components))
			d.objectives(join(path, c), o)
		}
	}
}

func (d *document) monitoring(s *drills.System) {
	m := s.Monitoring
	for key, e := range map[string]*drills.Endpoint{"prometheus": m.Prometheus, "alertmanager": m.Alertmanager} {
		if e == nil {
			continue
		}
		path := "monitoring." + key
		if d.required(path+".url", e.URL != "", "http://host:port") {
			d.url(path+".url", e.URL, "http", "https")
			d.dsnSecret(path+".url", e.URL)
		}
		d.secret(path+".password", e.Password)
		d.tls(path+".tls", e.TLS, s.File)
	}
	if n := m.NotifiedBy; n != nil {
		d.required("monitoring.notified-by.kind", n.Kind != "", "webhook")
		d.known("monitoring.notified-by.kind", "kind", n.Kind, []string{"webhook"})
		if d.required("monitoring.notified-by.at", n.At != "", "http://host:port") {
			d.url("monitoring.notified-by.at", n.At, "http", "https")
		}
	}
	if s.Identity == nil {
		return
	}
	d.required("identity.promql", s.Identity.PromQL != "", `identity: {promql: 'count(up{environment="staging"})', min: 1}`)
	if m.Prometheus == nil {
		d.add("identity", "no Prometheus is declared that could answer the query", "add monitoring.prometheus or remove identity")
	}
}
