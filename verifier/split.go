package verifier

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// Split is the drills.Observer of who acknowledged what, over all canaries of one component: whether a former primary went on
// acknowledging after the new one had begun, and what became of that. It looks at the canaries' ledgers once they have been
// read back and measures nothing itself.
type Split struct {
	component string
	canaries  []*Canary
}

// NewSplit looks at canaries of one component.
func NewSplit(component string, canaries []*Canary) *Split { return &Split{component, canaries} }

// Start has nothing to start.
func (s *Split) Start(context.Context, func(drills.Event)) error { return nil }

// Finish compares the ledgers. Reading back has ended when observers are finished.
func (s *Split) Finish(context.Context, drills.Timing) ([]drills.Event, error) {
	var ls []*Ledger
	for _, c := range s.canaries {
		c.mu.Lock()
		l := c.ledger
		l.Writes = slices.Clone(l.Writes)
		c.mu.Unlock()
		ls = append(ls, &l)
	}
	m := settleSplit(s.component, ls)
	return []drills.Event{{At: time.Now().UTC(), Kind: drills.EvMeasured, Split: &m}}, nil
}

// MeasureSplit computes the same from the canaries' raw files.
func MeasureSplit(component string, raws []io.Reader) (drills.SplitMeasured, error) {
	var ls []*Ledger
	var errs []error
	for _, r := range raws {
		l, err := ReadLedger(r)
		errs = append(errs, err)
		ls = append(ls, l)
	}
	if err := errors.Join(errs...); err != nil {
		return drills.SplitMeasured{}, err
	}
	return settleSplit(component, ls), nil
}

// ackBy is one acknowledged write and who acknowledged it.
type ackBy struct {
	send, done int64
	fate       fate
}

// settleSplit merges the ledgers: all stamps are of one kernel's CLOCK_MONOTONIC.
func settleSplit(component string, ls []*Ledger) drills.SplitMeasured {
	out := drills.SplitMeasured{Component: component}
	by := map[string][]ackBy{}
	for _, l := range ls {
		out.Canaries = append(out.Canaries, l.Meta.Name)
		if l.Back == nil || len(l.counting()) == 0 {
			out.Error = fmt.Sprintf("canary %s was not read back", l.Meta.Name)
			continue
		}
		fates := l.fates()
		for _, w := range l.Writes {
			if w.Class == Good && w.Text != "" {
				name := l.nameOf(w.Text)
				by[name] = append(by[name], ackBy{w.Send, w.Done, fates[w.Seq]})
			}
		}
	}
	if len(by) == 0 {
		out.Error = cmp.Or(out.Error, "no acknowledgement says which server it is from")
	}
	if out.Error != "" {
		return out
	}
	clock := ls[0].Meta.clock()
	for name, acks := range by {
		out.Servers = append(out.Servers, serverOf(name, acks, clock))
	}
	slices.SortFunc(out.Servers, func(a, b drills.ServerAcks) int {
		return cmp.Or(a.First.To.Compare(b.First.To), cmp.Compare(a.Server, b.Server))
	})
	for i, old := range out.Servers {
		for _, now := range out.Servers[i+1:] {
			out.Pairs = append(out.Pairs, pairOf(old.Server, now.Server, by, ls, clock))
		}
	}
	return out
}

// edgesOf are the least send and done, and the greatest send and done: the first acknowledgement lies between the former
// two, the last one between the latter.
func edgesOf(acks []ackBy) (send, done, last, most int64) {
	send, done = acks[0].send, acks[0].done
	for _, a := range acks {
		send, done, last, most = min(send, a.send), min(done, a.done), max(last, a.send), max(most, a.done)
	}
	return send, done, last, most
}

func serverOf(name string, acks []ackBy, clock drills.Clock) drills.ServerAcks {
	send, done, last, most := edgesOf(acks)
	out := drills.ServerAcks{
		Server: name, Writes: len(acks),
		First: drills.Interval{From: clock.Time(send), To: clock.Time(done)}, Last: drills.Interval{From: clock.Time(last), To: clock.Time(most)},
	}
	for _, a := range acks {
		if a.fate == missing {
			out.Lost++
		}
	}
	return out
}

// pairOf counts what old acknowledged between the first and the last acknowledgement of now. A write was surely acknowledged
// after an instant in [a, b] when it was sent at or after b, and perhaps when it was done at or after a.
func pairOf(old, now string, by map[string][]ackBy, ls []*Ledger, clock drills.Clock) drills.SplitPair {
	send, done, _, most := edgesOf(by[now])
	out := drills.SplitPair{Old: old, New: now, From: drills.Interval{From: clock.Time(send), To: clock.Time(done)}}
	var last, lastDone int64
	for _, a := range by[old] {
		if a.done >= send && a.send <= most {
			out.AtMost++
		}
		if a.send < done || a.done > most {
			continue
		}
		out.Acked++
		last, lastDone = max(last, a.send), max(lastDone, a.done)
		switch a.fate {
		case intact:
			out.Survived++
		case missing:
			out.Lost++
		case corrupt:
		}
	}
	if out.Acked > 0 {
		out.To = drills.Interval{From: clock.Time(last), To: clock.Time(lastDone)}
	}
	out.Watched, out.Refused = watched(old, ls, clock)
	return out
}

// watched tells whether a canary was pinned to a server, and between which instants that one began to refuse its writes:
// after the last acknowledgement was sent for, and before the first refusal after it had arrived.
func watched(server string, ls []*Ledger, clock drills.Clock) (bool, drills.Interval) {
	for _, l := range ls {
		if l.Meta.Connection != "pinned" {
			continue
		}
		at := map[string]bool{}
		var last Sample
		for _, w := range l.Writes {
			if w.Class == Good {
				at[l.nameOf(w.Text)] = true
				if w.Send > last.Send {
					last = w
				}
			}
		}
		if names := slices.Collect(maps.Keys(at)); len(names) != 1 || names[0] != server {
			continue
		}
		first := int64(0)
		for _, w := range l.Writes {
			if w.Class == Failed && w.Send > last.Send && (first == 0 || w.Done < first) {
				first = w.Done
			}
		}
		if first == 0 {
			return true, drills.Interval{}
		}
		return true, drills.Interval{From: clock.Time(last.Send), To: clock.Time(first)}
	}
	return false, drills.Interval{}
}
