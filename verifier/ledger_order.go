package verifier

// reordered is how many acknowledged writes stand behind one that was sent only after their acknowledgement: in an order
// that no log may show. Writes that were under way at the same time may stand either way round. Of several members, the
// worst counts.
func (l *Ledger) reordered() int {
	var writes map[int64]Sample
	worst := 0
	for _, h := range l.Back.Members {
		if !h.Counts || len(h.Order) == 0 {
			continue
		}
		if writes == nil {
			writes = make(map[int64]Sample, len(l.Writes))
			for _, w := range l.Writes {
				writes[w.Seq] = w
			}
		}
		worst = max(worst, disorder(h.Order, writes))
	}
	return worst
}

// disorder counts, along runs of numbers in their stored order, the acknowledged ones that end before an earlier one began.
func disorder(order [][2]int64, writes map[int64]Sample) int {
	n, newest := 0, int64(0)
	for _, run := range order {
		for seq := run[0]; seq <= run[1]; seq++ {
			w, ok := writes[seq]
			if !ok {
				continue
			}
			if w.Class == Good && w.Done < newest {
				n++
			}
			newest = max(newest, w.Send)
		}
	}
	return n
}
