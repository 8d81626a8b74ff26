package verifier

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

// httpCheck makes one request on a new connection per probe, as a new user would.
type httpCheck struct {
	spec    drills.ProbeSpec
	dial    *dialer
	client  *http.Client
	session *session // nil: no login
	method  string
	origin  *url.URL // scheme, host and port
	tls     *tls.Config
}

// newHTTPClient makes a client that keeps no connection, follows no redirect, knows no proxy and leaves its dialer's
// memory to the caller.
func newHTTPClient(t *drills.TLS) (*http.Client, *dialer, error) {
	cfg, err := t.Config()
	if err != nil {
		return nil, nil, err
	}
	d := newDialer()
	tr := &http.Transport{DialContext: d.DialContext, TLSClientConfig: cfg, DisableKeepAlives: true, DisableCompression: true}
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, d, nil
}

func newHTTPCheck(s drills.ProbeSpec) (*httpCheck, error) {
	client, d, err := newHTTPClient(s.TLS)
	if err != nil {
		return nil, err
	}
	c := &httpCheck{spec: s, dial: d, client: client, method: s.Method}
	if c.origin, err = originOf(s.URL); err != nil {
		return nil, err
	}
	if c.tls, err = s.TLS.Config(); err != nil {
		return nil, err
	}
	if c.method == "" {
		c.method = http.MethodGet
	}
	if s.Login != nil {
		c.session = newSession(client, d, *s.Login)
	}
	return c, nil
}

// keep keeps the token fresh.
func (c *httpCheck) keep(ctx context.Context, opened func()) {
	if c.session == nil {
		opened()
		<-ctx.Done()
		return
	}
	c.session.keep(ctx, opened)
}

func (c *httpCheck) check(ctx context.Context, _ int64) result {
	token := ""
	if c.session != nil {
		var why result
		if token, why = c.session.get(); token == "" {
			return why
		}
	}
	r := request{client: c.client, dial: c.dial, method: c.method, url: c.spec.URL, headers: c.spec.Headers, body: c.spec.Body, token: token}
	resp, body, bad := r.do(ctx)
	if bad != nil {
		return *bad
	}
	out := judge(resp, body, c.spec.Expect)
	if out.class == Unauthorised && c.session != nil {
		c.session.refused()
	}
	return out
}

// request is one HTTP exchange with the body read in full.
type request struct {
	client  *http.Client
	dial    *dialer
	method  string
	url     string
	headers map[string]string
	body    string
	token   string
}

func (r request) do(ctx context.Context) (*http.Response, []byte, *result) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, strings.NewReader(r.body))
	if err != nil {
		return nil, nil, &result{Malformed, brief(err)}
	}
	for k, v := range r.headers {
		if strings.EqualFold(k, "Host") {
			req.Host = v
		} else {
			req.Header.Set(k, v)
		}
	}
	if r.token != "" && req.Header.Get("Authorization") == "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		bad := transport(err, r.dial.known(hostOfURL(r.url)))
		return nil, nil, &bad
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerAtMost))
	if err != nil {
		bad := transport(err, true)
		return nil, nil, &bad
	}
	return resp, body, nil
}

// judge classifies an answer. What the spec expects is good whatever its status.
func judge(resp *http.Response, body []byte, want drills.HTTPExpect) result {
	asWanted := slices.Contains(want.Status, resp.StatusCode) || len(want.Status) == 0 && resp.StatusCode/100 == 2
	if !asWanted {
		return ofStatus(resp.StatusCode, resp.Header)
	}
	if want.Contains != "" && !bytes.Contains(body, []byte(want.Contains)) {
		return result{Failed, "the answer lacks the expected text"}
	}
	if len(want.Status) > 0 {
		return result{Good, fmt.Sprintf("HTTP %d", resp.StatusCode)} // several may be as wanted
	}
	return good()
}

func ofStatus(status int, h http.Header) result {
	text := fmt.Sprintf("HTTP %d", status)
	if h.Get("Retry-After") != "" {
		text += ", Retry-After" // without its value, which may differ from answer to answer
	}
	switch {
	case status == http.StatusTooManyRequests, h.Get("Retry-After") != "" && status/100 == 4:
		return result{Throttled, text} // a 503 with Retry-After is an outage that has good manners
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return result{Unauthorised, text}
	case status == http.StatusBadRequest, status == http.StatusNotFound, status == http.StatusUnprocessableEntity,
		status == http.StatusMethodNotAllowed, status == http.StatusUnsupportedMediaType:
		return result{Malformed, text}
	}
	return result{Failed, text}
}

// originOf is the scheme, host and port of a URL, the port filled in.
func originOf(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("the url cannot be parsed (not shown, it may hold a password)")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "ws": "80", "wss": "443"}[u.Scheme]
	}
	return &url.URL{Scheme: u.Scheme, Host: net.JoinHostPort(u.Hostname(), port)}, nil
}

// hostOfURL is the host:port or host of a URL, "" when it cannot be parsed.
func hostOfURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	if u.Port() == "" {
		return u.Hostname()
	}
	return net.JoinHostPort(u.Hostname(), u.Port())
}
