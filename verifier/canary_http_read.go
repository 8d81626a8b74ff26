package verifier

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

const (
	restPace     = 5 * time.Millisecond // between requests of reading back and purging
	restPages    = 1000
	restPatience = 2 * time.Minute // for a rate limit to let one request through
	restRetry    = time.Second     // where a throttling answer does not say when
)

// ask sends one request of reading back or purging to a member and returns the answer. It logs in again after a 401 and
// waits where it is throttled: nothing is measured any more.
func (h *httpStore) ask(ctx context.Context, method, url string) (*http.Response, []byte, error) {
	for deadline, refused := time.Now().Add(restPatience), false; ; {
		r := h.request(method, url)
		if h.session != nil {
			r.token, _ = h.session.get()
		}
		resp, body, err := h.once(ctx, r)
		if err != nil {
			return nil, nil, err
		}
		switch ofStatus(resp.StatusCode, resp.Header).class {
		case Unauthorised:
			if h.session == nil || refused {
				return resp, body, nil
			}
			refused = true
			if _, err := h.session.attempt(ctx); err != nil {
				return nil, nil, err
			}
		case Throttled:
			if time.Now().After(deadline) || !drills.Wait(ctx, retryAfter(resp.Header)) {
				return resp, body, nil
			}
		default:
			if !drills.Wait(ctx, restPace) {
				return nil, nil, context.Cause(ctx)
			}
			return resp, body, nil
		}
	}
}

func (h *httpStore) once(ctx context.Context, r request) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	resp, body, bad := r.do(ctx)
	if bad != nil {
		return nil, nil, errors.New(bad.text)
	}
	return resp, body, nil
}

func retryAfter(head http.Header) time.Duration {
	if s, err := strconv.Atoi(head.Get("Retry-After")); err == nil && s > 0 {
		return time.Duration(s) * time.Second
	}
	return restRetry
}

// trial is the number of the record that open makes; unreadable that of a record of this run whose number cannot be read.
const trial, unreadable = -1, -2

// open logs in and makes and removes one record, to see that it can.
func (h *httpStore) open(ctx context.Context) error {
	if h.session != nil {
		if _, err := h.session.attempt(ctx); err != nil {
			return err
		}
	}
	at := drills.Monotonic()
	r := h.writing(trial, at)
	if h.session != nil {
		r.token, _ = h.session.get()
	}
	if out := h.create(ctx, r, trial); out.class != Good {
		return fmt.Errorf("a trial write failed: %s (%s)", out.text, out.class)
	}
	h.mu.Lock()
	id := h.ids[trial]
	delete(h.ids, trial)
	h.mu.Unlock()
	h.book.position(trial)
	m, err := h.anywhere(ctx)
	if err == nil {
		err = h.remove(ctx, m, id)
	}
	if err != nil {
		return fmt.Errorf("the record of a trial write, %s, could not be removed: %w", id, err)
	}
	return nil
}

// standing: instances of an API are equals; one that answers counts.
func (h *httpStore) standing(ctx context.Context, m MemberAddr) standing {
	url := ""
	switch {
	case h.spec.List != nil:
		url = h.page(m, 0, 1)
	default:
		url = h.at(h.spec.Read.URL, m, "0")
	}
	resp, _, err := h.ask(ctx, http.MethodGet, url)
	if err == nil && resp.StatusCode >= http.StatusInternalServerError {
		err = errors.New(resp.Status)
	}
	return standing{peer: true, err: err}
}

// at fills in a URL for one record on one member.
func (h *httpStore) at(url string, m MemberAddr, id string) string {
	return strings.NewReplacer("{member}", m.Address, "{id}", id, "{run}", h.book.run).Replace(url)
}

func (h *httpStore) page(m MemberAddr, skip, limit int) string {
	return strings.NewReplacer("{skip}", strconv.Itoa(skip), "{limit}", strconv.Itoa(limit)).Replace(h.at(h.spec.List.URL, m, ""))
}

// record is one record of ours as a member shows it.
type record struct {
	id    string
	seq   int64
	value string
}

// read takes stock of one member: by its list where there is one, else record by record.
func (h *httpStore) read(ctx context.Context, m MemberAddr, out *Holding) error {
	var found []record
	var err error
	if h.spec.List != nil {
		found, err = h.listed(ctx, m)
	} else {
		found, err = h.single(ctx, m)
	}
	if err != nil {
		return err
	}
	var held []int64
	seen := map[int64]bool{}
	for _, r := range found {
		_, sent := h.book.at(r.seq)
		switch {
		case r.seq == trial: // one whose answer was lost, before the stream began; the purge takes it away
			continue
		case !sent:
			out.Phantom++
		case seen[r.seq]:
			out.Duplicated = append(out.Duplicated, r.seq)
		case h.book.intact(r.seq, r.value):
			held = append(held, r.seq)
		default:
			out.Corrupt = append(out.Corrupt, r.seq)
		}
		seen[r.seq] = true
	}
	slices.Sort(held)
	out.Held = spans(held)
	return nil
}

// listed are all records of ours on a member. A record whose value is not ours any more cannot be told from a stranger's,
// unless its id was acknowledged.
func (h *httpStore) listed(ctx context.Context, m MemberAddr) ([]record, error) {
	l := h.spec.List
	known := h.known()
	var out []record
	for page := range restPages {
		resp, body, err := h.ask(ctx, http.MethodGet, h.page(m, page*l.Limit, l.Limit))
		if err != nil {
			return nil, err
		}
		doc, ok := parsed(body)
		items, list := at(doc, l.Items).([]any)
		if resp.StatusCode/100 != 2 || !ok || !list {
			return nil, fmt.Errorf("list: %s, no list in the answer", resp.Status)
		}
		for _, item := range items {
			id, _ := text(at(item, l.ID))
			value, _ := text(at(item, l.Value))
			if r, ours := h.ours(id, value, known); ours {
				out = append(out, r)
			}
		}
		if len(items) < l.Limit {
			return out, nil
		}
	}
	return nil, fmt.Errorf("list: more than %d pages of %d", restPages, l.Limit)
}

// ours recognises a record by the id that was acknowledged, else by the run in its value.
func (h *httpStore) ours(id, value string, known map[string]int64) (record, bool) {
	if seq, ok := known[id]; ok {
		return record{id, seq, value}, true
	}
	f := strings.Fields(value)
	if len(f) != 4 || f[1] != h.book.run {
		return record{}, false
	}
	seq, err := strconv.ParseInt(f[0], 10, 64)
	if err != nil {
		seq = unreadable
	}
	return record{id, seq, value}, true
}

// known are the numbers of the acknowledged records by id.
func (h *httpStore) known() map[string]int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make(map[string]int64, len(h.ids))
	for seq, id := range h.ids {
		out[id] = seq
	}
	return out
}

// single reads every acknowledged record.
func (h *httpStore) single(ctx context.Context, m MemberAddr) ([]record, error) {
	var out []record
	known := h.known()
	for _, id := range slices.Sorted(maps.Keys(known)) {
		resp, body, err := h.ask(ctx, http.MethodGet, h.at(h.spec.Read.URL, m, id))
		switch {
		case err != nil:
			return nil, err
		case gone(resp.StatusCode):
			continue
		case resp.StatusCode/100 != 2:
			return nil, fmt.Errorf("record %s: %s", id, resp.Status)
		}
		value, _ := textAt(body, h.spec.Read.Value)
		out = append(out, record{id, known[id], value})
	}
	return out, nil
}

func gone(status int) bool { return status == http.StatusNotFound || status == http.StatusGone }
