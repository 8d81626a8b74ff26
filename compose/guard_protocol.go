package compose

import (
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// GuardLease is how long the guard waits for a sign of life before it acts.
const GuardLease = 5 * time.Second

// The frames of the guard's protocol. To it: spec (GuardSpec), intend (intendData), done (idData), release, renew.
// From it: ready, ack (idData), released, beat, error; and once it acts: acting, undone (GuardUndo), report (GuardReport).
const (
	frameReady    = "ready"
	frameBeat     = "beat"
	frameError    = "error"
	frameIntend   = "intend"
	frameDone     = "done"
	frameAck      = "ack"
	frameRelease  = "release"
	frameReleased = "released"
	frameActing   = "acting"
	frameUndone   = "undone"
	frameReport   = "report"
)

// GuardSpec is what the guard is told first.
type GuardSpec struct {
	Run     string          `json:"run"`
	Project string          `json:"project"`
	Lease   drills.Duration `json:"lease"`
}

type intendData struct {
	Change drills.Change `json:"change"`
}

type idData struct {
	ID   string `json:"id"`
	What string `json:"what,omitempty"` // in an ack: intend or done
}

type textData struct {
	Text string `json:"text"`
}

type actingData struct {
	Why     string          `json:"why"`
	Pending []drills.Change `json:"pending"`
}

// GuardUndo is what the guard did about one change. Present tells whether the fault is still there after it.
type GuardUndo struct {
	Change   string         `json:"change"`
	Undo     drills.Op      `json:"undo"`
	Effect   *drills.Effect `json:"effect,omitempty"`
	Present  bool           `json:"present"`
	Attempts int            `json:"attempts"`
	Note     string         `json:"note,omitempty"`  // why nothing was done: not the guard's
	Error    string         `json:"error,omitempty"` // the last attempt's
}

// GuardReport is what a guard did when it acted, or what can be said of one that ended without a word.
type GuardReport struct {
	Run     string      `json:"run"`
	Project string      `json:"project"`
	Why     string      `json:"why"` // eof | lease | stop | cancelled; "lost" when the guard itself was killed
	From    time.Time   `json:"from"`
	To      time.Time   `json:"to"`
	Undos   []GuardUndo `json:"undos,omitempty"`
	Removed []string    `json:"removed,omitempty"` // names of containers of ours that were still there
	Trouble []string    `json:"trouble,omitempty"` // what it could not do
	Held    []string    `json:"held,omitempty"`    // lost guard: ids of changes that it held; the journal has them
}

// Clean tells whether nothing that the guard could see is left.
func (r GuardReport) Clean() bool {
	for _, u := range r.Undos {
		if u.Error != "" || u.Present && (u.Effect == nil || u.Effect.Skipped == "") {
			return false
		}
	}
	return len(r.Trouble) == 0 && r.Why != "lost"
}
