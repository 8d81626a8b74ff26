package open

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// HTTP makes clients that hold one connection each.
type HTTP struct {
	bases  []string
	ops    []httpOp
	choose choice
	seed   uint64
	tokens Tokens
}

type httpOp struct {
	drills.HTTPOp
	path, body Template
	headers    map[string]Template
}

// Tokens gives a shared bearer token; empty where the target wants none.
type Tokens interface {
	Get(context.Context) (string, error)
	Refused(token string) // the target did not accept it
}

// NewHTTP checks operations. Connections are spread over bases ("http://host:port") in turn.
func NewHTTP(bases []string, ops []drills.HTTPOp, run string, seed uint64, tokens Tokens) (*HTTP, error) {
	h := &HTTP{bases: bases, seed: seed, tokens: tokens}
	var errs []error
	var weights []float64
	parse := func(op, s string) Template {
		t, err := ParseTemplate(s, run)
		if err != nil {
			errs = append(errs, fmt.Errorf("operation %s: %w", op, err))
		}
		return t
	}
	for _, op := range ops {
		if op.Method == "" {
			op.Method = http.MethodGet
		}
		if op.Weight == 0 {
			op.Weight = 1
		}
		x := httpOp{HTTPOp: op, path: parse(op.Name, op.Path), body: parse(op.Name, op.Body), headers: map[string]Template{}}
		for k, v := range op.Headers {
			x.headers[k] = parse(op.Name, v)
		}
		h.ops, weights = append(h.ops, x), append(weights, op.Weight)
	}
	h.choose = newChoice(weights)
	if len(bases) == 0 || len(ops) == 0 {
		errs = append(errs, errors.New("http: needs an address and an operation"))
	}
	return h, errors.Join(errs...)
}

// Open makes the client of worker n.
func (h *HTTP) Open(n int) Client {
	t := &http.Transport{
		DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, MaxIdleConnsPerHost: 1, MaxConnsPerHost: 1,
		DisableCompression: true, ReadBufferSize: 2048, WriteBufferSize: 2048,
	}
	return &httpClient{http: h, base: h.bases[n%len(h.bases)], transport: t, sink: make([]byte, 4096)}
}

// Names of the operations, for Flow.Ops.
func (h *HTTP) Names() []string {
	var out []string
	for _, op := range h.ops {
		out = append(out, op.Name)
	}
	return out
}

type httpClient struct {
	http      *HTTP
	base      string
	transport *http.Transport
	sink      []byte
}

func (c *httpClient) Close() { c.transport.CloseIdleConnections() }

// Do sends one request for each operation; HTTP/1.1 has one in flight on a connection.
func (c *httpClient) Do(ctx context.Context, first int64, out []Outcome) {
	for i := range out {
		out[i] = c.one(ctx, first+int64(i))
	}
}

func (c *httpClient) one(ctx context.Context, k int64) Outcome {
	d := roll(c.http.seed, k)
	n := c.http.choose.pick(&d)
	op := &c.http.ops[n]
	token, err := c.token(ctx)
	if err != nil {
		return Outcome{Class: Unauthorised, Op: n, Text: "login: " + text(err)}
	}
	req, err := op.request(ctx, c.base, k, &d, token)
	if err != nil {
		return Outcome{Class: Malformed, Op: n, Text: "the request is not valid"} // its text may hold a secret
	}
	res, err := c.transport.RoundTrip(req)
	if err == nil {
		err = c.drain(res.Body)
	}
	if err != nil {
		class, why := classify(err)
		return Outcome{Class: class, Op: n, Text: why}
	}
	class := statusClass(res, op.Status)
	if res.StatusCode == http.StatusUnauthorized && c.http.tokens != nil {
		c.http.tokens.Refused(token)
	}
	if class == Good {
		return Outcome{Op: n}
	}
	return Outcome{Class: class, Op: n, Text: "answered " + res.Status}
}

func text(err error) string {
	_, s := classify(err)
	return s
}

func (c *httpClient) token(ctx context.Context) (string, error) {
	if c.http.tokens == nil {
		return "", nil
	}
	return c.http.tokens.Get(ctx)
}

// drain reads an answer to its end, so that the connection can be used again.
func (c *httpClient) drain(body io.ReadCloser) error {
	defer body.Close() // only read from
	for {
		_, err := body.Read(c.sink)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (o *httpOp) request(ctx context.Context, base string, k int64, d *dice, token string) (*http.Request, error) {
	var body io.Reader
	if o.Body != "" {
		body = strings.NewReader(o.body.fill(k, d))
	}
	req, err := http.NewRequestWithContext(ctx, o.Method, base+o.path.fill(k, d), body)
	if err != nil {
		return nil, err
	}
	if o.Body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for key, v := range o.headers {
		req.Header.Set(key, v.fill(k, d))
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req, nil
}

// statusClass tells refusals for our sake (limits, credentials, requests that make no sense) from failures.
func statusClass(res *http.Response, want []int) Class {
	code := res.StatusCode
	switch {
	case len(want) == 0 && code/100 == 2, slices.Contains(want, code):
		return Good
	case code == http.StatusTooManyRequests, res.Header.Get("Retry-After") != "":
		return Throttled
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return Unauthorised
	case code/100 == 4:
		return Malformed
	}
	return Failed
}
