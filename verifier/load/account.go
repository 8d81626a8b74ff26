package load

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync"
	"time"
)

// account adds up what all shares of the connections report, and knows what was published: who should have got each
// message is decided by the times at which connections opened and ended, all on one clock.
type account struct {
	clock  clock
	marker string
	ramped chan struct{} // closed when every share has tried all its connections

	mu        sync.Mutex
	published []publication
	shares    []share
	unramped  int
	base      int // connections open when the log begins
	peak      int
	sum       tally // of everything that just adds up
	got       map[int64]int64
	errors    map[string]int
	delivery  counts
	arrival   counts
	lag       counts
	connects  counts
	second    counts  // deliveries since the last point
	log       []step  // of all shares, until it is too long
	lost      []error // shares that ended before their time
}

// publication is one message.
type publication struct {
	at       int64 // ns of CLOCK_MONOTONIC: just before it was sent
	expected int   // connections open then, over the shares that have told so far
	accepted bool  // the target answered 2xx
}

// share is what is known of one share of the connections.
type share struct {
	open   int
	first  int64
	next   int // the first publication of which it has not told how many connections were open
	ramped bool
	over   bool
	last   tally // for what does not add up: its processor time and memory
}

// capacity is how many messages one run may publish.
const capacity = 1024 * 1024

// maxLog bounds what is kept to find storms in.
const maxLog = 4 << 20

func newAccount(shares int) *account {
	var id [6]byte
	_, _ = rand.Read(id[:]) // never fails
	return &account{
		clock: newClock(), marker: "simulacro:" + hex.EncodeToString(id[:]) + ":", ramped: make(chan struct{}), unramped: shares,
		shares: make([]share, shares), errors: map[string]int{}, got: map[int64]int64{},
	}
}

// publish numbers a message that is about to be sent. ok is false when the run has published all it may.
func (a *account) publish() (seq, at int64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.published) >= capacity {
		return 0, 0, false
	}
	p := publication{at: a.clock.now()}
	a.published = append(a.published, p)
	return int64(len(a.published) - 1), p.at, true
}

func (a *account) accepted(seq int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.published[seq].accepted = true
}

// content is what a message says: marker, number, when it was due and published; then padding up to size bytes.
func (a *account) content(seq, due, at int64, size int) string {
	s := fmt.Sprintf("%s%d:%d:%d:", a.marker, seq, due, at)
	if pad := size - len(s); pad > 0 {
		s += string(bytes.Repeat([]byte("x"), pad))
	}
	return s
}

// take adds a tally of share i.
func (a *account) take(i int, t tally) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := &a.shares[i]
	s.open, s.first, s.last = t.Open, t.First, t
	if t.Ramped && !s.ramped {
		a.base += t.Open
	}
	for _, x := range t.Steps {
		a.promise(s, x.At)
		s.open += x.What
	}
	a.promise(s, t.Upto)
	if len(a.log)+len(t.Steps) <= maxLog {
		a.log = append(a.log, t.Steps...)
	}
	for _, g := range t.Got {
		a.got[g[0]] += g[1]
	}
	a.add(t)
	if t.Ramped {
		a.markRamped(s)
	}
	open := 0
	for _, s := range a.shares {
		open += s.open
	}
	a.peak = max(a.peak, open)
}

// promise settles, for the messages published before time t, how many connections the share had.
func (a *account) promise(s *share, t int64) {
	for ; s.next < len(a.published) && a.published[s.next].at < t; s.next++ {
		a.published[s.next].expected += s.open
	}
}

func (a *account) add(t tally) {
	a.sum.Duplicated += t.Duplicated
	a.sum.Reordered += t.Reordered
	a.sum.Failed += t.Failed
	a.sum.Drops += t.Drops
	a.sum.Cut += t.Cut
	a.sum.Reconnects += t.Reconnects
	a.sum.Sockets += t.Sockets
	a.sum.Tokens += t.Tokens
	a.delivery.add(t.Delivery)
	a.second.add(t.Delivery)
	a.arrival.add(t.Arrival)
	a.lag.add(t.Lag)
	a.connects.add(t.Connecting)
	for text, n := range t.Errors {
		count(a.errors, text, n)
	}
}

func (a *account) markRamped(s *share) {
	if s.ramped {
		return
	}
	s.ramped = true
	if a.unramped--; a.unramped == 0 {
		close(a.ramped)
	}
}

// ended tells that share i has given its last tally; err says that it was not asked to.
func (a *account) ended(i int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := &a.shares[i]
	s.over, s.open = true, 0
	a.promise(s, 1<<62)
	a.markRamped(s)
	if err != nil {
		a.lost = append(a.lost, err)
		count(a.errors, fmt.Sprintf("generator: a part of it ended: %.200s", err), 1)
	}
}

// note counts a text.
func (a *account) note(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	count(a.errors, text, 1)
}

// settled counts over the messages that the target accepted; one it refused promises nothing to anybody. told is false
// while a share has not reported as far as the last publication.
func (a *account) settled() (expected, got int64, told bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	told = true
	for _, s := range a.shares {
		told = told && s.next >= len(a.published)
	}
	for seq, p := range a.published {
		if p.accepted {
			expected += int64(p.expected)
			got += a.got[int64(seq)]
		}
	}
	return expected, got, told
}

// held is how many connections are open, as far as the shares have told, how many were at the same time at most, and
// since when there is one.
func (a *account) held() (open, peak int, first time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var from int64
	for _, s := range a.shares {
		open += s.open
		if s.first != 0 && (from == 0 || s.first < from) {
			from = s.first
		}
	}
	if from != 0 {
		first = a.clock.wall(from)
	}
	return open, a.peak, first
}

// since takes the deliveries since the last call.
func (a *account) since() counts {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.second
	a.second = nil
	return c
}
