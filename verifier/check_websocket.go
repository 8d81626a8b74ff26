package verifier

import (
	"context"
	"strconv"
	"strings"
	"sync"

	"github.com/eevans-d/simulacro/drills"
)

// wsCheck publishes a numbered message by HTTP and waits until it comes back on a subscription that is held all the
// time, as a user's browser holds it. Delivery counts, not the publisher's answer.
type wsCheck struct {
	wsClient
	spec  drills.ProbeSpec
	mark  string // begins every message of ours
	sub   *subscription
	posts sync.WaitGroup

	mu      sync.Mutex
	waiting map[int64]chan result
}

func newWebSocketCheck(s drills.ProbeSpec) (*wsCheck, error) {
	client, d, err := newHTTPClient(s.TLS)
	if err != nil {
		return nil, err
	}
	c := &wsCheck{
		wsClient: wsClient{client: client, dial: d, headers: s.Headers, topic: s.Topic},
		spec:     s, mark: newMark(), waiting: map[int64]chan result{},
	}
	if s.Login != nil {
		c.session = newSession(client, d, *s.Login)
	}
	c.sub = newSubscription(&c.wsClient, s.URL, c.arrived, func(up bool, why result) {
		if !up {
			c.broke(why)
		}
	})
	return c, nil
}

// keep holds the token and the subscription until ctx is done.
func (c *wsCheck) keep(ctx context.Context, opened func()) {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer c.posts.Wait()
	loggedIn := make(chan struct{})
	if c.session == nil {
		close(loggedIn)
	} else {
		var once sync.Once
		wg.Go(func() { c.session.keep(ctx, func() { once.Do(func() { close(loggedIn) }) }) })
	}
	select {
	case <-loggedIn:
	case <-ctx.Done():
		return
	}
	c.sub.keep(ctx, opened)
}

func (c *wsCheck) check(ctx context.Context, seq int64) result {
	token, why := c.token()
	if c.session != nil && token == "" {
		return why
	}
	if up, why := c.sub.state(); !up {
		return why
	}
	back := c.await(seq)
	defer c.forget(seq)
	posted := make(chan result, 1)
	// The post outlives the check: cutting it off once the message is back could cut the delivery to others short.
	postCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 4*c.spec.Timeout.D())
	c.posts.Go(func() { defer cancel(); posted <- c.publish(postCtx, token, seq) })
	for text := "no answer to the publishing request in time"; ; {
		select {
		case r := <-back:
			return r
		case r := <-posted:
			if r.class != Good {
				return r
			}
			posted, text = nil, "published, not delivered in time"
		case <-ctx.Done():
			return result{Timeout, text}
		}
	}
}

func (c *wsCheck) publish(ctx context.Context, token string, seq int64) result {
	resp, body, bad := c.posting(c.spec.PublishURL, token, c.body(seq)).do(ctx)
	if bad != nil {
		return *bad
	}
	out := judge(resp, body, c.spec.Expect)
	if out.class == Unauthorised && c.session != nil {
		c.session.refused()
	}
	return out
}

func (c *wsCheck) body(seq int64) string {
	return c.message(c.spec.Body, c.mark+strconv.FormatInt(seq, 10)+".")
}

func (c *wsCheck) await(seq int64) <-chan result {
	ch := make(chan result, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting[seq] = ch
	return ch
}

func (c *wsCheck) forget(seq int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, seq)
}

// arrived hands a received frame to the probe whose number is in it; frames of others are ignored.
func (c *wsCheck) arrived(frame []byte) {
	_, after, found := strings.Cut(string(frame), c.mark)
	if !found {
		return
	}
	num, _, _ := strings.Cut(after, ".")
	seq, err := strconv.ParseInt(num, 10, 64)
	if err != nil {
		return
	}
	c.tell(seq, good())
}

func (c *wsCheck) tell(seq int64, r result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch := c.waiting[seq]; ch != nil {
		select {
		case ch <- r:
		default: // a duplicate
		}
	}
}

// broke tells every waiting probe that the subscription is gone.
func (c *wsCheck) broke(r result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ch := range c.waiting {
		select {
		case ch <- r:
		default:
		}
	}
}
