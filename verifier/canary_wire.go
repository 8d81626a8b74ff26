package verifier

import (
	"github.com/eevans-d/simulacro/drills"
)

// Frames of a canary agent. To it, after the spec (canaryJob): "halt" (stop writing, answered by "halted" once every
// write in flight has ended), "read" (readJob, answered by one "holdings"), "purge" (readJob, answered by "purged") and
// "stop". From it: "ready", "samples" (as a probe agent's; good = acknowledged, timeout = sent without an answer,
// observer = not sent, all else = refused before any effect), "arrivals" (of a websocket canary), "done". End of input: stop, and purge where asked to.

// canaryJob is the spec of a canary agent.
type canaryJob struct {
	Name     string            `json:"name"`
	Run      string            `json:"run"`
	Realtime bool              `json:"realtime"`
	Spec     drills.CanarySpec `json:"spec"` // secrets expanded, names final
}

// MemberAddr is where one member of the component can be reached from the canary's place (host:port).
type MemberAddr struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

// readJob names the members to read from or to prove the purge on.
type readJob struct {
	Members []MemberAddr    `json:"members"`
	Within  drills.Duration `json:"within"` // how long to wait for one primary with every other member in step
}

// Holding is what one member held at read-back. Only members in the lineage of the primary in charge count: what is
// only on a former primary that has not been demoted yet is about to vanish.
type Holding struct {
	Member     string     `json:"member"`
	Address    string     `json:"address,omitempty"`
	Role       string     `json:"role,omitempty"` // primary | replica | instance
	Counts     bool       `json:"counts"`
	Held       [][2]int64 `json:"held,omitempty"` // first and last sequence number of runs held intact
	Corrupt    []int64    `json:"corrupt,omitempty"`
	Duplicated []int64    `json:"duplicated,omitempty"`
	Order      [][2]int64 `json:"order,omitempty"` // Held as runs in the order in which they are stored, where the store has one
	Phantom    int        `json:"phantom,omitempty"`
	Phantoms   []string   `json:"phantoms,omitempty"`  // the first maxPhantoms of them
	Undeleted  int        `json:"undeleted,omitempty"` // deleted, with an acknowledgement, and there again
	Error      string     `json:"error,omitempty"`
}

// maxPhantoms bounds the names that a holding carries.
const maxPhantoms = 1000

// phantom notes one thing that was found and never sent.
func (h *Holding) phantom(name string) {
	if h.Phantom++; len(h.Phantoms) < maxPhantoms {
		h.Phantoms = append(h.Phantoms, clip(name))
	}
}

// holdings is the data of a "holdings" frame.
type holdings struct {
	From    int64     `json:"from"` // CLOCK_MONOTONIC
	To      int64     `json:"to"`
	Members []Holding `json:"members"`
	// History is what the primary in charge says of its timelines.
	History *walHistory `json:"history,omitempty"`
}

// purged is the data of a "purged" frame.
type purged struct {
	OK    bool   `json:"ok"`
	Proof string `json:"proof"`
}

// arrivals is the data of an "arrivals" frame: rows of [client, seq, CLOCK_MONOTONIC, 1 when the content had changed].
type arrivals struct {
	Rows  [][4]int64 `json:"r,omitempty"`
	Links []link     `json:"l,omitempty"`
}

// link is a change of one client's connection.
type link struct {
	Client int    `json:"c"`
	Up     bool   `json:"up,omitempty"`
	At     int64  `json:"at"` // CLOCK_MONOTONIC
	Why    string `json:"why,omitempty"`
}

// spans turns numbers into runs of ascending neighbours, in the order given.
func spans(seqs []int64) [][2]int64 {
	var out [][2]int64
	for _, s := range seqs {
		if n := len(out); n > 0 && out[n-1][1] == s-1 {
			out[n-1][1] = s
			continue
		}
		out = append(out, [2]int64{s, s})
	}
	return out
}
