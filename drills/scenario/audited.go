package scenario

import (
	"path/filepath"
	"strconv"

	"github.com/eevans-d/simulacro/drills"
)

// audited checks what the doctor compares the monitoring with.
func (d *document) audited(s *drills.System) {
	m := s.Monitoring
	for _, name := range keys(m.Jobs) {
		path, j := join("monitoring.jobs", name), m.Jobs[name]
		d.positive(path+".interval", j.Interval)
		if j.Targets < 0 {
			d.add(path+".targets", "this cannot be negative", "how many targets there must be at least")
		}
		if j.Absent != "" && (j.Interval != 0 || j.Targets != 0 || len(j.Labels) > 0) {
			d.add(path+".absent", "a job that is not there has nothing to compare", "remove absent, or everything else")
		}
	}
	if l := m.Labels; l != nil {
		for i, name := range l.Forbidden {
			for _, allowed := range l.Allowed {
				if name == allowed {
					d.add("monitoring.labels.forbidden["+strconv.Itoa(i)+"]", name+" is allowed and forbidden", "remove it from one of the lists")
				}
			}
		}
		if l.MaxSeries < 0 {
			d.add("monitoring.labels.max-series", "this cannot be negative", "remove it where any number is fine")
		}
	}
	for i, pattern := range m.Dashboards {
		path := "monitoring.dashboards[" + strconv.Itoa(i) + "]"
		d.glob(path, pattern)
		if filepath.IsAbs(pattern) {
			d.add(path, "this is not beside the system file", "a path relative to it, such as dashboards/*.json")
		}
	}
	if m.Prometheus == nil && (len(m.Jobs) > 0 || m.Labels != nil || len(m.Dashboards) > 0) {
		d.add("monitoring", "no Prometheus is declared that could be asked about this", "add monitoring.prometheus")
	}
}
