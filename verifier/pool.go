package verifier

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"
)

// dialSpacing is the least time between two connections that a pool begins to open, and dialAtMost how long one may take. A
// server that answered the last one slowly is given dialSlow times as long, up to dialRarest: one that is out of breath is not
// helped by more handshakes. One that does not answer at all is tried as often as before. Opening is kept apart from the
// single write or probe: were a slow handshake cut off at a probe's timeout and begun again with the next, twenty times a
// second, the observer itself would hold a struggling server down. Where nobody listens there is nobody to hold down: after a
// refused connection the next may be tried at once, so that whoever asks learns of the server's return at once.
const (
	dialSpacing = 100 * time.Millisecond
	dialSlow    = 3
	dialRarest  = time.Second
	dialAtMost  = 3 * time.Second
)

// dropper is a connection that can be dropped without waiting.
type dropper interface{ drop() }

// pool keeps connections of one client, opened on demand in the background. Safe for concurrent use.
type pool[T dropper] struct {
	open func(context.Context) (T, error)
	once bool // a new connection for every use

	mu      sync.Mutex
	idle    []T
	waiting []chan handed[T]
	epoch   int // raised by renew: connections of earlier epochs are dropped on return
	issued  map[any]int
	last    time.Time     // when the last dial began; zero: it was refused
	spacing time.Duration // to the next dial, at least
	later   bool          // a dial is put off until it may begin
	closed  bool
	work    sync.WaitGroup // dials and late exchanges
}

type handed[T any] struct {
	conn T
	err  error
}

func newPool[T dropper](open func(context.Context) (T, error)) *pool[T] {
	return &pool[T]{open: open, issued: map[any]int{}, spacing: dialSpacing}
}

// get returns an idle connection (reused is true) or waits until ctx for a new one. Dial errors are handed to those who wait.
func (p *pool[T]) get(ctx context.Context) (conn T, reused bool, err error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		conn = p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return conn, true, nil
	}
	w := make(chan handed[T], 1)
	p.waiting = append(p.waiting, w)
	p.dialMaybe()
	p.mu.Unlock()
	select {
	case h := <-w:
		return h.conn, false, h.err
	case <-ctx.Done():
		p.leave(w)
		return conn, false, ctx.Err()
	}
}

// dialMaybe opens a connection unless one was begun just before. The lock is held.
func (p *pool[T]) dialMaybe() {
	now := time.Now()
	if p.closed {
		return
	}
	if gap := p.spacing - now.Sub(p.last); !p.once && gap > 0 {
		p.dialLater(gap)
		return
	}
	p.last = now
	epoch := p.epoch
	p.work.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), dialAtMost)
		defer cancel()
		conn, err := p.open(ctx)
		p.arrived(handed[T]{conn, err}, epoch, time.Since(now))
	})
}

// dialLater opens a connection once it may, if somebody still waits for one then: nobody else may come and ask. The lock is held.
func (p *pool[T]) dialLater(gap time.Duration) {
	if p.later {
		return
	}
	p.later = true
	p.work.Go(func() {
		<-time.After(gap) // close waits for it
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.later = false; len(p.waiting) > 0 {
			p.dialMaybe()
		}
	})
}

// arrived hands a new connection to the one who has waited longest, or why there is none to all: with fewer dials than
// waiters, each would otherwise learn only that its time was over.
func (p *pool[T]) arrived(h handed[T], epoch int, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.err == nil {
		p.spacing = min(max(dialSpacing, dialSlow*took), dialRarest)
		p.issued[h.conn] = epoch
		p.lend(h.conn)
		return
	}
	if errors.Is(h.err, syscall.ECONNREFUSED) {
		p.last, p.spacing = time.Time{}, dialSpacing
	}
	for _, w := range p.waiting {
		w <- h
	}
	p.waiting = nil
}

// lend gives a connection to the one who has waited longest, else shelves it. The lock is held.
func (p *pool[T]) lend(conn T) {
	if len(p.waiting) == 0 || p.issued[conn] != p.epoch {
		p.shelve(conn)
		return
	}
	w := p.waiting[0]
	p.waiting = p.waiting[1:]
	w <- handed[T]{conn: conn}
}

// shelve keeps a connection or drops it. The lock is held.
func (p *pool[T]) shelve(conn T) {
	if p.closed || p.once || p.issued[conn] != p.epoch {
		p.forget(conn)
		return
	}
	p.idle = append(p.idle, conn)
}

// forget drops a connection; whoever still waits for one gets another, even if nobody else comes and asks. The lock is held.
func (p *pool[T]) forget(conn T) {
	delete(p.issued, conn)
	conn.drop()
	if !p.once && len(p.waiting) > 0 {
		p.dialMaybe()
	}
}

// leave takes a waiter off the list; what was handed to it meanwhile is kept for others.
func (p *pool[T]) leave(w chan handed[T]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, x := range p.waiting {
		if x == w {
			p.waiting = append(p.waiting[:i:i], p.waiting[i+1:]...)
			return
		}
	}
	if h := <-w; h.err == nil {
		p.lend(h.conn)
	}
}

// put gives back a connection that works.
func (p *pool[T]) put(conn T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.once {
		p.shelve(conn)
		return
	}
	p.lend(conn)
}

// discard drops a connection that does not work.
func (p *pool[T]) discard(conn T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(conn)
}

// use runs one exchange on a connection and gives it back, or drops it when the exchange fails and usable says so. Where the answer is late
// (ctx ends first) use returns, but the exchange is given until patience is over: dropping a connection because a
// struggling server is late, and opening another, would make its struggle worse.
func (p *pool[T]) use(ctx context.Context, patience time.Duration, conn T, exchange func(context.Context, T) error, usable func(error) bool) error {
	done := make(chan error, 1)
	p.work.Go(func() {
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		err := exchange(own, conn)
		if err == nil || usable(err) {
			p.put(conn)
		} else {
			p.discard(conn)
		}
		done <- err
	})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// patience is how long a late answer is waited for before its connection is dropped.
func patience(timeout time.Duration) time.Duration { return 2*timeout + 500*time.Millisecond }

// renew drops what is idle now and what is in use as soon as it is given back.
func (p *pool[T]) renew() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch++
	for _, c := range p.idle {
		p.forget(c)
	}
	p.idle = nil
}

// close drops everything and waits for dials and exchanges under way.
func (p *pool[T]) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.renew()
	p.work.Wait()
}
