package load

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// book keeps what happened: to the connections, and to every published message.
type book struct {
	base   time.Time // messages carry their due time as nanoseconds since then
	marker []byte    // begins the content of our messages: those of another run are not ours
	wanted int

	mu     sync.Mutex // guards what follows; held for a few instructions only
	next   int64      // number of the next message
	open   int        // connections open and subscribed
	peak   int
	first  time.Time // a connection was held
	errors map[string]int

	pages       [1024]atomic.Pointer[page] // of messages, by number
	untried     atomic.Int64               // connections whose first attempt is not over
	ramped      chan struct{}              // closed when there is none left
	failedDials atomic.Int64               // of the target's making
	drops       atomic.Int64
	reconnects  atomic.Int64
	duplicates  atomic.Int64
	delivery    *latencies
	connecting  *timing
	limits      limits
}

// message is one publication: who should have got it, and how many did.
type message struct {
	expected atomic.Int64
	got      atomic.Int64
	accepted atomic.Bool // the target answered 2xx
}

type page [1024]message

// capacity is how many messages one run may publish.
const capacity = 1024 * 1024

func newBook(connections int) *book {
	var id [6]byte
	_, _ = rand.Read(id[:]) // never fails
	b := &book{
		base: time.Now(), marker: []byte("simulacro:" + hex.EncodeToString(id[:]) + ":"), wanted: connections,
		errors: map[string]int{}, ramped: make(chan struct{}), delivery: newLatencies(), connecting: newTiming(),
	}
	b.untried.Store(int64(connections))
	return b
}

// tried tells that one connection's first attempt is over, well or badly.
func (b *book) tried() {
	if b.untried.Add(-1) == 0 {
		close(b.ramped)
	}
}

// joined tells that a connection is open and subscribed, and returns the first message that it must get.
func (b *book) joined(took time.Duration) int64 {
	b.connecting.add(took)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.first.IsZero() {
		b.first = time.Now()
	}
	b.open++
	b.peak = max(b.peak, b.open)
	return b.next
}

// left tells that a connection which had joined is not open any more.
func (b *book) left() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open--
}

// dropped tells that the target ended a connection that had joined.
func (b *book) dropped(why error) {
	b.drops.Add(1)
	b.note("dropped: " + reason(why))
}

// failed tells that an attempt to connect failed.
func (b *book) failed(err error) {
	if ours(err) {
		if unauthorised(err) {
			b.limits.tokens.Add(1)
		} else {
			b.limits.sockets.Add(1)
		}
		b.note("generator: " + reason(err))
		return
	}
	b.failedDials.Add(1)
	b.note(reason(err))
}

// maxTexts bounds the different error texts that are kept.
const maxTexts = 50

func (b *book) note(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.errors[text]; !ok && len(b.errors) >= maxTexts {
		text = "other"
	}
	b.errors[text]++
}

// publish numbers a message and fixes, at this instant, who must get it. nil when the run has published all it may.
func (b *book) publish() (int64, *message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next >= capacity {
		return 0, nil
	}
	seq := b.next
	b.next++
	slot := &b.pages[seq/1024]
	if slot.Load() == nil {
		slot.Store(new(page))
	}
	m := &slot.Load()[seq%1024]
	m.expected.Store(int64(b.open))
	return seq, m
}

// content is what a message says: marker, number, due time; then padding up to size bytes.
func (b *book) content(seq int64, due time.Time, size int) string {
	s := fmt.Sprintf("%s%d:%d:", b.marker, seq, due.Sub(b.base))
	if pad := size - len(s); pad > 0 {
		s += string(bytes.Repeat([]byte("x"), pad))
	}
	return s
}

// arrived takes what a connection received. It is true if that was a message of ours. The latency runs from when the
// message was due, not from when it was sent.
func (b *book) arrived(conn int, w *window, payload []byte, now time.Time) bool {
	i := bytes.Index(payload, b.marker)
	if i < 0 {
		return false
	}
	seq, due, ok := parse(payload[i+len(b.marker):])
	if !ok {
		return true
	}
	m := b.message(seq)
	switch {
	case m == nil: // not a number we gave
	case seq < w.first: // published before this connection had joined: nobody promised it
	case !w.fresh(seq):
		b.duplicates.Add(1)
	default:
		m.got.Add(1)
		b.delivery.add(conn, now.Sub(b.base.Add(due)))
	}
	return true
}

func (b *book) message(seq int64) *message {
	if seq < 0 || seq >= capacity {
		return nil
	}
	p := b.pages[seq/1024].Load()
	if p == nil {
		return nil
	}
	return &p[seq%1024]
}

// parse reads "<seq>:<due>:".
func parse(s []byte) (seq int64, due time.Duration, ok bool) {
	a, rest, ok1 := bytes.Cut(s, []byte(":"))
	d, _, ok2 := bytes.Cut(rest, []byte(":"))
	seq, err1 := strconv.ParseInt(string(a), 10, 64)
	ns, err2 := strconv.ParseInt(string(d), 10, 64)
	return seq, time.Duration(ns), ok1 && ok2 && err1 == nil && err2 == nil
}

// settled counts over the messages that the target accepted; one it refused promises nothing to anybody.
func (b *book) settled() (expected, got int64) {
	b.mu.Lock()
	n := b.next
	b.mu.Unlock()
	for seq := range n {
		if m := b.message(seq); m.accepted.Load() {
			expected += m.expected.Load()
			got += m.got.Load()
		}
	}
	return expected, got
}

// held is how many connections are open now, and how many were at most.
func (b *book) held() (open, peak int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open, b.peak
}
