package verifier

import (
	"cmp"
	"math"
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

	Arrivals []arrival // of a websocket canary: what its clients received
	Links    []link
}

// Settle computes the record's view of the ledger (EVIDENCE 6.2). Pure; Raw and SHA256 are the caller's. Strip cells are
// disjoint: Good acknowledged and not lost, Bad not acknowledged, Ours lost.
//
// A write is lost when it was acknowledged and no member of the primary's lineage holds it intact or corrupt; the recovery
// point is the newest acknowledgement all of whose predecessors survive (see point).
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
	case l.Meta.Kind == drills.PubSub:
		l.deliver(&out, acked, t)
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
		case Throttled:
			out.Throttled++
		default:
			out.Failed++
		}
		out.Sent++
	}
	out.Acked = len(acked)
	slices.SortFunc(acked, func(a, b Sample) int { return cmp.Or(cmp.Compare(a.Done, b.Done), cmp.Compare(a.Seq, b.Seq)) })
	return acked
}

func (l *Ledger) reconcile(out *drills.CanaryMeasured, acked []Sample, t drills.Timing) {
	clock := l.Meta.clock()
	out.ReadBack = drills.Interval{From: clock.Time(l.Back.From), To: clock.Time(l.Back.To)}
	for _, h := range l.Back.Members {
		out.Members = append(out.Members, drills.MemberRead{Member: h.Member, Found: found(h), Error: h.Error})
	}
	if len(l.counting()) == 0 {
		out.Error = "no member of the primary's lineage could be read back"
		return
	}
	l.oddities(out)
	l.stale(out, acked)
	fates := l.fates()
	out.Reordered = l.reordered()
	l.count(out, acked, fates, t)
	out.Positions = l.positions(acked, fates)
	out.Servers = l.servers(acked, fates)
}

// count adds up what became of acknowledged writes, and where the lost ones lie.
func (l *Ledger) count(out *drills.CanaryMeasured, acked []Sample, fates map[int64]fate, t drills.Timing) {
	clock := l.Meta.clock()
	for _, w := range acked {
		switch fates[w.Seq] {
		case intact:
			out.Survived++
		case missing:
			out.Lost++
			if !t.T0.IsZero() && clock.Time(w.Done).Before(t.T0.From) {
				out.LostBeforeT0++
			}
		case corrupt:
		}
	}
	out.NewestLost = l.newestLost(acked, fates)
	out.Spans = l.lostSpans(acked, fates)
	out.Point = l.point(acked, fates)
}

// newestLost holds the true instant of the last acknowledgement of a lost write: that instant is at or after every lost
// write's sending and before the last of their answers.
func (l *Ledger) newestLost(acked []Sample, fates map[int64]fate) drills.Interval {
	var send, done int64
	for _, w := range acked {
		if fates[w.Seq] == missing {
			send, done = max(send, w.Send), max(done, w.Done)
		}
	}
	if done == 0 {
		return drills.Interval{}
	}
	return l.interval(send, done)
}

func (l *Ledger) interval(from, to int64) drills.Interval {
	return drills.Interval{From: l.Meta.clock().Time(from), To: l.Meta.clock().Time(to)}
}

// point holds the acknowledgement of the newest write whose predecessors all survive. A store acknowledges w at some
// instant a(w) in [send, done], and overlapping writes in an order that we cannot see. With F the first acknowledgement of a
// write that is not intact, F lies in [S, D], S the least send and D the least done of those writes; the point is the
// greatest a(w) < F. So it is at least the send of every write that was done by S, and at most the done of every write
// that was sent before D, and at most D. Before the first write when that one may be gone already.
func (l *Ledger) point(acked []Sample, fates map[int64]fate) drills.Interval {
	from := acked[0].Send
	for _, w := range acked {
		from = min(from, w.Send)
	}
	to := from
	least, by := int64(math.MaxInt64), int64(math.MaxInt64)
	for _, w := range acked {
		if fates[w.Seq] != intact {
			least, by = min(least, w.Send), min(by, w.Done)
		}
	}
	for _, w := range acked {
		if fates[w.Seq] == intact && w.Done <= least {
			from = max(from, w.Send)
		}
		if fates[w.Seq] == intact && w.Send < by {
			to = max(to, min(w.Done, by))
		}
	}
	return l.interval(from, to)
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
		case w.Class == Observer, w.Class == Throttled:
		case w.Class != Good:
			b.Bad++
		case l.Back != nil && out.Error == "" && lost[w.Seq] == missing:
			b.Ours++
		default:
			b.Good++
		}
	}
}
