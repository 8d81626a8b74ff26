package scenario

import (
	"regexp"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// canaryFields says which keys each kind of canary reads besides the common ones.
func canaryFields() map[string][]string {
	return map[string][]string{
		"redis":    {"via", "sentinels", "master", "address", "username", "password", "sentinel-auth", "keys", "tls"},
		"postgres": {"dsn", "table", "tls"},
	}
}

var tablePattern = regexp.MustCompile(`^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$`)

func (d *document) canary(name string, c *drills.CanarySpec, s *drills.System) {
	path := join("canaries", name)
	d.name(path, name)
	d.from(path, c.From, false)
	fill(&c.Every, 20*time.Millisecond)
	fill(&c.Timeout, 500*time.Millisecond)
	d.between(path+".every", c.Every, time.Millisecond, time.Minute)
	d.between(path+".timeout", c.Timeout, time.Millisecond, time.Minute)
	if c.Connection == "" {
		c.Connection = "persistent"
	}
	d.known(path+".connection", "connection", c.Connection, []string{"persistent", "pinned", "fresh"})
	d.tls(path+".tls", c.TLS, s.File)
	d.addresses(path+".members", c.Members)
	if !d.kindFields(path, "canary", c.Kind, canaryFields()) {
		return
	}
	switch c.Kind {
	case "redis":
		d.redisPath(path, redisPath{&c.Via, c.Address, c.Master, c.Password, c.Sentinels})
		d.sentinelAuth(path+".sentinel-auth", c.SentinelAuth, s.File)
		d.ownKeys(path+".keys", c.Keys)
	case "postgres":
		d.dsn(path, c.DSN)
		d.ownTable(path+".table", c.Table)
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
