package reports

import (
	"cmp"
	"slices"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// Stratum is what evidence may be pooled over: one system as configured, in one environment, under one drill as written.
type Stratum struct {
	System       string `json:"system"`
	SystemDigest string `json:"system_sha256"`
	Environment  string `json:"environment"`
	Component    string `json:"component"`
	Drill        string `json:"drill"`
	DrillDigest  string `json:"drill_sha256"`
}

// StratumOf is the stratum of a run.
func StratumOf(r drills.Record) Stratum {
	d, s := drillOf(r), systemOf(r)
	return Stratum{s.Name, s.Digest, s.Environment, d.Component, d.Name, d.Digest}
}

// SlotResult is a due slot of the calendar and what became of it. Run is empty when no run was started: the slot
// was missed, or blocked (by a blackout) where Blocked says so.
type SlotResult struct {
	Slot    drills.Slot `json:"slot"`
	Run     string      `json:"run,omitempty"`
	Blocked bool        `json:"blocked,omitempty"`
	Reason  string      `json:"reason,omitempty"`
	Stratum Stratum     `json:"stratum"`
}

// RunLine is one run, or one slot without a run, in the list that leaves nothing out.
type RunLine struct {
	Stratum
	Run     string         `json:"run"`
	Slot    string         `json:"slot,omitempty"`
	At      time.Time      `json:"at"`
	Purpose drills.Purpose `json:"purpose"` // as it counts: a second run of a slot is a retest
	Outcome drills.Outcome `json:"outcome"`
	Dirty   bool           `json:"dirty,omitempty"`
	Counted string         `json:"counted"` // passed, not passed, excluded, outside
	Why     string         `json:"why,omitempty"`
	Dir     string         `json:"dir,omitempty"`
	RTA     *drills.Judged `json:"rta,omitempty"`
	RPA     *drills.Judged `json:"rpa,omitempty"`
	rto     drills.Duration
	rpo     drills.Duration
}

// Group is the runs of one environment and one purpose. Groups are never pooled with each other.
type Group struct {
	Environment string         `json:"environment"`
	Purpose     drills.Purpose `json:"purpose"`
	All         Rate           `json:"all"`
	Components  []Rate         `json:"components"`
	Strata      []Rate         `json:"strata"`
}

// Programme is the report over many runs.
type Programme struct {
	Schema  string        `json:"schema"`
	From    time.Time     `json:"from"`
	To      time.Time     `json:"to"`
	Target  float64       `json:"target"`
	Groups  []Group       `json:"groups"`
	Budgets []MonthBudget `json:"budgets,omitempty"`
	Runs    []RunLine     `json:"runs"`
}

// NewProgramme counts runs and due slots against a target share of passed drills, 0..1. Every run and every slot is in it.
func NewProgramme(runs []Ref, slots []SlotResult, target float64) Programme {
	p := Programme{Schema: "simulacro.programme/v1", Target: target, Runs: runLines(runs, slots), Budgets: monthBudgets(runs)}
	if len(p.Runs) > 0 {
		p.From, p.To = p.Runs[0].At, p.Runs[len(p.Runs)-1].At
	}
	for _, env := range distinct(p.Runs, func(l RunLine) string { return l.Environment }) {
		for _, purpose := range []drills.Purpose{drills.Scheduled, drills.AdHoc, drills.CI, drills.Retest} {
			ls := filter(p.Runs, func(l RunLine) bool { return l.Environment == env && l.Purpose == purpose })
			if len(ls) > 0 {
				p.Groups = append(p.Groups, group(env, purpose, ls, target))
			}
		}
	}
	return p
}

func group(env string, purpose drills.Purpose, ls []RunLine, target float64) Group {
	g := Group{Environment: env, Purpose: purpose, All: rate("all", purpose, ls, target)}
	for _, c := range distinct(ls, func(l RunLine) string { return l.Component }) {
		g.Components = append(g.Components, rate(c, purpose, filter(ls, func(l RunLine) bool { return l.Component == c }), target))
	}
	for _, s := range distinct(ls, func(l RunLine) Stratum { return l.Stratum }) {
		name := s.Component + " / " + s.Drill + " @" + short(s.DrillDigest) + " on " + s.System + " @" + short(s.SystemDigest)
		g.Strata = append(g.Strata, rate(name, purpose, filter(ls, func(l RunLine) bool { return l.Stratum == s }), target))
	}
	return g
}

// runLines lists every run and every slot that no run filled, oldest first. The first run of a slot fills it; what
// comes after it in the same slot is a retest.
func runLines(runs []Ref, slots []SlotResult) []RunLine {
	runs = slices.Clone(runs)
	slices.SortStableFunc(runs, func(a, b Ref) int {
		return cmp.Or(a.Record.Started.Compare(b.Record.Started), cmp.Compare(a.Record.Opened.Run, b.Record.Opened.Run))
	})
	var out []RunLine
	filled := map[string]bool{}
	started := map[string]bool{}
	for _, x := range runs {
		l := lineOf(x)
		if l.Slot != "" && filled[l.Slot] {
			l.Purpose = drills.Retest
		}
		filled[l.Slot], started[l.Run] = true, true
		out = append(out, counted(l, len(x.Record.Faults) > 0))
	}
	for _, s := range slots {
		if !filled[s.Slot.ID()] && (s.Run == "" || !started[s.Run]) {
			filled[s.Slot.ID()] = true
			out = append(out, unfilled(s, out))
		}
	}
	slices.SortStableFunc(out, func(a, b RunLine) int { return a.At.Compare(b.At) })
	return out
}

func lineOf(x Ref) RunLine {
	r := x.Record
	return RunLine{
		Stratum: StratumOf(r), Run: r.Opened.Run, Slot: r.Opened.Slot, At: r.Started, Purpose: cmp.Or(r.Opened.Purpose, drills.AdHoc), Outcome: r.Outcome,
		Dirty: r.Dirty, Why: r.Sentence, Dir: x.Dir, RTA: r.RTA, RPA: r.RPA, rto: r.Opened.Objectives.RTO, rpo: r.Opened.Objectives.RPO,
	}
}

// unfilled is a slot that nothing was started for. A slot that does not know its digests belongs to the newest
// run of the same drill and system before it.
func unfilled(s SlotResult, before []RunLine) RunLine {
	l := RunLine{Stratum: s.Stratum, Slot: s.Slot.ID(), At: s.Slot.Due, Purpose: drills.Scheduled, Outcome: drills.Missed, Why: cmp.Or(s.Reason, "nothing was started, and nobody said why")}
	if s.Blocked {
		l.Outcome = drills.BlockedRun
	}
	if s.Run != "" {
		l.Why = "run " + s.Run + " is not among the runs given"
	}
	for _, b := range before {
		same := b.System == l.System && b.Environment == l.Environment && b.Drill == l.Drill
		if same && s.Stratum.DrillDigest == "" && b.DrillDigest != "" {
			l.Stratum = b.Stratum
		}
	}
	return counted(l, false)
}

// counted says how a run counts (EVIDENCE 6.4): blocked, invalid and missed ones, and those stopped before anything was
// injected, are excluded from the strict rate, never from the list.
func counted(l RunLine, injected bool) RunLine {
	switch {
	case l.Purpose == drills.Retest:
		l.Counted = "outside"
	case l.Outcome == drills.Pass && !l.Dirty:
		l.Counted = "passed"
	case l.Outcome == drills.BlockedRun, l.Outcome == drills.Invalid, l.Outcome == drills.Missed, l.Outcome == drills.Aborted && !injected:
		l.Counted = "excluded"
	default:
		l.Counted = "not passed"
	}
	return l
}

func filter(ls []RunLine, keep func(RunLine) bool) []RunLine {
	return slices.DeleteFunc(slices.Clone(ls), func(l RunLine) bool { return !keep(l) })
}

// distinct lists the values of f in the order in which they first come.
func distinct[T comparable](ls []RunLine, f func(RunLine) T) []T {
	var out []T
	for _, l := range ls {
		if v := f(l); !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}
