package drills

import "encoding/json"

// Losses are bounds on canaries, at most one for each. A drill file may give a single one without a list, as journals
// written before there were lists do.
type Losses []Loss

// UnmarshalJSON reads a list or a single bound.
func (l *Losses) UnmarshalJSON(b []byte) error {
	var one Loss
	if json.Unmarshal(b, &one) == nil {
		*l = Losses{one}
		return nil
	}
	return json.Unmarshal(b, (*[]Loss)(l))
}

// Canaries are the names of the canaries that are bounded.
func (l Losses) Canaries() []string {
	out := make([]string, len(l))
	for i, x := range l {
		out[i] = x.Canary
	}
	return out
}
