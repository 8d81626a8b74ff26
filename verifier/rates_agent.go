package verifier

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

const (
	askWithin  = 3 * time.Second  // one request
	askAtMost  = 15 * time.Second // all of a place, with logins
	askHeaders = 2 << 10          // bytes of one header that are of interest
)

// askJob is the spec of a rates agent: requests to make once each, from its place.
type askJob struct {
	Asks []namedProbe `json:"asks"` // of kind http
}

// reply is what one request was answered.
type reply struct {
	Name   string      `json:"name"`
	Status int         `json:"status,omitempty"` // 0: not at all
	Header http.Header `json:"header,omitempty"` // what speaks of rate limits
	Why    string      `json:"why,omitempty"`    // why there was no answer
}

// RatesMain is the agent that asks each target once what it allows: it reads its spec (an askJob), makes every request and
// writes "ready", one "answers" frame and "done". It ends at end of input, at a "stop" frame or with ctx.
func RatesMain(ctx context.Context, in io.Reader, out io.Writer) error {
	pipe := drills.NewPipe(in, out)
	var job askJob
	if err := pipe.Spec(&job); err != nil {
		return errors.Join(err, pipe.Send("error", trouble{Text: err.Error()}))
	}
	if err := pipe.Send("ready", readiness{}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var asking sync.WaitGroup
	sent := make(chan error, 1)
	asking.Go(func() { sent <- pipe.Send("answers", askEach(ctx, job.Asks)) })
	pipe.Watch(ctx, 0, nil)
	cancel()
	asking.Wait()
	return errors.Join(<-sent, pipe.Send("done", nil))
}

func askEach(ctx context.Context, asks []namedProbe) []reply {
	out := make([]reply, len(asks))
	var wg sync.WaitGroup
	for i, a := range asks {
		wg.Go(func() { out[i] = askOnce(ctx, a) })
	}
	wg.Wait()
	return out
}

// askOnce makes one request as its probe would.
func askOnce(ctx context.Context, a namedProbe) reply {
	out := reply{Name: a.Name}
	c, err := newHTTPCheck(a.Spec)
	if err != nil {
		out.Why = clip(err.Error())
		return out
	}
	ctx, cancel := context.WithTimeout(ctx, 2*askWithin)
	defer cancel()
	token := ""
	if c.session != nil {
		if _, err := c.session.attempt(ctx); err != nil {
			out.Why = clip("login: " + err.Error())
			return out
		}
		token, _ = c.session.get()
	}
	resp, _, bad := request{client: c.client, dial: c.dial, method: c.method, url: a.Spec.URL, headers: a.Spec.Headers, body: a.Spec.Body, token: token}.do(ctx)
	if bad != nil {
		out.Why = bad.text
		return out
	}
	out.Status, out.Header = resp.StatusCode, maps.Clone(resp.Header)
	maps.DeleteFunc(out.Header, func(k string, v []string) bool {
		k = strings.ToLower(k)
		return !strings.Contains(k, "ratelimit") && !strings.Contains(k, "rate-limit") && k != "retry-after" || len(strings.Join(v, "")) > askHeaders
	})
	return out
}
