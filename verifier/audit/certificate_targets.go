package audit

import (
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/eevans-d/simulacro/drills"
)

// tlsTargets collects targets, each address once.
type tlsTargets struct {
	in   CertInput
	all  []tlsTarget
	errs []error
}

// targets lists every declared address that is entered by TLS: by https and wss, by `tls:`, or by sslmode.
func (in CertInput) targets() ([]tlsTarget, error) {
	ts := &tlsTargets{in: in}
	s := in.System
	for _, name := range sorted(s.Probes) {
		ts.probe("probe "+name, s.Probes[name])
	}
	for _, name := range sorted(s.Canaries) {
		ts.canary("canary "+name, s.Canaries[name])
	}
	for _, name := range sorted(s.Components) {
		ts.component(name, s.Components[name])
	}
	for use, e := range map[string]*drills.Endpoint{"Prometheus": s.Monitoring.Prometheus, "Alertmanager": s.Monitoring.Alertmanager} {
		if e != nil {
			ts.url(use, e.URL, e.TLS)
		}
	}
	slices.SortStableFunc(ts.all, func(a, b tlsTarget) int { return strings.Compare(a.address, b.address) })
	return ts.all, errors.Join(ts.errs...)
}

func (ts *tlsTargets) add(use string, t tlsTarget) {
	i := slices.IndexFunc(ts.all, func(x tlsTarget) bool { return x.address == t.address })
	if i < 0 {
		t.uses = []string{use}
		ts.all = append(ts.all, t)
		return
	}
	if !slices.Contains(ts.all[i].uses, use) {
		ts.all[i].uses = append(ts.all[i].uses, use)
	}
}

func (ts *tlsTargets) probe(use string, p drills.ProbeSpec) {
	ts.url(use, p.URL, p.TLS)
	ts.url(use, p.PublishURL, p.TLS)
	ts.login(use, p.Login, p.TLS)
	ts.dsn(use, p.DSN, p.TLS)
	ts.redis(use, p.Address, p.Master, p.Sentinels, p.TLS, p.SentinelAuth)
}

func (ts *tlsTargets) canary(use string, c drills.CanarySpec) {
	ts.url(use, c.PublishURL, c.TLS)
	for _, u := range c.Receive {
		ts.url(use, u, c.TLS)
	}
	if c.Write != nil {
		ts.url(use, c.Write.URL, c.TLS)
	}
	for _, m := range c.Members {
		for _, u := range []string{readURL(c), listURL(c)} {
			ts.url(use, strings.ReplaceAll(u, "{member}", m), c.TLS)
		}
	}
	ts.login(use, c.Login, c.TLS)
	ts.dsn(use, c.DSN, c.TLS)
	ts.redis(use, c.Address, c.Master, c.Sentinels, c.TLS, c.SentinelAuth)
}

func readURL(c drills.CanarySpec) string {
	if c.Read == nil {
		return ""
	}
	return c.Read.URL
}

func listURL(c drills.CanarySpec) string {
	if c.List == nil {
		return ""
	}
	return c.List.URL
}

func (ts *tlsTargets) component(name string, c drills.Component) {
	if r := c.Roles; r != nil {
		ts.redis("roles of "+name, "", r.Master, r.Addresses, r.TLS, r.SentinelAuth)
	}
	if x := c.Control; x != nil {
		ts.dsn("control of "+name, x.DSN, x.TLS)
		if x.TLS != nil && x.DSN == "" {
			ts.members("control of "+name, name, x.TLS)
		}
	}
}

func (ts *tlsTargets) login(use string, l *drills.Login, t *drills.TLS) {
	if l != nil {
		ts.url(use, l.URL, t)
	}
}

// url adds the address of an https or wss URL.
func (ts *tlsTargets) url(use, text string, t *drills.TLS) {
	text, err := ts.in.Expand(text)
	if err != nil {
		ts.errs = append(ts.errs, err)
		return
	}
	scheme, rest, _ := strings.Cut(text, "://")
	if scheme != "https" && scheme != "wss" {
		return
	}
	host, _, _ := strings.Cut(rest, "/") // what stands behind may hold templates
	u, err := url.Parse(scheme + "://" + host)
	if err != nil {
		ts.errs = append(ts.errs, errors.New(use+": its address cannot be read"))
		return
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	ts.add(use, tlsTarget{address: net.JoinHostPort(u.Hostname(), port), tls: t})
}

// dsn adds the servers of a DSN that must be entered by TLS. One that only prefers it falls back in silence, so nothing ends for
// it when a certificate does.
func (ts *tlsTargets) dsn(use, dsn string, t *drills.TLS) {
	if dsn == "" {
		return
	}
	dsn, err := ts.in.Expand(dsn)
	if err != nil {
		ts.errs = append(ts.errs, err)
		return
	}
	cfg, err := pgconn.ParseConfig(dsn)
	if err != nil {
		ts.errs = append(ts.errs, errors.New(use+": the dsn cannot be parsed (not shown, it may hold a password)"))
		return
	}
	servers := map[string]*tls.Config{hostPort(cfg.Host, cfg.Port): cfg.TLSConfig}
	for _, f := range cfg.Fallbacks {
		at := hostPort(f.Host, f.Port)
		if c, known := servers[at]; known && c == nil {
			continue
		}
		servers[at] = f.TLSConfig
	}
	for _, at := range sorted(servers) {
		if servers[at] != nil || t != nil {
			target := tlsTarget{address: at, tls: t, pg: true}
			if t == nil {
				target.config = servers[at]
			}
			ts.add(use, target)
		}
	}
}

func hostPort(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// redis adds an address with TLS of its own, the Sentinels where they have it, and the members that they lead to.
func (ts *tlsTargets) redis(use, address, master string, sentinels []string, t *drills.TLS, auth *drills.SentinelAuth) {
	if address != "" && t != nil {
		ts.add(use, tlsTarget{address: address, tls: t})
	}
	if auth != nil && auth.TLS != nil {
		for _, s := range sentinels {
			ts.add(use, tlsTarget{address: s, tls: auth.TLS})
		}
	}
	if master == "" || t == nil {
		return
	}
	for _, name := range sorted(ts.in.System.Components) {
		if r := ts.in.System.Components[name].Roles; r != nil && r.Master == master {
			ts.members(use, name, t)
		}
	}
}

func (ts *tlsTargets) members(use, component string, t *drills.TLS) {
	for _, m := range ts.in.Members(component) {
		ts.add(use, tlsTarget{address: m, tls: t})
	}
}
