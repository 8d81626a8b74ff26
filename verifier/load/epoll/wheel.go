package epoll

// none ends a list of connections.
const none = int32(-1)

const (
	slotTime = int64(10e6) // ns
	slots    = 1024        // one turn is ten seconds; what is further away goes round again
)

// wheel is a timer wheel over the connections' own links: no allocation, no heap. A connection is in it at most once.
type wheel struct {
	heads [slots]int32
	at    int64 // the slot, counted from the clock's zero, up to which everything has fired
	n     int
}

func newWheel(now int64) *wheel {
	w := &wheel{at: now / slotTime}
	for i := range w.heads {
		w.heads[i] = none
	}
	return w
}

// head is the list that a time belongs to.
func (w *wheel) head(due int64) *int32 { return &w.heads[(due/slotTime+1)%slots] }

// set arms connection id for due, ns on the loop's clock (above zero): it fires at most one slot late, never early.
func (w *wheel) set(conns []conn, id int32, due int64) {
	w.clear(conns, id)
	c := &conns[id]
	c.due = max(due, w.at*slotTime, 1)
	head := w.head(c.due)
	c.next, c.prev = *head, none
	if c.next != none {
		conns[c.next].prev = id
	}
	*head = id
	w.n++
}

// clear disarms connection id; one that is not armed stays so.
func (w *wheel) clear(conns []conn, id int32) {
	c := &conns[id]
	if c.due == 0 {
		return
	}
	if c.prev == none {
		*w.head(c.due) = c.next
	} else {
		conns[c.prev].next = c.next
	}
	if c.next != none {
		conns[c.next].prev = c.prev
	}
	c.due, c.next, c.prev = 0, none, none
	w.n--
}

// advance fires everything that is due by now. fire may arm and disarm anything.
func (w *wheel) advance(conns []conn, now int64, fire func(id int32)) {
	until := now / slotTime
	if until-w.at > slots { // asleep for more than a turn: one turn meets everything
		w.at = until - slots
	}
	for w.at < until {
		w.at++
		head := &w.heads[w.at%slots]
		for id := *head; id != none; {
			if conns[id].due/slotTime+1 > w.at { // in a later turn
				id = conns[id].next
				continue
			}
			w.clear(conns, id)
			fire(id)
			id = *head // the list may have changed; what is left of it is few
		}
	}
}
