package main

import (
	"context"
	"crypto/rand"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier"
	"github.com/eevans-d/simulacro/verifier/audit"
	"github.com/eevans-d/simulacro/verifier/monitor"
)

// truthLimit bounds the comparison with the truth: six samples of everything, each after a scrape.
const truthLimit = 5 * time.Minute

// certLimit bounds all handshakes together.
const certLimit = 30 * time.Second

// truthDiagnoses compare numbers of the monitoring with what we do ourselves. It is the one thing in which the doctor acts, so
// it does only when it was told to.
func (s *session) truthDiagnoses(ctx context.Context, m *monitor.Monitor, active bool) []drills.Diagnosis {
	truth := s.system.Monitoring.Truth
	if truth == nil {
		return nil
	}
	d := drills.Diagnosis{
		Part: "monitoring", What: "numbers against the truth", Level: drills.LevelNotChecked, Topic: drills.TopicSources,
		Why: "what the monitoring counts was not compared with what was really done",
	}
	if !active {
		d.Topic = "" // nobody wanted to know
		d.Found = "asked for by `simulacro doctor --active`: it holds a few connections for about a minute and publishes a few messages on a topic of its own"
		return []drills.Diagnosis{d}
	}
	ctx, cancel := context.WithTimeout(ctx, truthLimit)
	defer cancel()
	w, err := verifier.NewWitness(ctx, verifier.WitnessConfig{
		Truth: *truth, Spec: s.system.Canaries[truth.Canary], Name: "doctor-" + strings.ToLower(rand.Text()[:8]),
		Launcher: s.launch, Expand: s.expand, Log: s.log.Named("witness"),
	})
	if err != nil {
		d.Found = err.Error()
		return []drills.Diagnosis{d}
	}
	out := audit.Truth(ctx, audit.TruthInput{Truth: *truth, Ask: m.Values, Do: w.Do})
	if err := w.Close(context.WithoutCancel(ctx)); err != nil {
		d.What, d.Level, d.Found = "our own connections", drills.LevelWarning, err.Error()
		out = append(out, d)
	}
	return out
}

// certificateDiagnoses shake hands with every declared target that speaks TLS.
func (s *session) certificateDiagnoses(ctx context.Context, t drills.Topology) []drills.Diagnosis {
	ctx, cancel := context.WithTimeout(ctx, certLimit)
	defer cancel()
	return audit.Certificates(ctx, audit.CertInput{
		System: s.system, Expand: s.expand, Dial: s.engine.DialContext, Now: time.Now(),
		Members: func(component string) []string {
			var out []string
			for _, m := range t.Of(component) {
				if a := m.Addresses(); m.State == "running" && len(a) > 0 {
					out = append(out, net.JoinHostPort(a[0], strconv.Itoa(dataPort(s.system.Components[component]))))
				}
			}
			return out
		},
	})
}

// patroniDiagnoses look whether every Patroni works, not only answers.
func (s *session) patroniDiagnoses(ctx context.Context, t drills.Topology) []drills.Diagnosis {
	var out []drills.Diagnosis
	for _, name := range sortedComponents(s.system) {
		if r := s.system.Components[name].Roles; r != nil && r.From == "patroni" {
			out = append(out, s.patroni.Diagnose(ctx, s.system.Components[name], t.Of(name)))
		}
	}
	return out
}
