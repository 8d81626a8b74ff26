package scenario

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

// truth checks what the doctor may do, and what each number claims to be.
func (d *document) truth(t *drills.Truth, s *drills.System) {
	const path = "monitoring.truth"
	if t == nil {
		return
	}
	if s.Monitoring.Prometheus == nil {
		d.add(path, "no Prometheus is declared that could be asked about this", "add monitoring.prometheus")
	}
	if d.required(path+".canary", t.Canary != "", "a canary of kind websocket: where to connect and publish") {
		d.known(path+".canary", "canary", t.Canary, keys(s.Canaries))
		if c, ok := s.Canaries[t.Canary]; ok && c.Kind != drills.PubSub {
			d.add(path+".canary", "canary "+t.Canary+" holds no connections", "one of kind websocket")
		}
	}
	if t.Connections == 0 {
		t.Connections = 3
	}
	if t.Messages == 0 {
		t.Messages = 20
	}
	if t.Connections < 1 || t.Connections > 50 {
		d.add(path+".connections", "that many connections are not supported", "from 1 to 50 at each address; a load step makes thousands")
	}
	if t.Messages < 1 || t.Messages > 500 {
		d.add(path+".messages", "that many messages are not supported", "from 1 to 500")
	}
	d.required(path+".metrics", len(t.Metrics) > 0, `- {metric: 'NAME{job="JOB"}', is: connections}`)
	for i, m := range t.Metrics {
		d.truthMetric(fmt.Sprintf("%s.metrics[%d]", path, i), m)
	}
}

func (d *document) truthMetric(path string, m drills.TruthMetric) {
	d.required(path+".metric", m.Metric != "", `a selector such as NAME{job="JOB"}; its series are added up`)
	var kinds []string
	for _, k := range drills.TruthKinds() {
		kinds = append(kinds, string(k))
	}
	if d.required(path+".is", m.Is != "", oneOf(kinds)) {
		d.known(path+".is", "number", string(m.Is), kinds)
	}
	if m.Tolerance < 0 {
		d.add(path+".tolerance", "this cannot be negative", "by how much it may be off")
	}
	if m.Is == drills.TruthErrors {
		d.required(path+".of", m.Of != "", "the selector of what they are a share of, such as all that were sent")
		if m.Max < 0 || m.Max >= 1 {
			d.add(path+".max", "this is not a share", "from 0 to 1, such as 0.001 for 0.1 %")
		}
	} else {
		d.unused(path, "only is: errors uses it", "of", "max")
	}
	if m.Is == drills.TruthTime {
		d.needed(path+".max-age", m.MaxAge, "how long ago it may be, such as 2m")
	} else {
		d.unused(path, "only is: time uses it", "max-age")
	}
}

// health checks what a health check claims.
func (d *document) health(path string, h *drills.HealthClaim, c *drills.Component, s *drills.System) {
	if h == nil {
		return
	}
	if d.required(path+".probe", h.Probe != "", "the probe of kind http that asks it") {
		d.oneProbe(path+".probe", h.Probe, s)
		if p, ok := s.Probes[h.Probe]; ok && p.Kind != "http" {
			d.add(path+".probe", "probe "+h.Probe+" is of kind "+p.Kind, "one of kind http")
		}
	}
	d.required(path+".of", len(h.Of) > 0, "the components that it looks at")
	d.names(path+".of", "component", h.Of, keys(s.Components))
	if i := slices.Index(h.Of, c.Name); i >= 0 {
		d.add(fmt.Sprintf("%s.of[%d]", path, i), "a component does not depend on itself", "remove it")
	}
	d.positive(path+".within", h.Within)
}

// backups checks where a component's backups are looked at.
func (d *document) backups(path string, c *drills.Component) {
	for name, b := range c.Backups {
		p := join(path+".backups", name)
		d.name(p, name)
		d.required(p+".volumes", len(b.Volumes) > 0, "the volumes that hold them: [{name: backups, at: /backups}]")
		for i, v := range b.Volumes {
			at := fmt.Sprintf("%s.volumes[%d]", p, i)
			d.required(at+".name", v.Name != "", "its name in the Compose file")
			if d.required(at+".at", v.At != "", "where it is mounted, such as /backups") && !filepath.IsAbs(v.At) {
				d.add(at+".at", "this is not an absolute path", "such as /backups")
			}
		}
		if d.required(p+".files", b.Files != "", "a pattern such as /backups/base/*.tar.gz") {
			d.glob(p+".files", b.Files)
			d.below(p+".files", b.Files, b.Volumes)
		}
		d.needed(p+".max-age", b.MaxAge, "how old the newest one may be, such as 26h where one is made every day")
		if b.MinSize < 0 {
			d.add(p+".min-size", "this cannot be negative", "bytes")
		}
		d.below(p+".wal", b.WAL, b.Volumes)
		d.positive(p+".wal-max-age", b.WALMaxAge)
		if b.WALMaxAge != 0 && b.WAL == "" {
			d.add(p+".wal-max-age", "no WAL archive is declared", "wal: the folder of the archive")
		}
	}
	d.copies(path+".copies", c)
}

// below checks that a path lies on one of the volumes: the instance that looks has no other files of the system.
func (d *document) below(path, file string, volumes []drills.VolumeToRead) {
	on := slices.ContainsFunc(volumes, func(v drills.VolumeToRead) bool { return strings.HasPrefix(file, strings.TrimSuffix(v.At, "/")+"/") })
	if file != "" && len(volumes) > 0 && !on {
		d.add(path, "this lies on none of the volumes", "it must begin with where one of them is mounted")
	}
}

func (d *document) copies(path string, c *drills.Component) {
	if c.Copies == nil {
		return
	}
	if len(c.Backups) == 0 {
		d.add(path, "there are no backups of which these could be copies", "declare backups: of the component")
	}
	for i, o := range c.Copies.Others {
		p := fmt.Sprintf("%s.others[%d]", path, i)
		d.required(p+".at", o.At != "", "where it is, in words")
		d.required(p+".media", o.Media != "", "disk, tape, object-store, …")
	}
}
