package verifier

import (
	"cmp"
	"slices"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// Ledger is everything known of one canary: what was sent and acknowledged, and what was found when read back.
type Ledger struct {
	Meta   CanaryMeta
	Writes []Sample  // good: acknowledged; timeout: sent, no answer; observer: not sent; else refused before any effect
	Back   *holdings // nil: not read back
	Purge  *purged
}

// Settle computes the record's view of the ledger (EVIDENCE 6.2). Pure; Raw and SHA256 are the caller's. Strip cells are
// disjoint: Good acknowledged and not lost, Bad not acknowledged, Ours lost.
//
// A write is lost when it was acknowledged and no member of the primary's lineage holds it intact or corrupt. Writes are
// put in the order of their acknowledgements; the recovery point is the newest one all of whose predecessors survive.
func (l *Ledger) Settle(t drills.Timing) drills.CanaryMeasured {
	clock := l.Meta.clock()
	out := drills.CanaryMeasured{
		Name: l.Meta.Name, Kind: l.Meta.Kind, Place: l.Meta.Place, Connection: l.Meta.Connection,
		Every: l.Meta.Every, From: clock.Wall.UTC(), Cell: drills.Duration(stripCell(0)),
	}
	acked := l.tally(&out)
	if l.Purge != nil {
		out.Purged, out.PurgeProof = l.Purge.OK, l.Purge.Proof
	}
	switch {
	case len(l.Writes) == 0:
		out.Error = "nothing was written"
	case len(acked) == 0:
		out.Error = "no write was ever acknowledged: " + l.commonest()
	case l.Back == nil:
		out.Error = "the writes were not read back"
	default:
		l.reconcile(&out, acked, t)
	}
	l.draw(&out)
	return out
}

// tally counts outcomes and returns the acknowledged writes in the order of their acknowledgements.
func (l *Ledger) tally(out *drills.CanaryMeasured) []Sample {
	var acked []Sample
	for _, w := range l.Writes {
		switch w.Class {
		case Observer:
			continue
		case Good:
			acked = append(acked, w)
		case Timeout:
			out.Indeterminate++
		default:
			out.Failed++
		}
		out.Sent++
	}
	out.Acked = len(acked)
	slices.SortFunc(acked, func(a, b Sample) int { return cmp.Or(cmp.Compare(a.Done, b.Done), cmp.Compare(a.Seq, b.Seq)) })
	return acked
}

// fate is what became of one number.
type fate uint8

const (
	missing fate = iota
	intact
	corrupt
)

// fates merges the holdings that count: intact anywhere in the lineage is intact.
func (l *Ledger) fates() map[int64]fate {
	out := map[int64]fate{}
	for _, h := range l.Back.Members {
		if !h.Counts {
			continue
		}
		for _, s := range h.Corrupt {
			out[s] = corrupt
		}
	}
	for _, h := range l.Back.Members {
		if !h.Counts {
			continue
		}
		for _, r := range h.Held {
			for s := r[0]; s <= r[1]; s++ {
				out[s] = intact
			}
		}
	}
	return out
}

func (l *Ledger) reconcile(out *drills.CanaryMeasured, acked []Sample, t drills.Timing) {
	clock := l.Meta.clock()
	out.ReadBack = drills.Interval{From: clock.Time(l.Back.From), To: clock.Time(l.Back.To)}
	out.Error = "no member of the primary's lineage could be read back"
	dup := map[int64]bool{}
	for _, h := range l.Back.Members {
		out.Members = append(out.Members, drills.MemberRead{Member: h.Member, Found: found(h), Error: h.Error})
		if !h.Counts {
			continue
		}
		out.Error = ""
		out.Phantom = max(out.Phantom, h.Phantom)
		for _, s := range h.Duplicated {
			dup[s] = true
		}
	}
	if out.Error != "" {
		return
	}
	out.Duplicated = len(dup)
	fates := l.fates()
	for _, f := range fates {
		if f == corrupt {
			out.Corrupt++
		}
	}
	for _, w := range acked {
		switch fates[w.Seq] {
		case intact:
			out.Survived++
		case missing:
			out.Lost++
			if !t.T0.IsZero() && clock.Time(w.Done).Before(t.T0.From) {
				out.LostBeforeT0++
			}
			out.NewestLost = l.moment(w)
		case corrupt:
		}
	}
	out.Spans = l.lostSpans(acked, fates)
	out.Point = l.point(acked, fates)
}

func found(h Holding) int {
	n := 0
	for _, r := range h.Held {
		n += int(r[1] - r[0] + 1)
	}
	return n
}

func (l *Ledger) moment(w Sample) drills.Interval {
	return drills.Interval{From: l.Meta.clock().Time(w.Send), To: l.Meta.clock().Time(w.Done)}
}

// point is the newest write whose predecessors all survive; before the first write when that one is already gone.
func (l *Ledger) point(acked []Sample, fates map[int64]fate) drills.Interval {
	last := drills.At(l.Meta.clock().Time(acked[0].Send))
	for _, w := range acked {
		if fates[w.Seq] != intact {
			return last
		}
		last = l.moment(w)
	}
	return last
}

// lostSpans are the runs of lost writes that follow each other in the order of acknowledgement.
func (l *Ledger) lostSpans(acked []Sample, fates map[int64]fate) []drills.LostSpan {
	var out []drills.LostSpan
	open := false
	for _, w := range acked {
		if fates[w.Seq] != missing {
			open = false
			continue
		}
		at := l.Meta.clock().Time(w.Done)
		if !open {
			out = append(out, drills.LostSpan{FromSeq: w.Seq, ToSeq: w.Seq, FirstAck: at})
			open = true
		}
		s := &out[len(out)-1]
		s.FromSeq, s.ToSeq, s.LastAck = min(s.FromSeq, w.Seq), max(s.ToSeq, w.Seq), at
		s.Writes++
	}
	return out
}

func (l *Ledger) commonest() string {
	n := map[string]int{}
	best := ""
	for _, w := range l.Writes {
		if n[w.Text]++; n[w.Text] > n[best] {
			best = w.Text
		}
	}
	return best
}

// draw fills in the strip.
func (l *Ledger) draw(out *drills.CanaryMeasured) {
	if len(l.Writes) == 0 {
		return
	}
	lost := map[int64]fate{}
	if l.Back != nil && out.Error == "" {
		lost = l.fates()
	}
	byName := func(a, b Sample) int { return bySendAt(a, b.Send) }
	first, last := slices.MinFunc(l.Writes, byName).Send, slices.MaxFunc(l.Writes, byName).Send
	cell := stripCell(time.Duration(last - first))
	out.From, out.Cell = l.Meta.clock().Time(first), drills.Duration(cell)
	out.Strip = make([]drills.Bucket, (last-first)/int64(cell)+1)
	for _, w := range l.Writes {
		b := &out.Strip[(w.Send-first)/int64(cell)]
		switch {
		case w.Class == Observer:
		case w.Class != Good:
			b.Bad++
		case l.Back != nil && out.Error == "" && lost[w.Seq] == missing:
			b.Ours++
		default:
			b.Good++
		}
	}
}
