package drills

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// FaultEnded begins the id of a finding that says that a fault ended before we undid it. A recovery after it is not the
// system's own.
const FaultEnded = "fault-ended:"

// Fold turns a journal into the one record that every report is rendered from. It is pure and never reads raw samples.
// It may be called on a journal that is not finished: what is not known yet is Pending.
func Fold(events []Event) Record { return newFolder(events).record(time.Time{}) }

// folder collects the events of one run; the judges read it.
type folder struct {
	rec     Record
	drill   *Drill
	edges   []Edge
	roles   []RoleView
	alerts  []AlertEvent
	windows []WindowStat
	queries []QueryResult
	seen    []Seen
	stopped time.Time
	restore time.Time // when restoring began
	ended   time.Time // when a fault ended without us (its helper died, its target restarted)
	closed  bool
	last    time.Time
}

func newFolder(events []Event) *folder {
	f := &folder{drill: &Drill{}}
	f.rec.Schema = Schema
	for _, e := range events {
		f.add(e)
	}
	f.rec.Events = len(events)
	f.rec.Windows, f.rec.Queries = f.windows, f.queries
	f.rec.Alerts = alertLives(f.alerts, f.drill)
	f.rec.Roles = f.roles
	f.rec.Times = f.times()
	return f
}

func (f *folder) add(e Event) {
	if !e.whole() {
		return
	}
	f.last = e.At
	r := &f.rec
	switch e.Kind {
	case EvOpened:
		f.open(e)
	case EvPhase:
		f.phase(e)
	case EvCheck:
		r.Checks = append(r.Checks, *e.Check)
	case EvBaseline:
		r.Baselines = append(r.Baselines, *e.Baseline)
	case EvIntended, EvApplied, EvFailed, EvLift, EvUndone, EvResidue:
		f.change(e)
	case EvGap:
		f.gap(e)
	case EvEdge:
		f.edges = append(f.edges, *e.Edge)
	case EvAlert:
		f.alerts = append(f.alerts, *e.Alert)
	case EvRole:
		f.roles = append(f.roles, *e.Role)
	case EvFinding:
		r.Findings = append(r.Findings, *e.Finding)
		if strings.HasPrefix(e.Finding.ID, FaultEnded) && f.ended.IsZero() {
			f.ended = e.At
		}
	case EvQuery:
		f.queries = append(f.queries, *e.Query)
	case EvWindow:
		f.windows = append(f.windows, *e.Window)
	case EvMeasured:
		f.measured(e)
	case EvRunbook:
		f.runbook(*e.Runbook)
	case EvSeen:
		f.seen = append(f.seen, *e.Seen)
	case EvBlind:
		r.Blind = append(r.Blind, *e.Blind)
	case EvStop:
		if r.Stop == nil {
			r.Stop, f.stopped = e.Stop, e.At
		}
	case EvNote:
		r.Notes = append(r.Notes, Note{At: e.At, Text: e.Text})
	case EvClosed:
		f.closed = true
	}
}

func (f *folder) open(e Event) {
	f.rec.Opened = *e.Opened
	f.rec.Started = e.At
	if e.Opened.Drill != nil {
		f.drill = e.Opened.Drill
	}
}

func (f *folder) phase(e Event) {
	p := &f.rec.Phases
	if n := len(*p); n > 0 {
		(*p)[n-1].To = e.At
	}
	*p = append(*p, PhaseSpan{Phase: e.Phase, From: e.At, To: e.At})
	if e.Phase == Restoring {
		f.restore = e.At
	}
	f.rec.Ended = e.At
}

func (f *folder) measured(e Event) {
	if e.Probe != nil {
		f.rec.Probes = append(f.rec.Probes, *e.Probe)
	}
	if e.Canary != nil {
		f.rec.Canaries = append(f.rec.Canaries, *e.Canary)
	}
	if e.Register != nil {
		f.rec.Registers = append(f.rec.Registers, *e.Register)
	}
	if e.Split != nil {
		f.rec.Splits = append(f.rec.Splits, *e.Split)
	}
	if e.Restore != nil {
		f.rec.Restores = append(f.rec.Restores, *e.Restore)
	}
	if e.Breaker != nil {
		f.rec.Breakers = append(f.rec.Breakers, *e.Breaker)
	}
}

func (f *folder) change(e Event) {
	faults := &f.rec.Faults
	i := slices.IndexFunc(*faults, func(x FaultRecord) bool { return x.Change.ID == e.Change.ID })
	if i < 0 {
		*faults = append(*faults, FaultRecord{Change: *e.Change, Intended: e.At})
		i = len(*faults) - 1
	}
	fr := &(*faults)[i]
	switch e.Kind {
	case EvApplied:
		fr.took(e.Effect)
	case EvFailed:
		fr.Error = e.Text
	case EvLift:
		fr.Lift = e.At
	case EvUndone:
		fr.Undone, fr.UndoneAt, fr.Reason = e.Effect, e.At, e.Text
		f.load(e)
		f.rec.Residue = slices.DeleteFunc(f.rec.Residue, func(x Residue) bool { return x.Change.ID == e.Change.ID })
	case EvResidue:
		f.rec.Residue = append(f.rec.Residue, Residue{Change: *e.Change, What: e.Text})
	}
}

func (f *folder) load(e Event) {
	if p := e.Change.Do.Prefix(); p != "load" && p != "clients" || e.Effect == nil || len(e.Effect.Evidence) == 0 {
		return
	}
	var m LoadMeasured
	if json.Unmarshal(e.Effect.Evidence, &m) == nil {
		m.Step = e.Change.Step
		f.rec.Load = append(f.rec.Load, m)
	}
}

// Outstanding lists, in the order of intent, every change that the journal does not show as undone.
func Outstanding(events []Event) []Change {
	var out []Change
	for _, e := range events {
		switch e.Kind {
		case EvIntended:
			if e.whole() && !slices.ContainsFunc(out, func(c Change) bool { return c.ID == e.Change.ID }) {
				out = append(out, *e.Change)
			}
		case EvUndone:
			out = slices.DeleteFunc(out, func(c Change) bool { return e.whole() && c.ID == e.Change.ID })
		}
	}
	return out
}

// record finishes the fold. now is the present in a live run, zero for a finished one.
func (f *folder) record(now time.Time) Record {
	f.rec.Expectations = f.judge(now)
	for i := range f.rec.Expectations {
		switch j := &f.rec.Expectations[i]; {
		case j.ID == "rto" || (j.ID == "rta" && f.rec.RTA == nil):
			f.rec.RTA = j
		case j.ID == "rpo":
			f.rec.RPA = j
		}
	}
	f.rec.Detection = f.detection()
	f.rec.Prometheus = f.promViews()
	f.rec.Views, f.rec.Axis = f.threeViews(), f.decompose()
	f.rec.SLOs, f.rec.Budgets = f.slos(), f.budgets()
	f.findings()
	f.rec.Dirty = len(f.rec.Residue) > 0
	f.rec.Outcome, f.rec.Cause, f.rec.Sentence = f.verdict()
	return f.rec
}

// whole tells whether an event holds what its kind promises. An edited journal may not; its broken chain is reported by who
// reads it, and folding it must not fall over.
func (e Event) whole() bool {
	switch e.Kind {
	case EvOpened:
		return e.Opened != nil && e.Opened.Drill != nil && e.Opened.System != nil
	case EvCheck:
		return e.Check != nil
	case EvBaseline:
		return e.Baseline != nil
	case EvIntended, EvFailed, EvLift, EvUndone, EvResidue:
		return e.Change != nil
	case EvApplied:
		return e.Change != nil && e.Effect != nil
	case EvGap:
		return e.Gap != nil
	case EvEdge:
		return e.Edge != nil
	case EvAlert:
		return e.Alert != nil
	case EvRole:
		return e.Role != nil
	case EvFinding:
		return e.Finding != nil
	case EvQuery:
		return e.Query != nil
	case EvWindow:
		return e.Window != nil
	case EvRunbook:
		return e.Runbook != nil
	case EvSeen:
		return e.Seen != nil
	case EvBlind:
		return e.Blind != nil
	case EvStop:
		return e.Stop != nil
	}
	return true
}
