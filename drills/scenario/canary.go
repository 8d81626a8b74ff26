package scenario

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// canaryFields says which keys each kind of canary reads besides the common ones.
func canaryFields() map[string][]string {
	redis := []string{"via", "sentinels", "master", "address", "username", "password", "sentinel-auth", "keys", "tls"}
	return map[string][]string{
		"redis":        redis,
		"redis-stream": append(slices.Clone(redis), "retries"),
		"postgres":     {"dsn", "table", "geometry", "tls"},
		"http":         {"write", "read", "list", "remove", "headers", "login", "tls"},
		"websocket":    {"publish", "receive", "clients", "topic", "body", "expect", "headers", "login", "tls"},

		"redis-register":    append(slices.Clone(redis), "registers", "clients"),
		"postgres-register": {"dsn", "table", "registers", "clients", "tls"},
	}
}

var tablePattern = regexp.MustCompile(`^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$`)

func (d *document) canary(name string, c *drills.CanarySpec, s *drills.System) {
	path := join("canaries", name)
	d.name(path, name)
	d.onePlace(path, "a canary writes from one place")
	d.from(path, c.From, false)
	if c.Kind == "http" { // an API is slower than a store, and may be rate limited
		fill(&c.Every, time.Second)
		fill(&c.Timeout, 2*time.Second)
	}
	if c.Kind == drills.PubSub {
		fill(&c.Every, 100*time.Millisecond)
		fill(&c.Timeout, 2*time.Second)
	}
	if c.IsRegister() {
		fill(&c.Every, 33*time.Millisecond)
	}
	fill(&c.Every, 20*time.Millisecond)
	fill(&c.Timeout, 500*time.Millisecond)
	d.between(path+".every", c.Every, time.Millisecond, time.Minute)
	d.between(path+".timeout", c.Timeout, time.Millisecond, time.Minute)
	if c.Connection == "" {
		c.Connection = "persistent"
	}
	connections := []string{"persistent", "pinned", "fresh"}
	if c.IsRegister() {
		connections = append(connections, "mixed")
	}
	d.known(path+".connection", "connection", c.Connection, connections)
	d.tls(path+".tls", c.TLS, s.File)
	d.addresses(path+".members", c.Members)
	d.authorised(path+".headers", c.Headers)
	if !d.kindFields(path, "canary", c.Kind, canaryFields()) {
		return
	}
	if c.IsRegister() {
		d.registers(path, c)
	}
	switch c.Store() {
	case "redis":
		if c.Retries < 0 || c.Retries > 3 {
			d.add(path+".retries", "that many retries are not supported", "from 0 to 3; they share the timeout")
		}
		d.redisPath(path, redisPath{&c.Via, c.Address, c.Master, c.Password, c.Sentinels})
		d.sentinelAuth(path+".sentinel-auth", c.SentinelAuth, s.File)
		d.ownKeys(path+".keys", c.Keys)
	case "postgres":
		d.dsn(path, c.DSN)
		d.ownTable(path+".table", c.Table)
	case "http":
		d.httpCanary(path, c)
	case drills.PubSub:
		d.fanOutCanary(path, c)
	}
}

// registers bounds what a checker has to look through: beyond this it would not decide in time.
func (d *document) registers(path string, c *drills.CanarySpec) {
	if c.Registers == 0 {
		c.Registers = 4
	}
	if c.Clients == 0 {
		c.Clients = 3
	}
	if c.Registers < 1 || c.Registers > 64 {
		d.add(path+".registers", "that many registers are not supported", "from 1 to 64, such as 4")
	}
	if c.Clients < 2 || c.Clients > 8 {
		d.add(path+".clients", "that many clients are not supported", "from 2 to 8, such as 3")
	}
	if c.Every < drills.Duration(10*time.Millisecond) {
		d.add(path+".every", "a register's history at that rate would not be checked in time", "33ms is 30 operations a second over all clients")
	}
}

// ownKeys: writes go into a namespace of the run's own, so that purging can never reach anything else.
func (d *document) ownKeys(path, pattern string) {
	const hint = `such as "simulacro:{run}:*"`
	if !d.required(path, pattern != "", hint) {
		return
	}
	before, _, found := strings.Cut(pattern, "{run}")
	if !found || before == "" || strings.ContainsAny(before, "*?[") {
		d.add(path, "the keys must be the run's own: a prefix of yours and {run}", hint)
	}
}

func (d *document) ownTable(path, table string) {
	const hint = "a schema that is for drills only, such as simulacro.canary_{run}"
	if !d.required(path, table != "", hint) {
		return
	}
	if !tablePattern.MatchString(strings.ReplaceAll(table, "{run}", "run")) {
		d.add(path, "this is not schema.table", hint)
	}
}
