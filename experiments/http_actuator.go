package experiments

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// askAgain is how often a query is asked while an effect is waited for, and mostRead how much of an answer is read.
const (
	askAgain = 200 * time.Millisecond
	mostRead = 1 << 20
)

// HTTP is the actuator of http.*: requests that a drill pairs with their own undo and query.
type HTTP struct {
	dial   Dial
	expand Expand
	once   drills.Once
}

// NewHTTP reaches the system's addresses through dial.
func NewHTTP(dial Dial, expand Expand) *HTTP { return &HTTP{dial: dial, expand: expand} }

// Apply makes the request (at most once per op) or its undo (idempotent, and only while the effect is there).
func (h *HTTP) Apply(ctx context.Context, op drills.Op) (drills.Effect, error) {
	x, err := h.read(ctx, op)
	if err != nil {
		return drills.Effect{}, err
	}
	defer x.client.CloseIdleConnections()
	switch op.Verb {
	case verbHTTPDo:
		return h.once.Do(ctx, op.ID, func() (drills.Effect, error) { return x.do(ctx) })
	case verbHTTPUndo:
		return x.undo(ctx)
	}
	return drills.Effect{}, fmt.Errorf("%q is not a verb of HTTP requests", op.Verb)
}

// Present asks the query.
func (h *HTTP) Present(ctx context.Context, op drills.Op) (bool, error) {
	x, err := h.read(ctx, op)
	if err != nil {
		return false, err
	}
	defer x.client.CloseIdleConnections()
	return x.there(ctx)
}

// asker is an op ready for use.
type asker struct {
	httpArgs
	expand Expand
	client *http.Client
}

func (h *HTTP) read(ctx context.Context, op drills.Op) (*asker, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s: %w", op.Verb, context.Cause(ctx))
	}
	x := &asker{expand: h.expand}
	if err := op.Decode(&x.httpArgs); err != nil {
		return nil, err
	}
	secure, err := x.TLS.Expanded(h.expand.value)
	if err != nil {
		return nil, err
	}
	cfg, err := secure.Config()
	if err != nil {
		return nil, err
	}
	x.client = &http.Client{
		Timeout:       x.Timeout.D(),
		Transport:     &http.Transport{DialContext: h.dial, TLSClientConfig: cfg},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return x, nil
}

// answer is what came back.
type answer struct {
	Status int `json:"status"`
	body   string
}

func (a answer) is(want HTTPAnswer) bool {
	status := a.Status == want.Status || want.Status == 0 && a.Status/100 == 2
	return status && strings.Contains(a.body, want.Contains)
}

func (x *asker) ask(ctx context.Context, c HTTPCall) (answer, error) {
	texts := []string{c.URL, c.Body}
	for i := range texts {
		v, err := x.expand.value(texts[i])
		if err != nil {
			return answer{}, err
		}
		texts[i] = v
	}
	req, err := http.NewRequestWithContext(ctx, c.Method, texts[0], strings.NewReader(texts[1]))
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: the request cannot be made", c.Method, c.URL)
	}
	for k, v := range c.Headers {
		if v, err = x.expand.value(v); err != nil {
			return answer{}, err
		}
		req.Header.Set(k, v)
	}
	r, err := x.client.Do(req)
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: %w", c.Method, c.URL, err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(io.LimitReader(r.Body, mostRead))
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: %w", c.Method, c.URL, err)
	}
	return answer{Status: r.StatusCode, body: string(b)}, nil
}

// there tells whether the effect is there. A server that fails, or does not answer, says neither.
func (x *asker) there(ctx context.Context) (bool, error) {
	a, err := x.ask(ctx, x.Query)
	switch {
	case err != nil:
		return false, err
	case a.is(x.Query.Expect):
		return true, nil
	case a.Status >= 500:
		return false, fmt.Errorf("the query %s was answered with %d, which says neither yes nor no", x.Query.URL, a.Status)
	}
	return false, nil
}

func (x *asker) until(ctx context.Context, want bool) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, x.Timeout.D())
	defer cancel()
	for {
		there, err := x.there(ctx)
		if err != nil || there == want {
			return there == want, err
		}
		if !drills.Wait(ctx, askAgain) {
			return false, nil
		}
	}
}

func (x *asker) do(ctx context.Context) (drills.Effect, error) {
	there, err := x.there(ctx)
	if err == nil && there {
		err = drills.Errorf(drills.Blocked, "undo it by hand, or mend the query", "the effect is there already: it would not be ours to undo")
	}
	if err != nil {
		return drills.Effect{}, err
	}
	return x.make(ctx, *x.Do, true)
}

func (x *asker) undo(ctx context.Context) (drills.Effect, error) {
	now := time.Now().UTC()
	there, err := x.there(ctx)
	if err != nil {
		return drills.Effect{}, err
	}
	if !there {
		return drills.Effect{From: now, To: time.Now().UTC(), Source: querySource, Proven: true, Skipped: "the effect is not there: nothing to undo"}, nil
	}
	return x.make(ctx, x.Undo, false)
}

const querySource = "the drill's query"

// make makes a request and waits until the query says what it should.
func (x *asker) make(ctx context.Context, c HTTPCall, want bool) (drills.Effect, error) {
	e := drills.Effect{From: time.Now().UTC(), Source: querySource}
	a, err := x.ask(ctx, c)
	if err == nil && !a.is(c.Expect) {
		err = fmt.Errorf("%s %s was answered with %d, not as the drill expects", c.Method, c.URL, a.Status)
	}
	if err != nil {
		return drills.Effect{}, err
	}
	if e.Evidence, err = json.Marshal(a); err != nil {
		return drills.Effect{}, err
	}
	ok, err := x.until(ctx, want)
	e.To, e.Proven = time.Now().UTC(), ok
	return e, err
}
