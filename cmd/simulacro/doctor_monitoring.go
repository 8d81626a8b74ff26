package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier/audit"
	"github.com/eevans-d/simulacro/verifier/monitor"
)

// auditLimit bounds all questions to the monitoring together.
const auditLimit = time.Minute

// readinessLimit bounds what a run asks before it begins; `doctor` has more patience.
const readinessLimit = 15 * time.Second

// readiness is the doctor's word on system and monitoring, for the record. It refuses nothing: preflights do.
func (s *session) readiness(ctx context.Context, m *monitor.Monitor) []drills.Diagnosis {
	ctx, cancel := context.WithTimeout(ctx, readinessLimit)
	defer cancel()
	var out []drills.Diagnosis
	if t, err := s.mux.Topology(ctx); err == nil { // what cannot be reached is the preflights' to say
		out = append(memberDiagnoses(s.system, t), connectionDiagnoses(s.system, t)...)
		out = append(out, redundancyDiagnoses(s.system, t)...)
		out = append(out, s.patroniDiagnoses(ctx, t)...)
		out = append(out, s.certificateDiagnoses(ctx, t)...)
	}
	return append(append(out, auditMonitoring(ctx, s.system, m)...), secretDiagnosis(s.system))
}

// auditMonitoring asks the monitoring about itself. What cannot be read is a line of its own: the rest is still looked at.
func auditMonitoring(ctx context.Context, sys *drills.System, m *monitor.Monitor) []drills.Diagnosis {
	ctx, cancel := context.WithTimeout(ctx, auditLimit)
	defer cancel()
	if sys.Monitoring.Prometheus == nil {
		return []drills.Diagnosis{{
			Part: "monitoring", What: "declared", Level: drills.LevelWarning, Found: "the system file declares no Prometheus",
			Why: "whether people would have learned of an outage is not measured", Mend: "add monitoring.prometheus",
		}}
	}
	var out []drills.Diagnosis
	facts, err := m.Facts(ctx)
	if err != nil {
		out = append(out, drills.Diagnosis{Part: "monitoring", What: "what it says of itself", Level: drills.LevelProblem, Found: err.Error(), Why: "what could not be read was not looked at"})
	}
	boards, err := dashboardFiles(sys)
	if err != nil {
		out = append(out, drills.Diagnosis{Part: "monitoring", What: "dashboard files", Level: drills.LevelProblem, Found: err.Error(), Topic: drills.TopicDashboards})
	}
	return append(out, audit.Run(ctx, audit.Input{System: sys, Facts: facts, Ask: m.Values, Dashboards: boards})...)
}

// dashboardFiles reads the dashboards that the system file declares, relative to itself. A pattern that finds none is an error.
func dashboardFiles(sys *drills.System) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, pattern := range sys.Monitoring.Dashboards {
		files, err := filepath.Glob(filepath.Join(filepath.Dir(sys.File), pattern))
		if err != nil || len(files) == 0 {
			return out, drills.Errorf(drills.Input, "paths are relative to the system file", "monitoring.dashboards: %s finds no file", pattern)
		}
		for _, f := range files {
			if out[filepath.Base(f)], err = os.ReadFile(f); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

// connectionDiagnoses compares the descriptors that members may open with the connections that they must hold.
func connectionDiagnoses(sys *drills.System, t drills.Topology) []drills.Diagnosis {
	var out []drills.Diagnosis
	for name, c := range sys.Components {
		if c.Connections == 0 {
			continue
		}
		d := drills.Diagnosis{Part: "system", What: "descriptors of " + name, Level: drills.LevelOK, Why: fmt.Sprintf("it must hold %d connections", c.Connections)}
		var can int64
		for _, m := range t.Of(name) {
			n, known := m.Limits["nofile-soft"]
			if !known {
				d.Level, d.Found = drills.LevelNotChecked, "the limit of "+m.Name+" cannot be read from here"
			}
			can += n
		}
		switch {
		case d.Level != drills.LevelOK:
		case can < int64(c.Connections):
			d.Level, d.Found = drills.LevelProblem, fmt.Sprintf("all members together may open %d", can)
			d.Mend = "raise nofile (ulimits in the Compose file), or run more members"
		default:
			d.Found = fmt.Sprintf("all members together may open %d", can)
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b drills.Diagnosis) int { return strings.Compare(a.What, b.What) })
	return out
}

// secretDiagnosis: the system file was read, so it holds references only (the reader refuses a written-out secret).
func secretDiagnosis(sys *drills.System) drills.Diagnosis {
	return drills.Diagnosis{
		Part: "system", What: "secrets in the system file", Level: drills.LevelOK, Found: "references only: " + filepath.Base(sys.File), Topic: drills.TopicSecrets,
		Why: "records hold a copy of the system file",
	}
}

func (a *app) printChecklist(ds []drills.Diagnosis) {
	a.printf("\ndata quality\n")
	for _, l := range drills.Checklist(ds) {
		a.printf("  %-12s %-22s %s\n", l.Level, l.Topic, strings.Join(l.Found, "; "))
	}
}
