package verifier

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// arrival is one message in one client's hands.
type arrival struct {
	client  int
	seq     int64
	at      int64 // CLOCK_MONOTONIC
	altered bool
}

// inbox is all that one client received.
type inbox struct {
	first   map[int64]int64 // number -> its first arrival unaltered
	copies  map[int64]int
	altered map[int64]bool
	order   []int64 // numbers by their first arrival
	times   []int64 // of every arrival
	links   []link
}

func (l *Ledger) isClient(i int) error {
	if i < 0 || i >= len(l.Meta.Receivers) {
		return fmt.Errorf("no client of that name in %v", l.Meta.Receivers)
	}
	return nil
}

// inboxes sorts arrivals by client and time.
func (l *Ledger) inboxes() []inbox {
	out := make([]inbox, len(l.Meta.Receivers))
	for i := range out {
		out[i] = inbox{first: map[int64]int64{}, copies: map[int64]int{}, altered: map[int64]bool{}}
	}
	sorted := slices.Clone(l.Arrivals)
	slices.SortStableFunc(sorted, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
	for _, a := range sorted {
		b := &out[a.client]
		b.times = append(b.times, a.at)
		if a.altered {
			b.altered[a.seq] = true
			continue
		}
		if b.copies[a.seq]++; b.copies[a.seq] == 1 {
			b.first[a.seq] = a.at
			b.order = append(b.order, a.seq)
		}
	}
	for _, x := range l.Links {
		out[x.Client].links = append(out[x.Client].links, x)
	}
	return out
}

// delivered: a message is intact when every client got it, and missing when one did not.
func (l *Ledger) delivered(all []inbox) map[int64]fate {
	out := map[int64]fate{}
	for _, w := range l.Writes {
		f := intact
		for _, b := range all {
			_, got := b.first[w.Seq]
			switch {
			case !got && b.altered[w.Seq]:
				f = corrupt
			case !got:
				f = missing
			}
			if f == missing {
				break
			}
		}
		out[w.Seq] = f
	}
	return out
}

// deliver settles a canary whose messages are stored nowhere: what its clients received is all there is.
func (l *Ledger) deliver(out *drills.CanaryMeasured, acked []Sample, t drills.Timing) {
	clock := l.Meta.clock()
	out.ReadBack = drills.Interval{From: clock.Time(l.Back.From), To: clock.Time(l.Back.To)}
	all := l.inboxes()
	l.count(out, acked, l.delivered(all), t)
	writes := make(map[int64]Sample, len(l.Writes))
	for _, w := range l.Writes {
		writes[w.Seq] = w
	}
	twice, changed, odd, back := map[int64]bool{}, map[int64]bool{}, map[int64]bool{}, map[int64]bool{}
	for i, b := range all {
		c := l.client(i, b, acked, writes)
		out.Clients = append(out.Clients, c)
		out.Reordered = max(out.Reordered, c.Reordered)
		for seq, n := range b.copies {
			w, sent := writes[seq]
			twice[seq] = twice[seq] || n > 1
			odd[seq] = !sent || w.Class == Observer
			back[seq] = sent && w.Class != Good && w.Class != Timeout && w.Class != Observer
		}
		for seq := range b.altered {
			changed[seq] = true
		}
	}
	out.Duplicated, out.Corrupt, out.Phantom, out.Resurrected = trues(twice), trues(changed), trues(odd), trues(back)
}

func trues(m map[int64]bool) int {
	n := 0
	for _, v := range m {
		if v {
			n++
		}
	}
	return n
}

// client is one client's row.
func (l *Ledger) client(i int, b inbox, acked []Sample, writes map[int64]Sample) drills.ClientDelivery {
	c := drills.ClientDelivery{Client: l.Meta.Receivers[i], Reordered: disorder(spans(b.order), writes)}
	var took []time.Duration
	for _, w := range acked {
		at, got := b.first[w.Seq]
		switch {
		case got:
			c.Received++
			took = append(took, time.Duration(at-w.Send))
		case b.connected(w, l.Back.From):
			c.Lost, c.Connected = c.Lost+1, c.Connected+1
		default:
			c.Lost++
		}
	}
	for _, n := range b.copies {
		if n > 1 {
			c.Duplicated++
		}
	}
	for _, x := range b.links {
		if x.Up {
			c.Reconnects++
		}
	}
	c.Reconnects = max(0, c.Reconnects-1)
	gap, from := b.gap(l.Writes)
	c.Gap, c.GapFrom = drills.Duration(gap), l.Meta.clock().Time(from)
	if len(took) > 0 {
		c.P50, c.P95, c.Max = drills.Duration(Quantile(took, 0.5)), drills.Duration(Quantile(took, 0.95)), drills.Duration(slices.Max(took))
	}
	return c
}

// connected tells whether a message was published while the connection stood, as far as the client knew, and for long
// enough that the server had its subscription.
func (b inbox) connected(w Sample, end int64) bool {
	up := int64(0)
	for _, x := range b.links {
		switch {
		case x.Up:
			up = x.At
		case up != 0:
			if w.Send >= up+int64(wsSettle) && w.Done <= x.At {
				return true
			}
			up = 0
		}
	}
	return up != 0 && w.Send >= up+int64(wsSettle) && w.Done <= end
}

// gap is the longest time without any message between the first and the last that were published.
func (b inbox) gap(writes []Sample) (longest time.Duration, from int64) {
	begin, end := int64(0), int64(0)
	for _, w := range writes {
		if w.Class == Observer {
			continue
		}
		if begin == 0 || w.Send < begin {
			begin = w.Send
		}
		end = max(end, w.Send)
	}
	last := begin
	for _, at := range append(slices.Clone(b.times), end) {
		if at = min(at, end); at-last > int64(longest) {
			longest, from = time.Duration(at-last), last
		}
		last = max(last, at)
	}
	if from == 0 {
		from = begin
	}
	return longest, from
}
