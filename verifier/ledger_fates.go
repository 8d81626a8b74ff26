package verifier

import (
	"cmp"
	"maps"
	"slices"

	"github.com/eevans-d/simulacro/drills"
)

// fate is what became of one number.
type fate uint8

const (
	missing fate = iota
	intact
	corrupt
)

// counting are the holdings that count: those of the lineage of the primary in charge.
func (l *Ledger) counting() []Holding {
	return slices.DeleteFunc(slices.Clone(l.Back.Members), func(h Holding) bool { return !h.Counts })
}

// fates merges the holdings that count: intact anywhere in the lineage is intact.
func (l *Ledger) fates() map[int64]fate {
	if l.Meta.Kind == drills.PubSub {
		return l.delivered(l.inboxes())
	}
	out := map[int64]fate{}
	for _, h := range l.counting() {
		for _, s := range h.Corrupt {
			out[s] = corrupt
		}
	}
	for _, h := range l.counting() {
		for s := range h.each {
			out[s] = intact
		}
	}
	return out
}

// each yields every number held intact.
func (h Holding) each(yield func(int64) bool) {
	for _, r := range h.Held {
		for s := r[0]; s <= r[1]; s++ {
			if !yield(s) {
				return
			}
		}
	}
}

func found(h Holding) int {
	n := 0
	for _, r := range h.Held {
		n += int(r[1] - r[0] + 1)
	}
	return n
}

// oddities counts what no write explains, over all members that count: each number and each name once.
func (l *Ledger) oddities(out *drills.CanaryMeasured) {
	refused := map[int64]bool{}
	for _, w := range l.Writes {
		if w.Class != Good && w.Class != Timeout && w.Class != Observer {
			refused[w.Seq] = true
		}
	}
	dup, bad, back, odd := map[int64]bool{}, map[int64]bool{}, map[int64]bool{}, map[string]bool{}
	undeleted := 0
	for _, h := range l.counting() {
		for _, s := range h.Duplicated {
			dup[s] = true
		}
		for _, s := range h.Corrupt {
			bad[s] = true
		}
		for s := range h.each {
			if refused[s] {
				back[s] = true
			}
		}
		for _, name := range h.Phantoms {
			odd[name] = true
		}
		undeleted = max(undeleted, h.Undeleted)
		out.Phantom = max(out.Phantom, h.Phantom) // where there are more than names
	}
	for s := range bad {
		if refused[s] {
			back[s] = true
		}
	}
	out.Duplicated, out.Corrupt, out.Resurrected = len(dup), len(bad), len(back)+undeleted
	out.Phantom = max(out.Phantom, len(odd))
}

// stale counts the acknowledged writes that one member that counts holds and another does not: whoever reads there is told
// an older state than was acknowledged.
func (l *Ledger) stale(out *drills.CanaryMeasured, acked []Sample) {
	holders := map[int64]int{}
	has := make([]map[int64]bool, len(l.Back.Members))
	n := len(l.counting())
	for i, h := range l.Back.Members {
		has[i] = map[int64]bool{}
		if !h.Counts {
			continue
		}
		for _, s := range h.Corrupt {
			has[i][s] = true
		}
		for s := range h.each {
			has[i][s] = true
		}
		for s := range has[i] {
			holders[s]++
		}
	}
	for _, w := range acked {
		if k := holders[w.Seq]; k == 0 || k == n {
			continue
		}
		out.Stale++
		for i, h := range l.Back.Members {
			if h.Counts && !has[i][w.Seq] {
				out.Members[i].Missing++
			}
		}
	}
}

// servers says who acknowledged what. A store that does not say who is left out.
func (l *Ledger) servers(acked []Sample, fates map[int64]fate) []drills.ServerAcks {
	type bounds struct {
		writes, lost           int
		send, done, last, most int64 // least send, least done, greatest send, greatest done
	}
	by := map[string]*bounds{}
	for _, w := range acked {
		if w.Text == "" {
			continue
		}
		b := by[w.Text]
		if b == nil {
			b = &bounds{send: w.Send, done: w.Done}
			by[w.Text] = b
		}
		b.send, b.done, b.last, b.most = min(b.send, w.Send), min(b.done, w.Done), max(b.last, w.Send), max(b.most, w.Done)
		b.writes++
		if fates[w.Seq] == missing {
			b.lost++
		}
	}
	var out []drills.ServerAcks
	for _, addr := range slices.Sorted(maps.Keys(by)) {
		b := by[addr]
		out = append(out, drills.ServerAcks{Server: l.nameOf(addr), Writes: b.writes, Lost: b.lost, First: l.interval(b.send, b.done), Last: l.interval(b.last, b.most)})
	}
	slices.SortStableFunc(out, func(a, b drills.ServerAcks) int { return cmp.Compare(a.First.To.UnixNano(), b.First.To.UnixNano()) })
	return out
}

// nameOf is the member at an address, as far as read-back knew it.
func (l *Ledger) nameOf(addr string) string {
	if l.Back != nil {
		for _, h := range l.Back.Members {
			if h.Address == addr {
				return h.Member
			}
		}
	}
	return addr
}
