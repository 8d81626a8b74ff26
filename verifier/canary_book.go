package verifier

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// book remembers when each number was sent, so that what is read back can be checked against it.
type book struct {
	run string

	mu     sync.Mutex
	sent   map[int64]int64  // seq -> CLOCK_MONOTONIC written into the value
	places map[int64]string // seq -> position in the store, until it is reported
}

func newBook(run string) *book {
	return &book{run: run, sent: map[int64]int64{}, places: map[int64]string{}}
}

// stored remembers the position that the store acknowledged.
func (b *book) stored(seq int64, position string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.places[seq] = position
}

// position forgets and returns it.
func (b *book) position(seq int64) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.places[seq]
	delete(b.places, seq)
	return p
}

func (b *book) note(seq, at int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent[seq] = at
}

// seqs are all numbers sent, ascending.
func (b *book) seqs() []int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.sent))
}

func (b *book) at(seq int64) (int64, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, ok := b.sent[seq]
	return at, ok
}

// digest is the SHA-256 (hex) that goes with a number, its run and its time of sending.
func (b *book) digest(seq, at int64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %d", seq, b.run, at))
	return hex.EncodeToString(sum[:])
}

// value is what is stored for a number: "seq run sent sha256".
func (b *book) value(seq, at int64) string {
	return fmt.Sprintf("%d %s %d %s", seq, b.run, at, b.digest(seq, at))
}

// intact tells whether a stored value is exactly what was sent for that number.
func (b *book) intact(seq int64, value string) bool {
	at, ok := b.at(seq)
	return ok && value == b.value(seq, at)
}

// copyOf is the number of which a stored value is an exact copy.
func (b *book) copyOf(stored any) (int64, bool) {
	value, _ := stored.(string)
	first, _, _ := strings.Cut(value, " ")
	seq, err := strconv.ParseInt(first, 10, 64)
	return seq, err == nil && b.intact(seq, value)
}

// seqOf reads the number at the end of a key with this prefix.
func seqOf(key, prefix string) (int64, bool) {
	rest, ok := strings.CutPrefix(key, prefix)
	if !ok {
		return 0, false
	}
	seq, err := strconv.ParseInt(rest, 10, 64)
	return seq, err == nil && seq >= 0
}
