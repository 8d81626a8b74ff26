package reports

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

// Gate is a bound that a programme must reach, such as strict>=95%.
type Gate struct {
	Metric string // strict, itd or lower
	Min    float64
}

// ParseGate reads strict>=95%, itd>=90% (intention to drill) or lower>=80% (the one-sided 95 % lower bound).
func ParseGate(text string) (Gate, error) {
	metric, bound, ok := strings.Cut(text, ">=")
	g := Gate{Metric: strings.TrimSpace(metric)}
	bound, percent := strings.CutSuffix(strings.TrimSpace(bound), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(bound), 64)
	known := g.Metric == "strict" || g.Metric == "itd" || g.Metric == "lower"
	if !ok || !percent || err != nil || !known || !(v >= 0 && v <= 100) {
		return Gate{}, drills.Errorf(drills.Usage, "write it as strict>=95%, itd>=90% or lower>=80%", "%q is no gate", text)
	}
	g.Min = v / 100
	return g, nil
}

// GateResult says whether a gate is met, and by which numbers.
type GateResult struct {
	Met   bool     `json:"met"`
	Lines []string `json:"lines"`
}

// String is the result for a terminal.
func (r GateResult) String() string { return strings.Join(r.Lines, "\n") }

// Check judges every environment by the first of scheduled, CI and ad-hoc that it has runs of; all must reach the bound.
// No runs, or only excluded ones, never meet a gate.
func (g Gate) Check(p Programme) GateResult {
	out := GateResult{Met: true}
	for _, group := range gated(p) {
		value, text := g.of(group.All)
		met := value != nil && *value >= g.Min
		word := "met"
		if !met {
			word, out.Met = "missed", false
		}
		out.Lines = append(out.Lines, fmt.Sprintf("gate %s>=%s %s in environment %s, purpose %s: %s", g.Metric, tight(g.Min), word, group.Environment, group.Purpose, text))
	}
	if len(out.Lines) == 0 {
		return GateResult{Lines: []string{fmt.Sprintf("gate %s>=%s missed: there is no run to judge", g.Metric, tight(g.Min))}}
	}
	return out
}

func tight(share float64) string { return strings.ReplaceAll(percent(share), " ", "") }

func gated(p Programme) []Group {
	var out []Group
	for _, purpose := range []drills.Purpose{drills.Scheduled, drills.CI, drills.AdHoc} {
		for _, g := range p.Groups {
			if g.Purpose == purpose && !hasEnvironment(out, g.Environment) {
				out = append(out, g)
			}
		}
	}
	return out
}

func hasEnvironment(gs []Group, env string) bool {
	for _, g := range gs {
		if g.Environment == env {
			return true
		}
	}
	return false
}

func (g Gate) of(r Rate) (*float64, string) {
	switch {
	case g.Metric == "itd" && r.Due == 0:
		return nil, "there are no scheduled slots"
	case g.Metric == "itd":
		return r.Intention, fmt.Sprintf("%d of %d due drills passed, %s", r.Passed, r.Due, rateText(*r.Intention))
	case r.Strict == nil:
		return nil, fmt.Sprintf("no run counts (%d excluded)", r.Excluded)
	case g.Metric == "lower":
		return &r.Lower, fmt.Sprintf("%d of %d passed, lower bound %s", r.Passed, r.N(), rateText(r.Lower))
	}
	return r.Strict, fmt.Sprintf("%d of %d passed, %s", r.Passed, r.N(), rateText(*r.Strict))
}
