package load

import "math/bits"

// seen is what is remembered of a connection's messages: small and without pointers, one per connection in a flat slice.
type seen struct {
	joined int64  // when it was open and subscribed, ns of CLOCK_MONOTONIC; zero: it is not
	mask   uint64 // bit i: message low+i has arrived
	low    int32  // the message that bit 0 stands for
	any    bool   // a message has arrived
	tried  bool   // its first attempt is over
	back   bool   // it was dropped before
}

// seenSpan is how far back a duplicate is recognised.
const seenSpan = 64

// fresh marks a message and tells whether it is the first of its number, and whether a later one came before it. One that
// is older than the span counts as a repetition: publishing never runs that far ahead of itself.
func (s *seen) fresh(seq int32) (first, reordered bool) {
	if !s.any {
		s.any, s.low = true, max(seq-seenSpan+1, 0)
	}
	if seq < s.low {
		return false, false
	}
	if over := seq - (s.low + seenSpan - 1); over > 0 {
		if over >= seenSpan {
			s.mask = 0
		} else {
			s.mask >>= uint(over)
		}
		s.low += over
	}
	bit := uint64(1) << uint(seq-s.low)
	if s.mask&bit != 0 {
		return false, false
	}
	newest := s.low + int32(bits.Len64(s.mask)) - 1
	s.mask |= bit
	return true, s.mask != bit && seq < newest
}

// join begins a new life: what the connection got before does not count.
func (s *seen) join(at int64) { *s = seen{joined: at, tried: s.tried, back: s.back} }
