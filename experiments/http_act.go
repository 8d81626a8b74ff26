package experiments

import (
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// The verbs of what a drill says in HTTP requests.
const (
	verbHTTPDo   = "http.do"
	verbHTTPUndo = "http.undo"
)

// HTTPCall is one request. {address} in its URL is the target's address. Headers and body may hold references to secrets.
type HTTPCall struct {
	Method  string            `yaml:"method" json:"method,omitempty"` // default: POST, GET for the query
	URL     string            `yaml:"url" json:"url"`
	Headers map[string]string `yaml:"headers" json:"headers,omitempty"`
	Body    string            `yaml:"body" json:"body,omitempty"`
	Expect  HTTPAnswer        `yaml:"expect" json:"expect,omitzero"`
}

// HTTPAnswer is what an answer must be like.
type HTTPAnswer struct {
	Status   int    `yaml:"status" json:"status,omitempty"`     // default: any of 200 to 299
	Contains string `yaml:"contains" json:"contains,omitempty"` // in the body
}

// HTTPAct does what the drill says, for what has no fault of its own but an address to ask: a request, the one that undoes it,
// and the one whose answer tells whether it is in effect.
type HTTPAct struct {
	Do        HTTPCall        `yaml:"do" json:"do"`
	Undo      HTTPCall        `yaml:"undo" json:"undo"`
	Query     HTTPCall        `yaml:"query" json:"query"` // as expected: the effect is there; another answer below 500: it is not
	Timeout   drills.Duration `yaml:"timeout" json:"timeout"`
	TLS       *drills.TLS     `yaml:"tls" json:"tls,omitempty"`
	Unguarded bool            `yaml:"unguarded" json:"unguarded,omitempty"` // must be said: the guard has no network
}

func httpKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "http",
		Summary:  "Make an HTTP request, with the one that undoes it and the one that tells whether it is in effect",
		Class:    drills.ClassUndo,
		Verbs:    []string{verbHTTPDo, verbHTTPUndo},
		Duration: "required",
		Proof:    "the drill's own query said no before and yes afterwards",
		Undo:     "the drill's own undo, after which the query must say no; never by the guard, which has no network",
	}, func() *HTTPAct { return &HTTPAct{Timeout: drills.Duration(10 * time.Second)} })
}

const whyNoNetwork = "it has no network"

// Validate checks the parameters.
func (f *HTTPAct) Validate() error {
	bad := complaint("http").bad
	for name, c := range map[string]HTTPCall{"do": f.Do, "undo": f.Undo, "query": f.Query} {
		switch {
		case !strings.HasPrefix(c.URL, "http://") && !strings.HasPrefix(c.URL, "https://"):
			return bad("%s: url: must begin with http:// or https://, found %q", name, c.URL)
		case c.Expect.Status != 0 && (c.Expect.Status < 200 || c.Expect.Status > 599):
			return bad("%s: expect: status: %d is not one", name, c.Expect.Status)
		}
	}
	switch {
	case f.Query.Expect == HTTPAnswer{}:
		return bad("query: expect: is required: what the answer is like when the effect is there")
	case f.Query.Method != "" && !slices.Contains([]string{"GET", "HEAD"}, f.Query.Method):
		return bad("query: method: must only read: GET or HEAD, found %q", f.Query.Method)
	case f.Timeout <= 0 || f.Timeout.D() > time.Minute:
		return bad("timeout: must be above zero and at most 1m, found %s", f.Timeout)
	case !f.Unguarded:
		return drills.Errorf(drills.Input, "say `unguarded: true` if a crash of the tool may leave it in effect until `simulacro restore` runs",
			"http: the guard cannot undo this: %s", whyNoNetwork)
	}
	return nil
}

// httpArgs are the arguments of http.do and http.undo.
type httpArgs struct {
	Do      *HTTPCall       `json:"do,omitempty"`
	Undo    HTTPCall        `json:"undo"`
	Query   HTTPCall        `json:"query"`
	Timeout drills.Duration `json:"timeout"`
	TLS     *drills.TLS     `json:"tls,omitempty"`
}

// Plan makes the requests for each target.
func (f *HTTPAct) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "http stays in effect"); err != nil {
		return nil, err
	}
	if err := mayBeUnguarded(s, "http", whyNoNetwork); err != nil {
		return nil, err
	}
	var out []drills.Change
	for _, m := range s.Targets {
		if err := running(m); err != nil {
			return nil, err
		}
		do := at(f.Do, m)
		do.Method = orElse(do.Method, "POST")
		args := httpArgs{Do: &do, Undo: at(f.Undo, m), Query: at(f.Query, m), Timeout: f.Timeout, TLS: f.TLS}
		args.Undo.Method, args.Query.Method = orElse(args.Undo.Method, "POST"), orElse(args.Query.Method, "GET")
		undo := args
		undo.Do = nil
		c, err := change(s, m, plan{class: drills.ClassUndo, do: verbHTTPDo, undo: verbHTTPUndo, note: "unguarded: " + whyNoNetwork}, args, undo)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// at puts the member's address into a request.
func at(c HTTPCall, m drills.Member) HTTPCall {
	if all := m.Addresses(); len(all) > 0 {
		c.URL = strings.ReplaceAll(c.URL, "{address}", all[0])
	}
	return c
}
