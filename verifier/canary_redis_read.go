package verifier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// member opens a connection to one member for reading back or purging.
func (r *redisStore) member(ctx context.Context, m MemberAddr) (*respConn, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return r.connect(ctx, m.Address)
}

// standing asks a member for its role.
func (r *redisStore) standing(ctx context.Context, m MemberAddr) standing {
	link, err := r.member(ctx, m)
	if err != nil {
		return standing{err: err}
	}
	defer link.close()
	link.until(readTimeout)
	replies, err := link.do([]string{"ROLE"})
	if err != nil {
		return standing{err: err}
	}
	return roleOf(replies[0])
}

// roleOf reads the reply to ROLE: [master offset [replicas…]] or [slave host port state offset].
func roleOf(reply any) standing {
	v, ok := reply.([]any)
	if !ok || len(v) < 3 {
		return standing{err: fmt.Errorf("strange answer to ROLE: %v", reply)}
	}
	switch v[0] {
	case "master":
		offset, _ := v[1].(int64)
		replicas, _ := v[2].([]any)
		return standing{primary: true, offset: offset, rank: int64(len(replicas))}
	case "slave":
		if len(v) < 5 {
			break
		}
		offset, _ := v[4].(int64)
		return standing{linked: v[3] == "connected", offset: offset}
	}
	return standing{err: fmt.Errorf("strange answer to ROLE: %v", reply)}
}

// read takes stock of one member: every number sent, by MGET, and every other key of ours, by SCAN.
func (r *redisStore) read(ctx context.Context, m MemberAddr, h *Holding) error {
	link, err := r.member(ctx, m)
	if err != nil {
		return err
	}
	defer link.close()
	var held []int64
	for chunk := range slices.Chunk(r.book.seqs(), readChunk) {
		if err := ctx.Err(); err != nil {
			return err
		}
		values, err := r.mget(link, chunk)
		if err != nil {
			return err
		}
		for i, seq := range chunk {
			switch v := values[i].(type) {
			case nil:
			case string:
				if r.book.intact(seq, v) {
					held = append(held, seq)
				} else {
					h.Corrupt = append(h.Corrupt, seq)
				}
			default:
				h.Corrupt = append(h.Corrupt, seq)
			}
		}
	}
	h.Held = spans(held)
	return r.strangers(ctx, link, h)
}

// strangers looks at every key of ours that is not the one of a number sent: the trial key, which was deleted, a number
// stored a second time under another key, or a phantom.
func (r *redisStore) strangers(ctx context.Context, link *respConn, h *Holding) error {
	var odd []string
	err := r.scan(ctx, link, func(keys []string) error {
		for _, k := range keys {
			seq, ok := seqOf(k, r.prefix)
			if _, sent := r.book.at(seq); ok && sent && k == r.prefix+itoa(seq) {
				continue
			}
			if k == r.trialKey() {
				h.Undeleted++
				continue
			}
			odd = append(odd, k)
		}
		return nil
	})
	for chunk := range slices.Chunk(odd, readChunk) {
		if err != nil {
			break
		}
		var values []any
		values, err = r.fetch(link, chunk)
		for i, v := range values {
			if seq, ok := r.book.copyOf(v); ok {
				h.Duplicated = append(h.Duplicated, seq)
			} else {
				h.phantom(chunk[i])
			}
		}
	}
	return err
}

func (r *redisStore) mget(link *respConn, seqs []int64) ([]any, error) {
	keys := make([]string, len(seqs))
	for i, s := range seqs {
		keys[i] = r.prefix + itoa(s)
	}
	return r.fetch(link, keys)
}

func (r *redisStore) fetch(link *respConn, keys []string) ([]any, error) {
	link.until(readTimeout)
	replies, err := link.do(append([]string{"MGET"}, keys...))
	if err != nil {
		return nil, err
	}
	values, ok := replies[0].([]any)
	if !ok || len(values) != len(keys) {
		return nil, errors.New("strange answer to MGET")
	}
	return values, nil
}

// scan calls f with the keys of ours, each once.
func (r *redisStore) scan(ctx context.Context, link *respConn, f func([]string) error) error {
	seen := map[string]bool{}
	for cursor := "0"; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		link.until(readTimeout)
		replies, err := link.do([]string{"SCAN", cursor, "MATCH", globEscape(r.prefix) + "*", "COUNT", "1000"})
		if err != nil {
			return err
		}
		page, ok := replies[0].([]any)
		if !ok || len(page) != 2 {
			return errors.New("strange answer to SCAN")
		}
		var fresh []string
		for _, k := range page[1].([]any) {
			if key, ok := k.(string); ok && !seen[key] && strings.HasPrefix(key, r.prefix) {
				seen[key] = true
				fresh = append(fresh, key)
			}
		}
		if err := f(fresh); err != nil {
			return err
		}
		if cursor, ok = page[0].(string); !ok || cursor == "0" {
			return nil
		}
	}
}

// globEscape makes a literal of what SCAN would take for a pattern.
func globEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}

// purge unlinks every key of ours on the primary.
func (r *redisStore) purge(ctx context.Context, primary MemberAddr) error {
	link, err := r.member(ctx, primary)
	if err != nil {
		return err
	}
	defer link.close()
	unlink := func(keys []string) error {
		if len(keys) == 0 {
			return nil
		}
		link.until(readTimeout)
		_, err := link.do(append([]string{"UNLINK"}, keys...))
		return err
	}
	for chunk := range slices.Chunk(r.book.seqs(), readChunk) {
		keys := make([]string, len(chunk))
		for i, s := range chunk {
			keys[i] = r.prefix + itoa(s)
		}
		if err := unlink(keys); err != nil {
			return err
		}
	}
	return r.scan(ctx, link, unlink)
}

// left counts the keys of ours on a member.
func (r *redisStore) left(ctx context.Context, m MemberAddr) (int, error) {
	link, err := r.member(ctx, m)
	if err != nil {
		return 0, err
	}
	defer link.close()
	n := 0
	err = r.scan(ctx, link, func(keys []string) error { n += len(keys); return nil })
	return n, err
}

// what names what is purged, for the proof.
func (r *redisStore) what() string { return "keys " + r.prefix + "*" }

// anywhere is the primary as the write stream finds it.
func (r *redisStore) anywhere(ctx context.Context) (MemberAddr, error) {
	if r.via != nil {
		addr, err := r.via.ask(ctx)
		return MemberAddr{Name: addr, Address: addr}, err
	}
	return MemberAddr{Name: r.target.address, Address: r.target.address}, nil
}
