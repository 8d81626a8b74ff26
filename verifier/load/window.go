package load

// window remembers which of the last 64 messages a connection has got, to tell a duplicate from a late one.
type window struct {
	first int64  // the first message that this connection must get
	low   int64  // the message that bit 0 stands for
	mask  uint64 // bit i: message low+i has arrived
}

func newWindow(first int64) window { return window{first: first, low: first} }

// windowSpan is how far back a duplicate is recognised.
const windowSpan = 64

// fresh marks a message and tells whether it is the first of its number. One that is older than the window counts as
// a repetition: publishing never runs that far ahead of itself.
func (w *window) fresh(seq int64) bool {
	if seq < w.low {
		return false
	}
	if over := seq - (w.low + windowSpan - 1); over > 0 {
		if over >= windowSpan {
			w.mask = 0
		} else {
			w.mask >>= uint(over)
		}
		w.low += over
	}
	bit := uint64(1) << uint(seq-w.low)
	if w.mask&bit != 0 {
		return false
	}
	w.mask |= bit
	return true
}
