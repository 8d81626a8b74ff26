package drills

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Class says who brings a change back.
type Class string

// Undo: we reverse it. Heals: the system must; the undo is our fallback and is recorded as ours.
// Irreversible: nobody can; allowed only where the system says disposable.
const (
	ClassUndo         Class = "undo"
	ClassHeals        Class = "heals"
	ClassIrreversible Class = "irreversible"
)

// Op is one act on one target, as data. The verb's prefix up to the first dot chooses the actuator
// (unit., net., load., redis., postgres., http., command.). Target is a resolved id (for containers
// the full container id), never a name that could come to mean something else.
type Op struct {
	ID     string          `json:"id"`
	Verb   string          `json:"verb"`
	Target string          `json:"target"`
	Args   json.RawMessage `json:"args,omitempty"`
}

// NewOp makes an op; args is any JSON-serialisable value or nil.
func NewOp(verb, target string, args any) (Op, error) {
	op := Op{Verb: verb, Target: target}
	if args == nil {
		return op, nil
	}
	b, err := json.Marshal(args)
	if err != nil {
		return Op{}, fmt.Errorf("%s: arguments: %w", verb, err)
	}
	op.Args = b
	return op, nil
}

// Decode reads the op's arguments into v, refusing fields that v does not have.
func (o Op) Decode(v any) error {
	if len(o.Args) == 0 {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(string(o.Args)))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%s: arguments: %w", o.Verb, err)
	}
	return nil
}

// Prefix is the part of the verb that chooses the actuator: "net" for "net.partition".
func (o Op) Prefix() string { p, _, _ := strings.Cut(o.Verb, "."); return p }

// Change is one act with its inverse. Both are data, so that another process can finish the undo.
// Undo may be empty for class heals (no fallback) and irreversible.
type Change struct {
	ID     string `json:"id"`
	Step   string `json:"step"`
	Fault  string `json:"fault"`
	Class  Class  `json:"class"`
	Do     Op     `json:"do"`
	Undo   Op     `json:"undo"`
	Member string `json:"member"` // name of the member that Do.Target is
	Note   string `json:"note,omitempty"`
	// Duration is how long the fault stays in force; zero: until restoring.
	Duration Duration `json:"duration,omitempty"`
}

// Effect is what an op is proven to have done. The instant at which it took effect lies in [From, To].
// Evidence is source-specific JSON (an engine event, packet counters, load results).
type Effect struct {
	From     time.Time       `json:"from"`
	To       time.Time       `json:"to"`
	Source   string          `json:"source"`
	Proven   bool            `json:"proven"`
	Skipped  string          `json:"skipped,omitempty"` // undo not done, and why: the object was no longer in the state we left it in
	Evidence json.RawMessage `json:"evidence,omitempty"`
}

// Interval is the effect's interval in time.
func (e Effect) Interval() Interval { return Interval{From: e.From, To: e.To} }

// background tells whether a change does nothing to the system that would have to be undone: load, a restore beside it, a
// runbook. Its end is no recovery of ours.
func (c Change) background() bool {
	switch c.Do.Prefix() {
	case "load", "restore", "runbook":
		return true
	}
	return false
}
