package verifier

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

const (
	fanOutEvery   = 100 * time.Millisecond
	fanOutClients = 2
	drainFor      = 3 * time.Second // for messages that are late
	drainPoll     = 50 * time.Millisecond
	digestShown   = 16 // characters of the digest that travel with a message
)

// fanOut publishes numbered messages on one instance and receives them with every client of ours, which hold their
// subscriptions as browsers do.
type fanOut struct {
	wsClient
	spec    drills.CanarySpec
	book    *book
	mark    string
	clients []*subscription

	mu     sync.Mutex
	got    []map[int64]bool // per client: which numbers have arrived
	up     []int64          // per client: when it was first connected; 0: not yet
	acked  []int64
	latest arrivals
}

func newFanOut(s drills.CanarySpec, b *book) (*fanOut, error) {
	client, d, err := newHTTPClient(s.TLS)
	if err != nil {
		return nil, err
	}
	if tr, ok := client.Transport.(*http.Transport); ok {
		tr.DisableKeepAlives, tr.MaxIdleConnsPerHost = false, 4
	}
	f := &fanOut{wsClient: wsClient{client: client, dial: d, headers: s.Headers, topic: s.Topic}, spec: s, book: b, mark: newMark()}
	if s.Login != nil {
		f.session = newSession(client, d, *s.Login)
	}
	for _, url := range s.Receive {
		for range s.Clients {
			i := len(f.clients)
			f.got, f.up = append(f.got, map[int64]bool{}), append(f.up, 0)
			f.clients = append(f.clients, newSubscription(&f.wsClient, url,
				func(frame []byte) { f.arrived(i, frame) }, func(up bool, why result) { f.changed(i, up, why) }))
		}
	}
	return f, nil
}

// receivers names the clients of a websocket canary, in their order: by host, numbered.
func receivers(s drills.CanarySpec) []string {
	var out []string
	n := map[string]int{}
	for _, url := range s.Receive {
		host := hostOfURL(url)
		for range s.Clients {
			n[host]++
			out = append(out, fmt.Sprintf("%s #%d", host, n[host]))
		}
	}
	return out
}

// fanOutSpec fills in what is the run's own: a topic that nobody else listens to.
func fanOutSpec(name, run string, s drills.CanarySpec) (drills.CanarySpec, error) {
	if s.PublishURL == "" || len(s.Receive) == 0 {
		return s, drills.Errorf(drills.Input, "give it publish and receive", "canary %s cannot publish or receive", name)
	}
	if !strings.Contains(s.Topic, "{run}") {
		return s, drills.Errorf(drills.Input, "put {run} into its topic", "canary %s would share its topic with others", name)
	}
	s.Topic = strings.ReplaceAll(s.Topic, "{run}", run)
	return s, nil
}

// open logs in and connects to every address once, to see that it can.
func (f *fanOut) open(ctx context.Context) error {
	if err := f.enter(ctx); err != nil {
		return err
	}
	for _, url := range f.spec.Receive {
		conn, why := f.connect(ctx, url)
		if conn == nil {
			return fmt.Errorf("receive at %s: %s (%s)", hostOfURL(url), why.text, why.class)
		}
		if err := conn.CloseNow(); err != nil {
			return errors.Join(fmt.Errorf("receive at %s", hostOfURL(url)), err)
		}
	}
	return nil
}

// enter logs in, again where a busy server refuses at first, as the session does later on.
func (f *fanOut) enter(ctx context.Context) error {
	for f.session != nil {
		_, err := f.session.attempt(ctx)
		if err == nil {
			return nil
		}
		if !drills.Wait(ctx, loginRetry) {
			return fmt.Errorf("login: %w", err)
		}
	}
	return nil
}

// keep holds the token and the subscriptions.
func (f *fanOut) keep(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	if f.session != nil {
		wg.Go(func() { f.session.keep(ctx, func() {}) })
	}
	for _, c := range f.clients {
		wg.Go(func() { c.keep(ctx, func() {}) })
	}
}

// check publishes message number seq. Timeout means: it may have been passed on, nobody said so.
func (f *fanOut) check(ctx context.Context, seq int64) result {
	if !f.ready() {
		return result{Observer, "not every client has been connected yet"}
	}
	token, why := f.token()
	if f.session != nil && token == "" {
		return beforeSending(why)
	}
	at := drills.Monotonic()
	f.book.note(seq, at)
	id := f.mark + itoa(seq) + "." + f.book.digest(seq, at)[:digestShown] + "."
	_, out := posted(ctx, f.posting(f.spec.PublishURL, token, f.message(f.spec.Body, id)), f.spec.Expect)
	if out.class == Unauthorised && f.session != nil {
		f.session.refused()
	}
	if out.class == Good {
		f.mu.Lock()
		f.acked = append(f.acked, seq)
		f.mu.Unlock()
	}
	return out
}

// ready tells whether every client has been connected once, for long enough that the server knows its topic: what was
// published before would only show that we were early.
func (f *fanOut) ready() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, at := range f.up {
		if at == 0 || drills.Monotonic()-at < int64(wsSettle) {
			return false
		}
	}
	return true
}

func (f *fanOut) changed(client int, up bool, why result) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := drills.Monotonic()
	if up && f.up[client] == 0 {
		f.up[client] = at
	}
	f.latest.Links = append(f.latest.Links, link{Client: client, Up: up, At: at, Why: why.text})
}

// arrived notes one frame, when it is a message of ours.
func (f *fanOut) arrived(client int, frame []byte) {
	at := drills.Monotonic()
	_, after, found := strings.Cut(string(frame), f.mark)
	if !found {
		return
	}
	num, rest, _ := strings.Cut(after, ".")
	digest, _, _ := strings.Cut(rest, ".")
	seq, err := strconv.ParseInt(num, 10, 64)
	if err != nil {
		seq = -1
	}
	sent, known := f.book.at(seq)
	altered := int64(0)
	if known && digest != f.book.digest(seq, sent)[:digestShown] {
		altered = 1
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got[client][seq] = true
	f.latest.Rows = append(f.latest.Rows, [4]int64{int64(client), seq, at, altered})
}

func (f *fanOut) arrivals() arrivals {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.latest
	f.latest = arrivals{}
	return out
}

// drain waits until every client has everything that was acknowledged.
func (f *fanOut) drain(ctx context.Context) {
	for end := time.Now().Add(drainFor); !f.complete() && time.Now().Before(end); {
		if !drills.Wait(ctx, drainPoll) {
			return
		}
	}
}

func (f *fanOut) complete() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, got := range f.got {
		for _, seq := range f.acked {
			if !got[seq] {
				return false
			}
		}
	}
	return true
}
