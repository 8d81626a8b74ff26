package open

import "context"

// Class is what became of an operation. The words are those of the probes.
type Class uint8

// Good: answered as asked. Failed: answered wrongly (5xx, error reply) or broken off. Refused: no connection. Timeout: no
// answer in time. Throttled: 429 or Retry-After; Unauthorised, Malformed: ours, they say nothing of what the target can
// carry. Observer: the generator could not even send. Unserved: still queued when the load ended.
const (
	Good Class = iota
	Failed
	Refused
	Timeout
	Throttled
	Unauthorised
	Malformed
	Observer
	Unserved
	classes
)

func (c Class) String() string {
	return [...]string{"good", "failed", "refused", "timeout", "throttled", "unauthorised", "malformed", "observer", "unserved"}[c]
}

// Outcome of one operation.
type Outcome struct {
	Class Class
	Op    int    // which of the flow's operations it was
	Text  string // of what was not good, without addresses: equal causes are counted together
}

// Client is one kept connection. It is used by one goroutine.
type Client interface {
	// Do performs the operations first, first+1, … in one round trip and classifies each in out. It returns within ctx.
	Do(ctx context.Context, first int64, out []Outcome)
	Close()
}
