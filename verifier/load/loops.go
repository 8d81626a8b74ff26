package load

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eevans-d/simulacro/verifier/load/epoll"
)

// loops is the engine with a raw epoll loop.
type loops struct {
	mu   sync.Mutex
	loop *epoll.Loop
	note string
}

func (e *loops) name() string { return "epoll loop" }

// window of handshakes in flight: a target's backlog is no place to measure its capacity.
const window = 64

// hold implements engine.
func (e *loops) hold(ctx context.Context, p plan, b *book) error {
	h, err := newVoice(ctx, p, b)
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.loop = h.loop
	e.mu.Unlock()
	err = h.run(ctx)
	if why := h.loop.Unscheduled(); why != nil {
		e.say(fmt.Sprintf("not under SCHED_FIFO: %v", why))
	} else if p.Realtime {
		e.say("receive loop under SCHED_FIFO")
	}
	return err
}

func (e *loops) say(text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.note = text
}

// remark implements engine.
func (e *loops) remark() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.note
}

// cut implements engine.
func (e *loops) cut() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.loop != nil {
		e.loop.Cut()
	}
}

// voice speaks for all connections of a loop: subscribes, takes messages, answers the application's pings.
type voice struct {
	plan   plan
	book   *book
	conns  []seen
	loop   *epoll.Loop
	offset int64 // the loop's clock to the book's
	token  atomic.Pointer[string]
	told   func(id int, err error) // nil, or called when a connection has joined (no error) and when it has ended
}

// newVoice makes a loop for the plan's connections, which its run opens.
func newVoice(ctx context.Context, p plan, b *book) (*voice, error) {
	targets, err := resolve(ctx, p.Targets)
	if err != nil {
		return nil, err
	}
	h := &voice{plan: p, book: b, conns: make([]seen, p.count)}
	h.loop, err = epoll.New(epoll.Options{
		Connections: p.count, First: p.first, Targets: targets, Hosts: p.Targets, Sources: p.sources, Path: h.path,
		Ramp: p.Ramp.D(), Window: window, HandshakeTimeout: handshakeTimeout, Backoff: backoff, Settled: settledAfter,
		ReceiveBuffer: cmp.Or(p.receive, receiveBuffer), Limit: largest, Goodbye: goodbyes, Once: p.once, Realtime: p.Realtime,
	}, h)
	if err != nil {
		return nil, err
	}
	h.offset = b.clock.of(h.loop.Base())
	return h, nil
}

// run holds the connections until ctx ends.
func (v *voice) run(ctx context.Context) error {
	fresh, stop := context.WithCancel(ctx)
	defer stop()
	if err := v.renew(fresh); err != nil {
		return err
	}
	var keeper sync.WaitGroup
	keeper.Go(func() { v.keepFresh(fresh) })
	ran := make(chan error, 1)
	go func() { ran <- v.loop.Run(ctx) }() // a goroutine of its own: it owns a thread
	err := <-ran
	stop()
	keeper.Wait()
	return err
}

// path implements epoll.Options: it must not block, so the token is kept fresh elsewhere.
func (v *voice) path() string {
	token := ""
	if t := v.token.Load(); t != nil {
		token = *t
	}
	return withToken(v.plan.Path, token)
}

func (v *voice) renew(ctx context.Context) error {
	token, err := v.plan.tokens.get(ctx)
	if err != nil {
		return tokenError{err}
	}
	v.token.Store(&token)
	return nil
}

// tokenEvery is how often the token is looked after; asking costs nothing while it is good.
const tokenEvery = 200 * time.Millisecond

func (v *voice) keepFresh(ctx context.Context) {
	for pause(ctx, time.Now().Add(tokenEvery)) {
		_ = v.renew(ctx) // the old one goes on being used; refusals are counted
	}
}

// Opened implements epoll.Handler.
func (v *voice) Opened(l *epoll.Loop, id int, began int64) {
	topic := v.plan.topic()
	if topic == "" {
		v.joined(id, time.Duration(l.Now()-began))
		return
	}
	l.Deadline(id, confirmTimeout)
	_ = l.Send(id, subscription(topic)) // a socket that is gone says so itself
}

func (v *voice) joined(id int, took time.Duration) {
	v.book.joined(&v.conns[id], took)
	if v.told != nil {
		v.told(id, nil)
	}
}

// Message implements epoll.Handler.
func (v *voice) Message(l *epoll.Loop, id int, m epoll.Message) error {
	s := &v.conns[id]
	if s.joined != 0 {
		kernel := m.Arrived
		if kernel != 0 {
			kernel += v.offset
		}
		if v.book.arrived(s, m.Payload, m.Read+v.offset, kernel) {
			return nil
		}
	} else if bytes.Contains(m.Payload, v.book.marker) {
		return nil // sent after the target subscribed us and before it told us
	}
	switch reply := read(m.Payload, s.joined != 0); reply {
	case answerPong:
		return l.Send(id, pongMessage())
	case subscribed:
		l.Deadline(id, 0)
		v.joined(id, time.Duration(l.Now()-l.Began(id)))
	case refused:
		return refusal(m.Payload)
	}
	return nil
}

// Ended implements epoll.Handler.
func (v *voice) Ended(id int, opened bool, err error) {
	s := &v.conns[id]
	if s.joined != 0 {
		v.book.ended(s, err, errors.Is(err, epoll.ErrCut))
		if v.told != nil {
			v.told(id, err)
		}
		return
	}
	if opened && timedOut(err) {
		err = errUnconfirmed
	}
	if errors.Is(err, epoll.ErrEOF) {
		err = io.EOF
	}
	if unauthorised(err) {
		if t := v.token.Load(); t != nil {
			v.plan.tokens.refused(*t)
		}
	}
	v.book.failed(s, err)
}
