package between

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// requests serves a connection that should speak HTTP/1.x, one request after the other.
func (l *link) requests() {
	if ok, err := startsLikeHTTP(l.cr); err != nil || !ok {
		if err == nil {
			l.foreign()
		}
		return
	}
	w := &watch{link: l}
	defer func() {
		l.close() // ends the watch
		_ = w.wait()
	}()
	for {
		w.start()
		head, err := readHead(l.cr)
		if err != nil && !errors.Is(err, errNotHTTP) {
			return
		}
		req, perr := parseRequest(head)
		if err != nil || perr != nil {
			l.stray(head, w)
			return
		}
		l.begin()
		keep := (&exchange{link: l, watch: w, head: head, req: req, rule: l.proxy.decide(req), began: time.Now()}).run()
		if !l.rest() || !keep {
			return
		}
	}
}

// foreign lets a connection of another protocol pass.
func (l *link) foreign() {
	l.proxy.count(func(c *Counts) { c.Foreign++ })
	l.splice()
}

// stray hands on what is not a request after all, and all that the dependency says to it.
func (l *link) stray(head []byte, w *watch) {
	l.proxy.count(func(c *Counts) { c.Foreign++ })
	if l.connect() != nil || l.server == nil {
		l.reset()
		return
	}
	if _, err := l.server.Write(head); err == nil && w.wait() == nil {
		l.splice()
	}
}

// watch looks at the dependency's side while no exchange is under way, so that a connection that it closes is closed to
// the client at once, as it would be without us.
type watch struct {
	link *link
	seen chan error // of the look that is under way; nil: none
}

// start looks ahead, unless a look is under way.
func (w *watch) start() {
	if w.seen != nil || w.link.sr == nil {
		return
	}
	seen, from := make(chan error, 1), w.link.sr
	w.seen = seen
	go func() {
		_, err := from.Peek(1)
		seen <- err
		if err != nil && w.link.resting() {
			w.link.close()
		}
	}()
}

// gone tells whether the dependency has closed the connection already; it does not wait.
func (w *watch) gone() bool {
	if w.seen == nil {
		return false
	}
	select {
	case err := <-w.seen:
		w.seen = nil
		return err != nil
	default:
		return false
	}
}

// wait waits until the dependency says something or closes.
func (w *watch) wait() error {
	if w.seen == nil {
		return nil
	}
	err := <-w.seen
	w.seen = nil
	return err
}

// exchange is one request and its answer.
type exchange struct {
	link  *link
	watch *watch
	head  []byte
	req   *http.Request
	rule  *Rule // nil: it passes
	began time.Time
}

// run is false when the connection has come to its end.
func (x *exchange) run() (keep bool) {
	r := x.rule
	if r != nil && r.Delay > 0 && r.Body == nil && r.Status == nil && r.Abort == "" {
		x.link.proxy.hit("delay")
	}
	switch {
	case r == nil:
	case r.Status != nil:
		return x.answer(*r.Status)
	case r.Abort == Reset || r.Abort == Close:
		return x.abort(r.Abort)
	}
	return x.forward()
}

// hold waits until the answer may go.
func (x *exchange) hold() {
	if x.rule != nil && x.rule.Delay > 0 {
		x.link.proxy.hold(x.began.Add(x.rule.Delay.D()))
	}
}

// abort breaks the exchange off before the dependency is asked.
func (x *exchange) abort(how string) (keep bool) {
	if how == Close && !x.waits() { // closing on what is not read would be a reset
		_ = copyBody(io.Discard, x.link.cr, requestFraming(x.req), untouched)
	}
	x.hold()
	x.link.proxy.hit(how)
	if how == Reset {
		x.link.reset()
	}
	return false
}

// waits tells whether the client holds its body back until it is asked for it.
func (x *exchange) waits() bool { return strings.EqualFold(x.req.Header.Get("Expect"), "100-continue") }

// answer answers instead of the dependency, which is not asked.
func (x *exchange) answer(s Status) (keep bool) {
	keep = !x.req.Close
	if x.waits() {
		keep = false // and never sends it
	} else if err := copyBody(io.Discard, x.link.cr, requestFraming(x.req), untouched); err != nil {
		return false
	}
	x.hold()
	x.link.proxy.hit("status")
	_, err := x.link.client.Write(s.bytes(x.req.Method, keep))
	return keep && err == nil
}

// forward asks the dependency and lets its answer pass, or what the rule leaves of it.
func (x *exchange) forward() (keep bool) {
	l := x.link
	if x.watch.gone() {
		l.lost() // it closed while nothing was asked: a client without us would have seen that and connected anew
	}
	if l.connect() != nil || l.server == nil {
		l.reset()
		return false
	}
	if _, err := l.server.Write(x.head); err != nil {
		return false
	}
	body := make(chan error, 1)
	go func() { body <- copyBody(l.server, l.cr, requestFraming(x.req), untouched) }()
	keep, upgraded := x.answers()
	if !keep && !upgraded {
		l.close() // also ends a body that nobody reads
	}
	if err := <-body; err != nil {
		return false
	}
	if upgraded {
		l.splice()
	}
	return keep
}

// answers passes the answers to one request: any number of provisional ones and the last.
func (x *exchange) answers() (keep, upgraded bool) {
	l := x.link
	if x.watch.wait() != nil {
		return false, false
	}
	for {
		head, err := readHead(l.sr)
		if err != nil {
			return false, false
		}
		resp, err := parseResponse(head, x.req)
		if err != nil {
			_, _ = l.client.Write(head) // whatever it is, it is the client's
			_ = copySome(l.client, l.sr, -1, untouched)
			return false, false
		}
		upgraded = resp.StatusCode == http.StatusSwitchingProtocols || x.req.Method == http.MethodConnect && resp.StatusCode/100 == 2
		if resp.StatusCode < 200 && !upgraded {
			if _, err := l.client.Write(head); err != nil {
				return false, false
			}
			continue
		}
		x.hold()
		f := responseFraming(resp, x.req.Method)
		if upgraded {
			_, err := l.client.Write(head)
			return false, err == nil
		}
		err = x.finish(head, f)
		return err == nil && !resp.Close && !x.req.Close && (f.chunked || f.length >= 0), false
	}
}

// errSpoiled ends an exchange as the rule wants it.
var errSpoiled = errors.New("ended by the rule")

// finish passes the last answer.
func (x *exchange) finish(head []byte, f framing) error {
	l, r := x.link, x.rule
	switch {
	case r != nil && r.Abort == LoseAnswer:
		l.proxy.hit(LoseAnswer)
		l.reset()
		return errSpoiled
	case r != nil && r.Body != nil && !f.empty():
		return x.spoil(head, f, *r.Body)
	}
	return x.pass(head, f, untouched)
}

func (x *exchange) pass(head []byte, f framing, p payload) error {
	if _, err := x.link.client.Write(head); err != nil {
		return err
	}
	return copyBody(x.link.client, x.link.sr, f, p)
}

// spoil passes the answer with another body. What was done is counted when it was: a body shorter than what would be cut
// off is not hit.
func (x *exchange) spoil(head []byte, f framing, b Body) error {
	l := x.link
	switch {
	case b.Replace != nil:
		if err := copyBody(io.Discard, l.sr, f, untouched); err != nil {
			return err
		}
		l.proxy.hit("body replaced")
		_, err := l.client.Write(append(resized(head, len(*b.Replace)), *b.Replace...))
		return err
	case b.Truncate != nil:
		left := *b.Truncate
		return x.pass(head, f, func(p []byte) (int, error) {
			if n := int64(len(p)); n <= left {
				left -= n
				return len(p), nil
			}
			l.proxy.hit("body truncated")
			return int(left), errSpoiled
		})
	}
	first := true
	return x.pass(head, f, func(p []byte) (int, error) {
		if first {
			l.proxy.hit("body corrupted")
		}
		l.proxy.flip(p, b.Corrupt, first)
		first = false
		return len(p), nil
	})
}

// flip flips a bit in the first byte, if asked for, and in a share of the others.
func (p *Proxy) flip(b []byte, share float64, first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range b {
		if first && i == 0 || p.rng.Float64() < share {
			b[i] ^= 1 << p.rng.IntN(8)
		}
	}
}
