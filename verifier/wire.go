package verifier

import (
	"fmt"

	"github.com/eevans-d/simulacro/drills"
)

// probeJob is the spec of a probe agent: every probe of one place. Secrets are in it; it travels on stdin only.
type probeJob struct {
	Run      string       `json:"run,omitempty"`
	Realtime bool         `json:"realtime"`
	Probes   []namedProbe `json:"probes"`
}

type namedProbe struct {
	Name string           `json:"name"`
	Spec drills.ProbeSpec `json:"spec"`
}

// readiness is the data of an agent's "ready" frame.
type readiness struct {
	Realtime bool   `json:"realtime"`
	Why      string `json:"why,omitempty"` // why SCHED_FIFO was not granted
}

// trouble is the data of an agent's "error" frame.
type trouble struct {
	Text string `json:"text"`
}

// batch is the data of a "samples" frame: rows of [probe, seq, due, send, done, class, text, origin], text being an
// index into all texts sent so far in this and earlier frames (0 is the empty text). Sent about every 100 ms.
type batch struct {
	Rows  [][8]int64 `json:"r"`
	Texts []string   `json:"t,omitempty"`
	// Positions are those of canary writes, by row; the rows after the last one have none.
	Positions []string `json:"p,omitempty"`
}

// maxTexts bounds the interned texts of one agent; further ones become "other".
const maxTexts = 500

// encoder turns samples into batches, interning their texts.
type encoder struct {
	index map[string]int64
	next  batch
}

func newEncoder() *encoder { return &encoder{index: map[string]int64{"": 0}} }

func (e *encoder) add(probe int, s Sample) {
	e.next.Rows = append(e.next.Rows, [8]int64{int64(probe), s.Seq, s.Due, s.Send, s.Done, int64(s.Class), e.intern(s.Text), int64(s.Origin)})
	if s.Position != "" {
		e.next.Positions = append(e.next.Positions, make([]string, len(e.next.Rows)-len(e.next.Positions))...)
		e.next.Positions[len(e.next.Rows)-1] = s.Position
	}
}

func (e *encoder) intern(t string) int64 {
	if i, ok := e.index[t]; ok {
		return i
	}
	if len(e.index) >= maxTexts && t != "other" {
		return e.intern("other")
	}
	i := int64(len(e.index))
	e.index[t] = i
	e.next.Texts = append(e.next.Texts, t)
	return i
}

// take returns what has been added since the last take.
func (e *encoder) take() batch {
	b := e.next
	e.next = batch{}
	return b
}

// decoder is the other side of encoder.
type decoder struct {
	texts []string
}

func newDecoder() *decoder { return &decoder{texts: []string{""}} }

// each calls f for every sample of a batch of an agent with n probes.
func (d *decoder) each(b batch, n int, f func(probe int, s Sample)) error {
	d.texts = append(d.texts, b.Texts...)
	for i, r := range b.Rows {
		position := ""
		if i < len(b.Positions) {
			position = b.Positions[i]
		}
		if r[0] < 0 || r[0] >= int64(n) || r[5] < 0 || r[5] >= int64(classes) || r[6] < 0 || r[6] >= int64(len(d.texts)) || r[7] < 0 || r[7] >= int64(origins) {
			return fmt.Errorf("agent sent a row out of range: %v", r)
		}
		f(int(r[0]), Sample{Seq: r[1], Due: r[2], Send: r[3], Done: r[4], Class: Class(r[5]), Text: d.texts[r[6]], Position: position, Origin: Origin(r[7])})
	}
	return nil
}
