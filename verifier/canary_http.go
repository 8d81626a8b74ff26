package verifier

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"

	"github.com/eevans-d/simulacro/drills"
)

// httpStore makes numbered records through an API, as a client of it does, and reads them back from every instance.
type httpStore struct {
	spec    drills.CanarySpec
	book    *book
	client  *http.Client
	dial    *dialer
	session *session // nil: no login

	mu  sync.Mutex
	ids map[int64]string // of acknowledged records
}

func newHTTPStore(s drills.CanarySpec, b *book) (*httpStore, error) {
	client, d, err := newHTTPClient(s.TLS)
	if err != nil {
		return nil, err
	}
	if tr, ok := client.Transport.(*http.Transport); ok && s.Connection != "fresh" {
		tr.DisableKeepAlives, tr.MaxIdleConnsPerHost = false, 4
	}
	h := &httpStore{spec: s, book: b, client: client, dial: d, ids: map[int64]string{}}
	if s.Login != nil {
		h.session = newSession(client, d, *s.Login)
	}
	return h, nil
}

// keep holds the token while writing.
func (h *httpStore) keep(ctx context.Context) {
	if h.session == nil {
		<-ctx.Done()
		return
	}
	h.session.keep(ctx, func() {})
}

// key is short, and unique to a run and a number: what an API may want as a unique code of limited length.
func (h *httpStore) key(seq int64) string {
	sum := sha256.Sum256([]byte(h.book.run))
	return "simulacro-" + hex.EncodeToString(sum[:4]) + "-" + itoa(seq)
}

// filled replaces what a write may contain.
func (h *httpStore) filled(text string, seq, at int64) string {
	return strings.NewReplacer("{run}", h.book.run, "{n}", itoa(seq), "{key}", h.key(seq), "{value}", h.book.value(seq, at)).Replace(text)
}

func (h *httpStore) writing(seq, at int64) request {
	w := h.spec.Write
	r := h.request(w.Method, h.filled(w.URL, seq, at))
	r.body = h.filled(w.Body, seq, at)
	for k, v := range r.headers {
		r.headers[k] = h.filled(v, seq, at)
	}
	return r
}

func (h *httpStore) request(method, url string) request {
	headers := map[string]string{"Content-Type": "application/json"}
	maps.Copy(headers, h.spec.Headers)
	return request{client: h.client, dial: h.dial, method: method, url: url, headers: headers}
}

// check makes record number seq. Timeout means: it may have been made, nobody said so.
func (h *httpStore) check(ctx context.Context, seq int64) result {
	token := ""
	if h.session != nil {
		var why result
		if token, why = h.session.get(); token == "" {
			return beforeSending(why)
		}
	}
	at := drills.Monotonic()
	h.book.note(seq, at)
	r := h.writing(seq, at)
	r.token = token
	out := h.create(ctx, r, seq)
	if out.class == Unauthorised && h.session != nil {
		h.session.refused()
	}
	return out
}

// create sends one write and keeps the id that the answer has.
func (h *httpStore) create(ctx context.Context, r request, seq int64) result {
	body, out := posted(ctx, r, h.spec.Write.Expect)
	if out.class != Good {
		return out
	}
	id, ok := textAt(body, h.spec.Write.ID)
	if !ok {
		return result{Timeout, "the answer has no " + h.spec.Write.ID}
	}
	h.mu.Lock()
	h.ids[seq] = id
	h.mu.Unlock()
	h.book.stored(seq, id)
	return good()
}

// posted sends one write and judges the answer: acknowledged, definitely refused, throttled, or nobody knows.
func posted(ctx context.Context, r request, want drills.HTTPExpect) ([]byte, result) {
	sent := false // not before there is a connection
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent = true }})
	resp, body, bad := r.do(ctx)
	switch {
	case bad != nil && sent:
		return nil, result{Timeout, bad.text}
	case bad != nil:
		return nil, beforeSending(*bad)
	}
	out := judge(resp, body, want)
	if out.class == Good {
		return body, good()
	}
	if resp.StatusCode/100 == 2 || resp.StatusCode/100 == 5 || resp.StatusCode == http.StatusRequestTimeout {
		return nil, result{Timeout, out.text} // it reached something that may have passed it on
	}
	return nil, out
}

// withHTTPDefaults fills in methods and the size of a page.
func withHTTPDefaults(s *drills.CanarySpec) {
	if s.Write != nil && s.Write.Method == "" {
		s.Write.Method = http.MethodPost
	}
	if s.Remove != nil && s.Remove.Method == "" {
		s.Remove.Method = http.MethodDelete
	}
	if s.List != nil && s.List.Limit == 0 {
		s.List.Limit = 100
	}
}

// httpComplete is what an http canary cannot do without; its records carry the run in {value}.
func httpComplete(name string, s drills.CanarySpec) error {
	if s.Write == nil || s.Remove == nil || s.Read == nil && s.List == nil || !strings.Contains(s.Write.Body, "{value}") {
		return drills.Errorf(drills.Input, "give it write (with {value} in its body), remove, and read or list", "canary %s cannot write, read back and purge", name)
	}
	return nil
}
