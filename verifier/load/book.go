package load

import (
	"bytes"
	"strconv"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// book keeps what happened to the connections that this process holds, until it is asked for a tally.
type book struct {
	clock  clock
	marker []byte        // begins the content of our messages: those of another run are not ours
	ramped chan struct{} // closed when every connection was tried

	mu       sync.Mutex // guards what follows; held for a few instructions only
	t        tally
	open     int
	untried  int
	first    int64
	errors   map[string]int
	got      map[int32]int64
	delivery *hdrhistogram.Histogram
	arrival  *hdrhistogram.Histogram
	lag      *hdrhistogram.Histogram
	connects *hdrhistogram.Histogram
}

func newBook(marker string, connections int) *book {
	return &book{
		clock: newClock(), marker: []byte(marker), untried: connections, ramped: make(chan struct{}),
		errors: map[string]int{}, got: map[int32]int64{},
		delivery: newHistogram(), arrival: newHistogram(), lag: newHistogram(), connects: newHistogram(),
	}
}

// tried tells that one connection's first attempt is over, well or badly; only the first time counts.
func (b *book) tried(s *seen) {
	if s.tried {
		return
	}
	s.tried = true
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.untried--; b.untried == 0 {
		close(b.ramped)
	}
}

func (b *book) step(at int64, what int) {
	if b.untried == 0 {
		b.t.Steps = append(b.t.Steps, step{at, what})
	} else {
		b.t.Open = b.open
	}
}

// joined tells that a connection is open and subscribed, and that opening it took so long. From now on every message that
// is published is promised to it.
func (b *book) joined(s *seen, took time.Duration) {
	b.tried(s)
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock.now()
	s.join(now)
	record(b.connects, took)
	if b.first == 0 {
		b.first = now
	}
	b.open++
	b.step(now, +1)
	if s.back {
		b.t.Reconnects++
	}
}

// ended tells how a connection ended that had joined; cut says that we ended it.
func (b *book) ended(s *seen, err error, cut bool) {
	text := "dropped: " + reason(err)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open--
	b.step(b.clock.now(), -1)
	s.joined, s.back = 0, true
	if cut {
		b.t.Cut++
		return
	}
	b.t.Drops++
	b.note(text)
}

// failed tells that an attempt to connect failed.
func (b *book) failed(s *seen, err error) {
	b.tried(s)
	text, own, token := reason(err), ours(err), unauthorised(err)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case token:
		b.t.Tokens++
	case own:
		b.t.Sockets++
	default:
		b.t.Failed++
		b.step(b.clock.now(), 0)
		b.note(text)
		return
	}
	b.note("generator: " + text)
}

// maxTexts bounds the different error texts that are kept.
const maxTexts = 50

func (b *book) note(text string) { count(b.errors, text, 1) }

func count(in map[string]int, text string, n int) {
	if _, ok := in[text]; !ok && len(in) >= maxTexts {
		text = "other"
	}
	in[text] += n
}

// arrived takes what a connection received. It is true if that was a message of ours. The latency runs from when the
// message was due, not from when it was sent. kernel is when the kernel had it, zero where that is not known.
func (b *book) arrived(s *seen, payload []byte, read, kernel int64) bool {
	i := bytes.Index(payload, b.marker)
	if i < 0 {
		return false
	}
	m, ok := parse(payload[i+len(b.marker):])
	if !ok || s.joined == 0 || m.at < s.joined { // not promised to it: published before it had joined
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	first, reordered := s.fresh(int32(m.seq))
	if !first {
		b.t.Duplicated++
		return true
	}
	if reordered {
		b.t.Reordered++
	}
	b.got[int32(m.seq)]++
	record(b.delivery, time.Duration(read-m.due))
	if kernel != 0 {
		record(b.arrival, time.Duration(kernel-m.due))
		record(b.lag, time.Duration(read-kernel))
	}
	return true
}

// tally takes everything since the last one.
func (b *book) tally() tally {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.t
	t.Upto, t.First, t.Ramped = b.clock.now(), b.first, b.untried == 0
	for seq, n := range b.got {
		t.Got = append(t.Got, [2]int64{int64(seq), n})
	}
	clear(b.got)
	t.Delivery, t.Arrival, t.Lag, t.Connecting = emptied(b.delivery), emptied(b.arrival), emptied(b.lag), emptied(b.connects)
	t.Errors, b.errors = b.errors, map[string]int{}
	b.t = tally{Open: b.open}
	return t
}

// label is what a message carries, besides the marker: its number, and when it was due and published.
type label struct{ seq, due, at int64 }

// parse reads "<seq>:<due>:<at>:".
func parse(s []byte) (label, bool) {
	var n [3]int64
	for i := range n {
		field, rest, ok := bytes.Cut(s, []byte(":"))
		v, err := strconv.ParseInt(string(field), 10, 64)
		if !ok || err != nil {
			return label{}, false
		}
		n[i], s = v, rest
	}
	return label{n[0], n[1], n[2]}, n[0] >= 0 && n[0] < capacity
}
