package calibrate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

// Loss is a way in which a store does not keep what it acknowledged.
type Loss string

// The losses. Tail: the last acknowledged writes are gone; Hole: a run of them in the middle; Duplicated: writes are there a
// second time; Stale: the replica, which says that it is in step, lacks the newest writes; Resurrected: writes that were
// refused, and the trial key that was deleted, are there; Corrupt: values are altered, on one member or on both; Unanswered:
// writes get no answer, done or not, and are counted as neither kept nor lost; Mixed: several of them at once, and phantoms.
const (
	None        Loss = "none"
	Tail        Loss = "tail"
	Hole        Loss = "hole"
	Duplicated  Loss = "duplicated"
	StaleReads  Loss = "stale"
	Resurrected Loss = "resurrected"
	Corrupt     Loss = "corrupt"
	Unanswered  Loss = "unanswered"
	Mixed       Loss = "mixed"
)

// Losses lists them all, in the order of reports.
func Losses() []Loss {
	return []Loss{None, Tail, Hole, Duplicated, StaleReads, Resurrected, Corrupt, Unanswered, Mixed}
}

// Counts is what a canary is to find, or has found.
type Counts struct {
	Acked         int `json:"acked"`
	Lost          int `json:"lost"`
	Duplicated    int `json:"duplicated"`
	Stale         int `json:"stale"`
	Resurrected   int `json:"resurrected"`
	Corrupt       int `json:"corrupt"`
	Phantom       int `json:"phantom"`
	Failed        int `json:"failed"`
	Indeterminate int `json:"indeterminate"`
}

func (c *Counts) add(o Counts) {
	c.Acked, c.Lost, c.Duplicated, c.Stale = c.Acked+o.Acked, c.Lost+o.Lost, c.Duplicated+o.Duplicated, c.Stale+o.Stale
	c.Resurrected, c.Corrupt, c.Phantom = c.Resurrected+o.Resurrected, c.Corrupt+o.Corrupt, c.Phantom+o.Phantom
	c.Failed, c.Indeterminate = c.Failed+o.Failed, c.Indeterminate+o.Indeterminate
}

func counted(m drills.CanaryMeasured) Counts {
	return Counts{
		Acked: m.Acked, Lost: m.Lost, Duplicated: m.Duplicated, Stale: m.Stale, Resurrected: m.Resurrected, Corrupt: m.Corrupt,
		Phantom: m.Phantom, Failed: m.Failed, Indeterminate: m.Indeterminate,
	}
}

// plan is one repetition: what goes wrong while writing, and what the data is turned into afterwards.
type plan struct {
	loss   Loss
	rng    *rand.Rand
	prefix string // of the canary's keys
	acks   int    // acknowledged writes before the store is ruined

	has map[Loss]bool
}

// newPlan draws a repetition. The same seed gives the same plan.
func newPlan(loss Loss, seed uint64, prefix string) *plan {
	p := &plan{loss: loss, prefix: prefix, rng: rand.New(rand.NewPCG(seed, 0)), has: map[Loss]bool{loss: true}} //nolint:gosec // a place in a history, not a secret
	p.acks = 40 + p.rng.IntN(80)
	if loss == Mixed {
		for _, l := range []Loss{Tail, Hole, Duplicated, StaleReads, Resurrected, Corrupt, Unanswered} {
			p.has[l] = p.rng.IntN(2) == 0
		}
	}
	return p
}

// act is the fate of the next write. The trial write at the canary's start is always taken.
func (p *plan) act(key string) act {
	if strings.HasSuffix(key, ":open") {
		return obey
	}
	n := p.rng.IntN(100)
	switch {
	case p.has[Resurrected] && n < 10:
		return refuse
	case p.has[Unanswered] && n >= 90 && n < 93:
		return breakOff
	case p.has[Unanswered] && n >= 93 && n < 96:
		return doAndHide
	}
	return obey
}

// ruin turns the data of a store that is written to no more into what the loss says, and returns what a canary must count.
// The recovery point is the acknowledgement of the newest write before the first one that is not intact any more.
func (p *plan) ruin(s *store) (truth Counts, point drills.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acked = slices.DeleteFunc(s.acked, func(a ack) bool { return strings.HasSuffix(a.key, ":open") })
	n := len(s.acked)
	truth = Counts{Acked: n, Failed: len(s.refused), Indeterminate: s.hidden}
	f := &fates{s: s, state: make([]fate, n)}
	if p.has[Tail] {
		k := 1 + p.rng.IntN(n/2)
		f.mark(n-k, n, gone)
	}
	if p.has[Hole] {
		k := 1 + p.rng.IntN(n/4)
		from := 1 + p.rng.IntN(n/2)
		f.mark(from, min(from+k, n-1), gone)
	}
	if p.has[Corrupt] {
		for range 1 + p.rng.IntN(5) {
			i := p.rng.IntN(n)
			f.mark(i, i+1, []fate{bent, bentOnReplica}[p.rng.IntN(2)])
		}
	}
	if p.has[StaleReads] {
		f.mark(n-1-p.rng.IntN(n/2), n, behind)
	}
	f.carryOut(&truth)
	if p.has[Duplicated] {
		p.duplicate(f, &truth)
	}
	if p.has[Resurrected] {
		p.resurrect(s, &truth)
	}
	if p.loss == Mixed {
		for i := range p.rng.IntN(4) {
			s.primary.data[fmt.Sprintf("%sphantom-%d", p.prefix, i)] = "never sent"
			truth.Phantom++
		}
	}
	return truth, f.point()
}

// duplicate stores some writes that are intact a second time, under another key.
func (p *plan) duplicate(f *fates, truth *Counts) {
	for i := range 1 + p.rng.IntN(6) {
		at := p.rng.IntN(len(f.state))
		if f.state[at] != kept || f.copied[at] {
			continue
		}
		if f.copied == nil {
			f.copied = map[int]bool{}
		}
		f.copied[at] = true
		a := f.s.acked[at]
		for _, m := range f.s.members()[:1+i%2] { // on one member, or on both: one duplicate either way
			m.data[strings.Replace(a.key, p.prefix, p.prefix+"00", 1)] = a.value
		}
		truth.Duplicated++
	}
}

// resurrect brings back what was refused, and what was deleted.
func (p *plan) resurrect(s *store, truth *Counts) {
	for _, a := range s.refused {
		if p.rng.IntN(2) == 0 {
			continue
		}
		for _, m := range s.members()[p.rng.IntN(2):] {
			m.data[a.key] = a.value
		}
		truth.Resurrected++
	}
	if p.rng.IntN(2) == 0 || truth.Resurrected == 0 {
		s.replica.data[p.prefix+"open"] = "deleted once"
		truth.Resurrected++
	}
}
