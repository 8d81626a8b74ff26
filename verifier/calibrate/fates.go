package calibrate

import "github.com/eevans-d/simulacro/drills"

// fate is what becomes of one acknowledged write.
type fate uint8

const (
	kept fate = iota
	gone
	bent          // altered on both members
	bentOnReplica // altered on the replica
	behind        // not on the replica
)

// fates are those of a store's acknowledged writes, in the order of acknowledgement. The first mark stays.
type fates struct {
	s      *store
	state  []fate
	copied map[int]bool
}

func (f *fates) mark(from, to int, what fate) {
	for i := from; i < to; i++ {
		if f.state[i] == kept {
			f.state[i] = what
		}
	}
}

// carryOut changes the data and counts what that amounts to.
func (f *fates) carryOut(truth *Counts) {
	primary, replica := f.s.primary.data, f.s.replica.data
	for i, a := range f.s.acked {
		switch f.state[i] {
		case kept:
		case gone:
			delete(primary, a.key)
			delete(replica, a.key)
			truth.Lost++
		case bent:
			primary[a.key], replica[a.key] = a.value+"x", "x"+a.value
			truth.Corrupt++
		case bentOnReplica:
			replica[a.key] = a.value[:len(a.value)-1]
			truth.Corrupt++
		case behind:
			delete(replica, a.key)
			truth.Stale++
		}
	}
}

// point is when the newest write before the first one that no member holds intact was acknowledged; zero when even the
// first write is not intact.
func (f *fates) point() drills.Span {
	var at drills.Span
	for i, a := range f.s.acked {
		if f.state[i] == gone || f.state[i] == bent {
			break
		}
		at = a.at
	}
	return at
}
