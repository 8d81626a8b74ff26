package verifier

import (
	"context"
	"errors"
	"fmt"
	"net/url"
)

// purge removes every record of ours through one instance.
func (h *httpStore) purge(ctx context.Context, m MemberAddr) error {
	all, err := h.remaining(ctx, m)
	for _, id := range all {
		if rerr := h.remove(ctx, m, id); rerr != nil {
			return errors.Join(err, rerr)
		}
	}
	return err
}

// remaining are the ids of all that is still there: as listed, else those that were acknowledged.
func (h *httpStore) remaining(ctx context.Context, m MemberAddr) ([]string, error) {
	find := h.single
	if h.spec.List != nil {
		find = h.listed
	}
	found, err := find(ctx, m)
	out := make([]string, len(found))
	for i, r := range found {
		out[i] = r.id
	}
	return out, err
}

func (h *httpStore) remove(ctx context.Context, m MemberAddr, id string) error {
	resp, _, err := h.ask(ctx, h.spec.Remove.Method, h.at(h.spec.Remove.URL, m, url.PathEscape(id)))
	if err == nil && resp.StatusCode/100 != 2 && !gone(resp.StatusCode) {
		err = fmt.Errorf("remove record %s: %s", id, resp.Status)
	}
	return err
}

// left counts the records of ours on a member.
func (h *httpStore) left(ctx context.Context, m MemberAddr) (int, error) {
	all, err := h.remaining(ctx, m)
	return len(all), err
}

// what names what is purged, for the proof.
func (h *httpStore) what() string {
	if h.spec.List == nil {
		return "records of this run by id (writes that were never answered cannot be found without a list)"
	}
	return "records of this run as listed"
}

// anywhere is the host that writes go to.
func (h *httpStore) anywhere(context.Context) (MemberAddr, error) {
	u, err := url.Parse(h.spec.Write.URL)
	if err != nil {
		return MemberAddr{}, err
	}
	return MemberAddr{Name: u.Host, Address: u.Host}, nil
}
