package scenario

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// probeFields says which keys each kind of probe reads besides the common ones.
func probeFields() map[string][]string {
	return map[string][]string{
		"http":      {"url", "method", "headers", "body", "expect", "login", "tls", "burst", "tripwire"},
		"tcp":       {"address", "tls", "burst", "tripwire"},
		"redis":     {"address", "via", "sentinels", "master", "username", "password", "sentinel-auth", "operation", "key", "tls", "burst", "tripwire"},
		"postgres":  {"dsn", "operation", "query", "tls", "burst", "tripwire"},
		"websocket": {"url", "publish", "topic", "headers", "body", "expect", "login", "tls"},
		"command":   {"command"},
	}
}

func (d *document) probe(name string, p *drills.ProbeSpec, s *drills.System) {
	path := join("probes", name)
	d.name(path, name)
	d.everyVantage(path, *p)
	fill(&p.Every, 50*time.Millisecond)
	fill(&p.Timeout, 250*time.Millisecond)
	d.between(path+".every", p.Every, time.Millisecond, time.Minute)
	d.between(path+".timeout", p.Timeout, time.Millisecond, time.Minute)
	if p.Slow >= p.Timeout {
		d.add(path+".slow", "an answer cannot be slow after its timeout", fmt.Sprintf("less than the timeout of %s", short(p.Timeout)))
	}
	d.positive(path+".slow", p.Slow)
	d.positive(path+".burst", p.Burst)
	if d.has(path+".burst") && (p.Burst < drills.Duration(time.Millisecond) || p.Burst >= p.Every) {
		d.add(path+".burst", "a burst must be faster than the probe, and no faster than one a millisecond", fmt.Sprintf("2ms to 5ms; the probe is sent every %s", short(p.Every)))
	}
	d.tls(path+".tls", p.TLS, s.File)
	if !d.kindFields(path, "probe", p.Kind, probeFields()) {
		return
	}
	switch p.Kind {
	case "http":
		d.httpProbe(path, p)
	case "tcp":
		d.direct(path, p.Address)
	case "redis":
		d.redisPath(path, redisPath{&p.Via, p.Address, p.Master, p.Password, p.Sentinels})
		d.sentinelAuth(path+".sentinel-auth", p.SentinelAuth, s.File)
		d.operation(path, &p.Operation, "write", "read", "ping")
	case "postgres":
		d.dsn(path, p.DSN)
		d.operation(path, &p.Operation, "read", "write")
	case "websocket":
		d.webSocketProbe(path, p)
	case "command":
		d.required(path+".command", len(p.Command) > 0, "a program and its arguments, as a list; exit 0 is good")
	}
}

func fill(v *drills.Duration, standard time.Duration) {
	if *v == 0 {
		*v = drills.Duration(standard)
	}
}

// kindFields checks the kind and that no key of another kind is there, which would silently do nothing.
func (d *document) kindFields(path, what, kind string, all map[string][]string) bool {
	if !d.required(path+".kind", kind != "", oneOf(keys(all))) {
		return false
	}
	mine, ok := all[kind]
	if !ok {
		d.known(path+".kind", what+" kind", kind, keys(all))
		return false
	}
	for _, key := range slices.Sorted(maps.Keys(allOf(all))) {
		if d.has(join(path, key)) && !slices.Contains(mine, key) {
			d.add(join(path, key), fmt.Sprintf("a %s of kind %s does not use %s", what, kind, key), "it uses "+strings.Join(mine, ", "))
		}
	}
	return true
}

func allOf(m map[string][]string) map[string]bool {
	out := map[string]bool{}
	for _, list := range m {
		for _, key := range list {
			out[key] = true
		}
	}
	return out
}

// from checks where something runs: in a network or on the host, exactly one.
func (d *document) from(path string, f drills.From, hostOnly bool) {
	d.fromAt(path+".from", f, hostOnly)
}

func (d *document) fromAt(path string, f drills.From, hostOnly bool) {
	switch {
	case f.Network == "" && !f.Host:
		d.required(path, false, "{network: NAME} or {host: true}")
	case f.Network != "" && f.Host:
		d.add(path, "both a network and the host are given", "{network: NAME} or {host: true}")
	case hostOnly && !f.Host:
		d.add(path, "a command can only run on the host", "{host: true}")
	}
}

// tls checks a client's TLS settings and joins relative paths to the system file's folder.
func (d *document) tls(path string, t *drills.TLS, file string) {
	if t == nil {
		return
	}
	if (t.Cert == "") != (t.Key == "") {
		d.add(path, "cert and key belong together", "give both or neither")
	}
	for _, p := range []*string{&t.CA, &t.Cert, &t.Key} {
		if *p != "" && !filepath.IsAbs(*p) && !strings.Contains(*p, "${") {
			*p = filepath.Join(filepath.Dir(file), *p)
		}
	}
}

func (d *document) sentinelAuth(path string, a *drills.SentinelAuth, file string) {
	if a == nil {
		return
	}
	d.secret(path+".password", a.Password)
	d.tls(path+".tls", a.TLS, file)
}

// checkLogins checks every login read since the last call, wherever in the file it was.
func (d *document) checkLogins() {
	for _, p := range d.logins {
		path, l := p.path, p.login
		if d.required(path+".url", l.URL != "", "where the form is posted") {
			d.url(path+".url", l.URL, "http", "https")
		}
		d.required(path+".username", l.Username != "", "")
		d.required(path+".password", l.Password != "", "${env:NAME} or ${file:PATH}")
		d.secret(path+".password", l.Password)
		if l.Field == "" {
			l.Field = "access_token"
		}
	}
	d.logins = nil
}

var methodPattern = regexp.MustCompile(`^[A-Z]+$`)

func (d *document) httpProbe(path string, p *drills.ProbeSpec) {
	if d.required(path+".url", p.URL != "", "http://host:port/path") {
		d.url(path+".url", p.URL, "http", "https")
		d.dsnSecret(path+".url", p.URL)
	}
	if p.Method == "" {
		p.Method = "GET"
	}
	if !methodPattern.MatchString(p.Method) {
		d.add(path+".method", "this is not an HTTP method", "upper case, such as GET")
	}
	d.answer(path, p)
}

// answer checks what is sent along and expected back, which HTTP probes and the publishing side of WebSocket probes share.
func (d *document) answer(path string, p *drills.ProbeSpec) {
	d.statuses(path+".expect.status", p.Expect.Status)
	d.authorised(path+".headers", p.Headers)
}

func (d *document) statuses(path string, codes []int) {
	for i, code := range codes {
		if code < 100 || code > 599 {
			d.add(fmt.Sprintf("%s[%d]", path, i), fmt.Sprintf("%d is not an HTTP status", code), "from 100 to 599")
		}
	}
}

// authorised checks headers that carry secrets.
func (d *document) authorised(path string, headers map[string]string) {
	for h, v := range headers {
		switch strings.ToLower(h) {
		case "authorization", "cookie", "x-api-key":
			if !strings.Contains(v, "${") {
				d.secret(path+"."+h, v)
			}
		}
	}
}

func (d *document) webSocketProbe(path string, p *drills.ProbeSpec) {
	if d.required(path+".url", p.URL != "", "ws://host:port/path") {
		d.url(path+".url", p.URL, "ws", "wss")
		d.dsnSecret(path+".url", p.URL)
	}
	if d.required(path+".publish", p.PublishURL != "", "where messages are posted that must arrive: http://host:port/path") {
		d.url(path+".publish", p.PublishURL, "http", "https")
	}
	d.answer(path, p)
}

func (d *document) direct(path, address string) {
	if d.required(path+".address", address != "", "host:port") {
		d.address(path+".address", address)
	}
}

func (d *document) dsn(path, dsn string) {
	d.required(path+".dsn", dsn != "", "postgres://USER:${env:PASSWORD}@host:port/database?sslmode=disable")
	d.dsnSecret(path+".dsn", dsn)
}

func (d *document) operation(path string, op *string, standard string, others ...string) {
	if *op == "" {
		*op = standard
	}
	d.known(path+".operation", "operation", *op, append(others, standard))
}

// redisPath is how a Redis is reached: directly or through Sentinels.
type redisPath struct {
	via                       *string
	address, master, password string
	sentinels                 []string
}

func (d *document) redisPath(path string, r redisPath) {
	if *r.via == "" {
		*r.via = "direct"
	}
	d.known(path+".via", "via", *r.via, []string{"direct", "sentinel"})
	d.secret(path+".password", r.password)
	switch *r.via {
	case "direct":
		d.direct(path, r.address)
		d.unused(path, "via: direct does not use it", "sentinels", "master", "sentinel-auth")
	case "sentinel":
		d.required(path+".sentinels", len(r.sentinels) > 0, "the Sentinels, as host:port")
		d.required(path+".master", r.master != "", "the master's name in the Sentinels' settings")
		d.addresses(path+".sentinels", r.sentinels)
		d.unused(path, "via: sentinel does not use it", "address")
	}
}

func (d *document) unused(path, why string, list ...string) {
	for _, key := range list {
		if d.has(join(path, key)) {
			d.add(join(path, key), why, "remove it")
		}
	}
}
