package drills

import "time"

// Schema is the version of the record and the journal.
const Schema = "simulacro.run/v1"

// Record is the one immutable result of a run: Fold of its journal. Every report is rendered from it.
type Record struct {
	Schema       string             `json:"schema"`
	Opened       Opened             `json:"opened"`
	Started      time.Time          `json:"started"`
	Ended        time.Time          `json:"ended"`
	Outcome      Outcome            `json:"outcome"`
	Cause        string             `json:"cause,omitempty"` // short slug: rta, ws-delivery, detection, recovered-by-undo, …
	Sentence     string             `json:"sentence"`        // one sentence that says why
	Dirty        bool               `json:"dirty,omitempty"`
	Phases       []PhaseSpan        `json:"phases"`
	Checks       []Check            `json:"checks,omitempty"`
	Baselines    []Baseline         `json:"baselines,omitempty"`
	Faults       []FaultRecord      `json:"faults,omitempty"`
	Times        Times              `json:"times"`
	RTA          *Judged            `json:"rta,omitempty"`
	RPA          *Judged            `json:"rpa,omitempty"`
	Detection    *Judged            `json:"detection,omitempty"`
	Expectations []Judged           `json:"expectations,omitempty"` // all of them, RTO and RPO first
	Probes       []ProbeMeasured    `json:"probes,omitempty"`
	Windows      []WindowStat       `json:"windows,omitempty"`
	Canaries     []CanaryMeasured   `json:"canaries,omitempty"`
	Splits       []SplitMeasured    `json:"splits,omitempty"`
	Registers    []RegisterMeasured `json:"registers,omitempty"`
	Breakers     []BreakerMeasured  `json:"breakers,omitempty"`
	Load         []LoadMeasured     `json:"load,omitempty"`
	Restores     []RestoreMeasured  `json:"restores,omitempty"`
	Runbooks     []RunbookMeasured  `json:"runbooks,omitempty"`
	Alerts       []AlertLife        `json:"alerts,omitempty"`
	Roles        []RoleView         `json:"roles,omitempty"`
	Queries      []QueryResult      `json:"queries,omitempty"`
	Views        []OutageView       `json:"views,omitempty"` // the outage as users, Prometheus and people had it
	Axis         *Decomposition     `json:"decomposition,omitempty"`
	Prometheus   []PromView         `json:"prometheus,omitempty"`
	SLOs         []SLOResult        `json:"slos,omitempty"`
	Budgets      []BudgetUse        `json:"budgets,omitempty"`
	Blind        []Blind            `json:"blind,omitempty"` // when the monitoring did not answer
	Findings     []Finding          `json:"findings,omitempty"`
	Residue      []Residue          `json:"residue,omitempty"`
	Stop         *Stop              `json:"stop,omitempty"`
	Notes        []Note             `json:"notes,omitempty"`
	Events       int                `json:"events"` // how many were folded
	Head         string             `json:"head"`   // Prev of an event after the last one: empty until sealed
}

// PhaseSpan is one phase with its time.
type PhaseSpan struct {
	Phase Phase     `json:"phase"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
}

// FaultRecord is one change's whole life.
type FaultRecord struct {
	Change   Change    `json:"change"`
	Intended time.Time `json:"intended"`
	Effect   *Effect   `json:"effect,omitempty"`
	Error    string    `json:"error,omitempty"`
	Lift     time.Time `json:"lift,omitzero"` // the undo began because the duration was over
	Undone   *Effect   `json:"undone,omitempty"`
	UndoneAt time.Time `json:"undone_at,omitzero"`
	Reason   string    `json:"reason,omitempty"`
	Gaps     []Gap     `json:"gaps,omitempty"` // when it was not in force although nobody had undone it
}

// Stamp is one of T0–T8: an interval and who said so. Nil when not reached or not measured.
type Stamp struct {
	Interval
	Source string `json:"source"`
}

// Times are T0–T8 of EVIDENCE 6.1.
type Times struct {
	T0 *Stamp `json:"t0,omitempty"` // fault effective
	T1 *Stamp `json:"t1,omitempty"` // first bad probe
	T2 *Stamp `json:"t2,omitempty"` // first expected alert firing
	T3 *Stamp `json:"t3,omitempty"` // activation by a person (runbook)
	T4 *Stamp `json:"t4,omitempty"` // first recovery action (role change)
	T5 *Stamp `json:"t5,omitempty"` // dependencies healthy (roles agree again)
	T6 *Stamp `json:"t6,omitempty"` // service verified
	T7 *Stamp `json:"t7,omitempty"` // data reconciled
	T8 *Stamp `json:"t8,omitempty"` // redundancy back and every fault removed
}

// Judged is one expectation with its measured value and verdict.
type Judged struct {
	ID       string  `json:"id"`    // rto, rpo, role-moved, rejoin, alert:NAME, during:TITLE, …
	Title    string  `json:"title"` // a sentence
	Target   string  `json:"target,omitempty"`
	Actual   string  `json:"actual"`
	Span     *Span   `json:"span,omitempty"`
	Max      string  `json:"max,omitempty"`
	Verdict  Verdict `json:"verdict"`
	Cause    string  `json:"cause,omitempty"` // slug when not met
	Why      string  `json:"why,omitempty"`   // sentence when not met or inconclusive
	Source   string  `json:"source,omitempty"`
	Evidence string  `json:"evidence,omitempty"`
}

// AlertLife is one alert's whole life in the run. Nil where it was not seen.
type AlertLife struct {
	Name             string            `json:"name"`
	Labels           map[string]string `json:"labels,omitempty"`
	Severity         string            `json:"severity,omitempty"`
	Expected         bool              `json:"expected"`
	Pending          *Interval         `json:"pending,omitempty"`
	Firing           *Interval         `json:"firing,omitempty"`
	Notified         *Interval         `json:"notified,omitempty"`
	Resolved         *Interval         `json:"resolved,omitempty"`
	ResolvedNotified *Interval         `json:"resolved_notified,omitempty"`
}

// Residue is what was left behind.
type Residue struct {
	Change Change `json:"change"`
	What   string `json:"what"`
}

// Note is a remark with its time.
type Note struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}
