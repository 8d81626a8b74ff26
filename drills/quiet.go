package drills

import "fmt"

// Kinds of clients that fall silent.
const (
	SlowClients     = "slow consumers"    // they read slowly or not at all
	HalfOpenClients = "half-open sockets" // they have vanished without a word
	ExpiredClients  = "sockets with an expired token"
)

// QuietClients is what became of clients that fell silent, or whose token expired, which then counts as when they did. Spans run from when each of them did until the target had ended its
// connection: at least until it was last known to have it, at most until the client knew of the end.
type QuietClients struct {
	Kind       string        `json:"kind"`
	Since      Interval      `json:"since"`                // the first and the last fell silent
	Silent     int           `json:"silent"`               // clients whose silence is proven
	Unproven   int           `json:"unproven,omitempty"`   // connected, and not proven to be silent
	Ended      int           `json:"ended"`                // by the target
	Held       int           `json:"held"`                 // still held by the target when they were let go: zombies
	Unclear    int           `json:"unclear,omitempty"`    // nobody knows: the path to the target was silent too
	First      Span          `json:"first,omitzero"`       // until the target had ended the first,
	Half       Span          `json:"half,omitzero"`        // half
	Last       Span          `json:"last,omitzero"`        // and the last of those that it ended
	Ends       []CountedText `json:"ends,omitempty"`       // how it ended them
	Unread     int64         `json:"unread,omitempty"`     // bytes in the clients' own sockets, at most
	Closed     int           `json:"closed,omitempty"`     // clients whose receive window was seen closed
	Unanswered int64         `json:"unanswered,omitempty"` // segments of the target that nobody answered
}

// String says it in one line.
func (q QuietClients) String() string {
	s := fmt.Sprintf("%d %s: %d ended by the target, %d still held", q.Silent, q.Kind, q.Ended, q.Held)
	if q.Ended > 0 {
		s += fmt.Sprintf("; the first ended after %s, half after %s, the last after %s", q.First, q.Half, q.Last)
	}
	if q.Unclear+q.Unproven > 0 {
		s += fmt.Sprintf("; unknown of %d, not proven silent %d", q.Unclear, q.Unproven)
	}
	switch q.Kind {
	case ExpiredClients:
		return s
	case SlowClients:
		return s + fmt.Sprintf("; %d closed their window, %d bytes unread", q.Closed, q.Unread)
	}
	return s + fmt.Sprintf("; %d segments unanswered", q.Unanswered)
}
