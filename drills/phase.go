package drills

import "slices"

// Phase is where a run is.
type Phase string

// The phases of a run, in their order. Any phase may go to restoring, and restoring always runs.
const (
	Planned   Phase = "planned"
	Ready     Phase = "ready"
	Steady    Phase = "steady"
	Injecting Phase = "injecting"
	Observing Phase = "observing"
	Restoring Phase = "restoring"
	Verifying Phase = "verifying"
	Closed    Phase = "closed"
)

// Phases lists every phase in order.
func Phases() []Phase {
	return []Phase{Planned, Ready, Steady, Injecting, Observing, Restoring, Verifying, Closed}
}

// Next lists where a phase may go. It is the one table; the engine refuses the rest, and
// ARCHITECTURE.md's picture is made from it by a test.
func (p Phase) Next() []Phase {
	switch p {
	case Planned:
		return []Phase{Ready, Restoring}
	case Ready:
		return []Phase{Steady, Restoring}
	case Steady:
		return []Phase{Injecting, Restoring}
	case Injecting:
		return []Phase{Observing, Restoring}
	case Observing:
		return []Phase{Restoring}
	case Restoring:
		return []Phase{Verifying}
	case Verifying:
		return []Phase{Closed}
	}
	return nil
}

// To tells whether the move is allowed, as an error that names both.
func (p Phase) To(q Phase) error {
	if slices.Contains(p.Next(), q) {
		return nil
	}
	return Errorf(Internal, "", "a run cannot go from %s to %s", p, q)
}
