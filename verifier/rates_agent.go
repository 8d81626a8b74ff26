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

	"golang.org/x/sync/errgroup"

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

// askParallel bounds how many targets are asked at a time: learning what may be asked must not be a load itself.
const askParallel = 2

// askTries is how often one is asked that does not answer: a target that is busy for a moment is not one without a limit.
const askTries = 3

func askEach(ctx context.Context, asks []namedProbe) []reply {
	out := make([]reply, len(asks))
	shared := &logins{by: map[string]*tokenOf{}}
	var g errgroup.Group
	g.SetLimit(askParallel)
	for i, a := range asks {
		g.Go(func() error {
			for try := range askTries {
				if out[i] = askOnce(ctx, a, shared); out[i].Status != 0 || try == askTries-1 || !drills.Wait(ctx, time.Second) {
					break
				}
			}
			return nil
		})
	}
	_ = g.Wait() // what was not answered is in the reply
	return out
}

// logins are the tokens of this asking: one login for all who log in alike, since a login is the dearest request of all.
type logins struct {
	mu sync.Mutex
	by map[string]*tokenOf
}

type tokenOf struct {
	mu    sync.Mutex
	token string
}

// token logs in once per way of logging in; a login that failed is tried again by the next who needs it.
func (l *logins) token(ctx context.Context, x *drills.Login, s *session) (string, error) {
	l.mu.Lock()
	key := x.URL + " " + x.Username
	t := l.by[key]
	if t == nil {
		t = &tokenOf{}
		l.by[key] = t
	}
	l.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token != "" {
		return t.token, nil
	}
	if _, err := s.attempt(ctx); err != nil {
		return "", err
	}
	t.token, _ = s.get()
	return t.token, nil
}

// askOnce makes one request as its probe would.
func askOnce(ctx context.Context, a namedProbe, shared *logins) reply {
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
		if token, err = shared.token(ctx, a.Spec.Login, c.session); err != nil {
			out.Why = clip("login: " + err.Error())
			return out
		}
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
