package verifier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// expiryEvery is how often a write renews the stream's expiry, which entries do not have.
const expiryEvery = 64

// streamStore appends numbered entries to one stream and keeps the id of each. A write that was not acknowledged is tried
// again where the system file asks for it: when the first one had been stored after all, its number is there twice.
type streamStore struct {
	*redisStore
	key string
}

func newStreamStore(s drills.CanarySpec, b *book) (*streamStore, error) {
	r, err := newRedisStore(s, b)
	if err != nil {
		return nil, err
	}
	r.trial = []string{"XADD", r.prefix + "open", "*", "n", "0"}
	return &streamStore{redisStore: r, key: r.prefix + "entries"}, nil
}

// check appends number seq. Timeout means: sent at least once, never acknowledged.
func (s *streamStore) check(ctx context.Context, seq int64) result {
	tries := s.spec.Retries + 1
	var sent *result
	for {
		r := s.attempt(ctx, seq, s.spec.Timeout.D()/time.Duration(s.spec.Retries+1))
		if tries--; r.class == Good {
			return r
		}
		if r.class == Timeout {
			sent = &r
		}
		switch {
		case tries > 0 && ctx.Err() == nil:
		case sent != nil:
			return *sent
		default:
			return r
		}
	}
}

func (s *streamStore) attempt(ctx context.Context, seq int64, within time.Duration) result {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	link, _, err := s.pool.get(ctx)
	if err != nil {
		return beforeSending(redisError(err, true))
	}
	at, known := s.book.at(seq)
	if !known {
		at = drills.Monotonic()
		s.book.note(seq, at)
	}
	server := link.c.RemoteAddr().String()
	err = s.pool.use(ctx, patience(within), link, func(ctx context.Context, link *respConn) error {
		if d, ok := ctx.Deadline(); ok {
			_ = link.c.SetDeadline(d)
		}
		return s.add(link, seq, at)
	}, s.usable)
	var reply replyError
	switch {
	case err == nil:
		return result{Good, server}
	case errors.As(err, &reply):
		return redisReply(reply)
	}
	return result{Timeout, transport(err, true).text}
}

func (s *streamStore) add(link *respConn, seq, at int64) error {
	commands := [][]string{{"XADD", s.key, "*", "n", itoa(seq), "v", s.book.value(seq, at)}}
	if seq%expiryEvery == 0 {
		commands = append(commands, []string{"PEXPIRE", s.key, canaryExpiryMS})
	}
	replies, err := link.do(commands...)
	if len(replies) == 0 {
		return err
	}
	id, ok := replies[0].(string)
	if !ok {
		return err
	}
	s.book.stored(seq, id) // an expiry that was refused does not undo the entry
	return nil
}

// read takes stock of one member: every entry, in the stream's order.
func (s *streamStore) read(ctx context.Context, m MemberAddr, h *Holding) error {
	link, err := s.member(ctx, m)
	if err != nil {
		return err
	}
	defer link.close()
	var order []int64
	fates := map[int64]fate{}
	for from := "-"; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, err := s.page(link, from)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if s.take(e, fates, h) {
				order = append(order, e.seq)
			}
		}
		if len(entries) < readChunk {
			break
		}
		from = "(" + entries[len(entries)-1].id
	}
	h.Order = spans(order)
	slices.Sort(order)
	h.Held = spans(order)
	return nil
}

// take sorts one entry in and tells whether it is the first intact one of its number.
func (s *streamStore) take(e streamEntry, fates map[int64]fate, h *Holding) bool {
	_, sent := s.book.at(e.seq)
	before := fates[e.seq]
	switch {
	case !sent:
		h.phantom(e.id)
		return false
	case before != missing:
		h.Duplicated = append(h.Duplicated, e.seq)
		return false
	case !s.book.intact(e.seq, e.value):
		fates[e.seq] = corrupt
		h.Corrupt = append(h.Corrupt, e.seq)
		return false
	}
	fates[e.seq] = intact
	return true
}

// streamEntry is one entry; seq is -1 when it is none of ours.
type streamEntry struct {
	id    string
	seq   int64
	value string
}

func (s *streamStore) page(link *respConn, from string) ([]streamEntry, error) {
	link.until(readTimeout)
	replies, err := link.do([]string{"XRANGE", s.key, from, "+", "COUNT", itoa(readChunk)})
	if err != nil {
		return nil, err
	}
	rows, ok := replies[0].([]any)
	if !ok {
		return nil, errors.New("strange answer to XRANGE")
	}
	out := make([]streamEntry, len(rows))
	for i, row := range rows {
		if out[i], ok = entryOf(row); !ok {
			return nil, fmt.Errorf("strange entry in answer to XRANGE: %v", row)
		}
	}
	return out, nil
}

// entryOf reads [id [field value …]].
func entryOf(row any) (streamEntry, bool) {
	pair, ok := row.([]any)
	if !ok || len(pair) != 2 {
		return streamEntry{}, false
	}
	id, ok := pair[0].(string)
	fields, list := pair[1].([]any)
	if !ok || !list {
		return streamEntry{}, false
	}
	e := streamEntry{id: id, seq: -1}
	for i := 0; i+1 < len(fields); i += 2 {
		text, _ := fields[i+1].(string)
		switch fields[i] {
		case "n":
			if seq, ok := seqOf(text, ""); ok {
				e.seq = seq
			}
		case "v":
			e.value = text
		}
	}
	return e, true
}

// purge removes the stream, and whatever else carries the prefix, on the primary.
func (s *streamStore) purge(ctx context.Context, primary MemberAddr) error {
	link, err := s.member(ctx, primary)
	if err != nil {
		return err
	}
	defer link.close()
	link.until(readTimeout)
	if _, err := link.do([]string{"UNLINK", s.key}); err != nil {
		return err
	}
	return s.scan(ctx, link, func(keys []string) error {
		if len(keys) == 0 {
			return nil
		}
		link.until(readTimeout)
		_, err := link.do(append([]string{"UNLINK"}, keys...))
		return err
	})
}

// what names what is purged, for the proof.
func (s *streamStore) what() string { return "stream " + s.key }
