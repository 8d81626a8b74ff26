package drills

import (
	"maps"
	"slices"
	"time"
)

// Contract is what a system in trouble still owes its users over a window of the run, and what it may fail to give
// (expect.contract). Every probe of the system is in exactly one of three places: it must work, it may be lost, or nobody
// said anything about it, and then its degradation is news.
type Contract struct {
	Window   [2]string `json:"window" yaml:"window"`                 // as for during; default [T0, lift]
	Answers  []Answers `json:"answers,omitempty" yaml:"answers"`     // bounds on how probes are answered
	MustWork []string  `json:"must-work,omitempty" yaml:"must-work"` // probes that stay at their baseline
	MayLose  []string  `json:"may-lose,omitempty" yaml:"may-lose"`   // probes whose loss is declared
	// Blip is the longest outage that a probe may have and still counts as working: routing that settles, a busy host. None
	// unless it is declared.
	Blip   Duration `json:"blip,omitempty" yaml:"blip"`
	Others string   `json:"others,omitempty" yaml:"others"` // a probe in no list that degrades: finding (default) | fail
}

// Answers bounds how one probe is answered. A refusal that says so in time is an honest answer; silence is not.
type Answers struct {
	Probe string `json:"probe" yaml:"probe"`
	// Within is how long any answer may take. A probe that gives up earlier cannot judge it.
	Within Duration `json:"within,omitempty" yaml:"within"`
	// Allowed are beginnings of refusals that count as honest: "HTTP 503", "HTTP 503, Retry-After", "READONLY".
	Allowed []string `json:"allowed,omitempty" yaml:"allowed"`
	// Honest is the least share of probes that got a good answer or an allowed refusal in time.
	Honest Share `json:"honest,omitempty" yaml:"honest"`
	// Success is the least share of probes that got a good answer in time.
	Success    Share    `json:"success,omitempty" yaml:"success"`
	P50        Duration `json:"p50,omitempty" yaml:"p50"` // quantiles of what was answered, hangs at the time they were given up
	P95        Duration `json:"p95,omitempty" yaml:"p95"`
	P99        Duration `json:"p99,omitempty" yaml:"p99"`
	MinSamples int      `json:"min-samples,omitempty" yaml:"min-samples"`
}

// ContractTitle is the title of the window events that a contract is judged by.
const ContractTitle = "contract"

// ContractStat is what a contract needs to know of one probe over its window, counted from the raw samples.
type ContractStat struct {
	Asked  Answers `json:"asked"`
	InTime int     `json:"in_time"` // good answers within Asked.Within
	Honest int     `json:"honest"`  // allowed refusals within Asked.Within
	Said   []Said  `json:"said,omitempty"`
	// P50, P95 and P99 are latencies of everything that was answered as asked (good, slow or allowed) or hung; a hang has
	// the latency at which the probe gave up. What was refused otherwise is in the shares.
	P50 Quantile `json:"p50"`
	P95 Quantile `json:"p95"`
	P99 Quantile `json:"p99"`
}

// Said is one kind of answer and how often it was given.
type Said struct {
	Class   string   `json:"class"`
	Text    string   `json:"text,omitempty"`
	Count   int      `json:"count"`
	Slowest Duration `json:"slowest"`
}

// Quantile is a sample quantile between two order statistics, each a one-sided 95 % bound on the true one. Hi is zero where
// so few samples bound it from above by nothing (a p99 needs 299).
type Quantile struct {
	At Duration `json:"at"`
	Lo Duration `json:"lo"`
	Hi Duration `json:"hi,omitempty"`
}

// contractWindows are the windows that the drill's contract asks for: one of every probe of the system.
func (f *folder) contractWindows(known map[string]time.Time) []NamedWindow {
	c := f.drill.Expect.Contract
	if c == nil || f.rec.Opened.System == nil {
		return nil
	}
	w, ok := resolveWindow(c.Window, known)
	if !ok {
		return nil
	}
	var out []NamedWindow
	for _, name := range slices.Sorted(maps.Keys(f.rec.Opened.System.Probes)) {
		a := c.asked(name)
		out = append(out, NamedWindow{During: During{Title: ContractTitle, Probe: name}, Window: w, Asked: &a})
	}
	return out
}

// asked is what the contract asks of a probe; only its name where nothing is.
func (c *Contract) asked(probe string) Answers {
	for _, a := range c.Answers {
		if a.Probe == probe {
			return a
		}
	}
	return Answers{Probe: probe}
}
