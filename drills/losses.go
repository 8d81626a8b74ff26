package drills

import "encoding/json"

// Losses are bounds on canaries, at most one for each. A drill file may give a single one without a list, as journals
// written before there were lists do.
type Losses []Loss

// UnmarshalJSON reads a list or a single bound.
func (l *Losses) UnmarshalJSON(b []byte) error { return oneOrMany(b, (*[]Loss)(l)) }

// LoadBounds are bounds on load steps, at most one for each; like Losses, one or a list.
type LoadBounds []LoadBound

// UnmarshalJSON reads a list or a single bound.
func (l *LoadBounds) UnmarshalJSON(b []byte) error { return oneOrMany(b, (*[]LoadBound)(l)) }

func oneOrMany[T any](b []byte, into *[]T) error {
	var one T
	if json.Unmarshal(b, &one) == nil {
		*into = []T{one}
		return nil
	}
	return json.Unmarshal(b, into)
}

// Canaries are the names of the canaries that are bounded.
func (l Losses) Canaries() []string {
	out := make([]string, len(l))
	for i, x := range l {
		out[i] = x.Canary
	}
	return out
}
