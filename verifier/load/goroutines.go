package load

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
)

const (
	// dialing at once: a target's backlog is no place to measure its capacity.
	dialing          = 128
	handshakeTimeout = 10 * time.Second
	confirmTimeout   = 10 * time.Second
	writeTimeout     = 5 * time.Second
	// a connection that lived so long starts its backoff anew when it drops.
	settledAfter = 10 * time.Second
	// goodbyes is how long saying goodbye may take over all connections.
	goodbyes = 2 * time.Second
	// receiveBuffer bounds what the kernel keeps for a connection of ours.
	receiveBuffer = 32 << 10
)

// goroutines is the engine with one goroutine per connection over gobwas/ws: TLS and compression, some 5 KiB a connection
// in the clear and some 40 KiB over TLS.
type goroutines struct {
	plan    plan
	book    *book
	seen    []seen
	buffers sync.Pool
	dialing chan struct{}

	mu    sync.Mutex
	conns []net.Conn // by connection number; nil while it is not open
	cuts  []bool     // by connection number: we reset it
	ended bool
}

func newGoroutines() *goroutines {
	return &goroutines{dialing: make(chan struct{}, dialing), buffers: sync.Pool{New: func() any { return new([readSize]byte) }}}
}

func (e *goroutines) name() string { return "goroutine per connection (gobwas/ws)" }

func (e *goroutines) remark() string { return "" }

// hold implements engine.
func (e *goroutines) hold(ctx context.Context, p plan, b *book) error {
	e.plan, e.book, e.seen = p, b, make([]seen, p.count)
	e.mu.Lock()
	e.conns, e.cuts = make([]net.Conn, p.count), make([]bool, p.count)
	e.mu.Unlock()
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(ended); e.goodbye() })
	var all sync.WaitGroup
	start := time.Now()
	for i := range p.count {
		if !pause(ctx, start.Add(p.Ramp.D()*time.Duration(i)/time.Duration(p.count))) {
			break
		}
		all.Go(func() { e.keep(ctx, i) })
	}
	all.Wait()
	if !stop() {
		<-ended
	}
	return nil
}

// keep holds connection i until ctx ends, opening it again whenever it fails or is dropped.
func (e *goroutines) keep(ctx context.Context, i int) {
	tries, s := 0, &e.seen[i]
	for {
		began := time.Now()
		err := e.once(ctx, i)
		joined := s.joined != 0
		if ctx.Err() != nil {
			return
		}
		if joined {
			e.book.ended(s, err, e.wasCut(i))
		} else {
			e.book.failed(s, err)
		}
		if joined && time.Since(began) > settledAfter {
			tries = 0
		}
		if !pause(ctx, time.Now().Add(backoff(tries))) {
			return
		}
		tries++
	}
}

// once opens connection i and reads until it ends.
func (e *goroutines) once(ctx context.Context, i int) error {
	began := time.Now()
	conn, early, err := e.dialAside(ctx, e.plan.Targets[(e.plan.first+i)%len(e.plan.Targets)])
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing is left to say to it
	e.register(i, conn)
	defer e.register(i, nil)
	in, err := newInbox(conn, &e.buffers, e.plan.Compress)
	if err != nil {
		return err
	}
	m := &member{conn: conn, book: e.book, began: began, seen: &e.seen[i]}
	if err = m.subscribe(e.plan.topic()); err == nil && len(early) > 0 {
		err = in.feed(early, m.handle)
	}
	for err == nil {
		err = in.read(m.handle)
	}
	if m.seen.joined == 0 && timedOut(err) {
		err = errUnconfirmed
	}
	return err
}

// dialAside dials on a goroutine of its own and waits for it: a handshake needs a stack several times that of holding,
// and a stack that has grown would stay with the connection.
func (e *goroutines) dialAside(ctx context.Context, target string) (conn net.Conn, early []byte, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, early, err = e.dial(ctx, target)
	}()
	<-done
	return conn, early, err
}

// dial connects and shakes hands; early is what came with the server's answer.
func (e *goroutines) dial(ctx context.Context, target string) (net.Conn, []byte, error) {
	select {
	case e.dialing <- struct{}{}:
		defer func() { <-e.dialing }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	token, err := e.plan.tokens.get(ctx)
	if err != nil {
		return nil, nil, tokenError{err}
	}
	d := ws.Dialer{Timeout: handshakeTimeout, ReadBufferSize: 1024, WriteBufferSize: 1024, NetDial: e.dialTCP, TLSConfig: e.plan.secure}
	if e.plan.Compress {
		d.Extensions = []httphead.Option{wsflate.Parameters{ServerNoContextTakeover: true, ClientNoContextTakeover: true}.Option()}
	}
	conn, br, _, err := d.Dial(ctx, e.plan.scheme()+"://"+target+withToken(e.plan.Path, token))
	if err != nil {
		if unauthorised(err) {
			e.plan.tokens.refused(token)
		}
		return nil, nil, err
	}
	var early []byte
	if br != nil {
		early, _ = br.Peek(br.Buffered())
		early = append([]byte(nil), early...)
		ws.PutReader(br)
	}
	return conn, early, nil
}

// dialTCP notices a peer that vanished (a cut network sends no end) within half a minute.
func (e *goroutines) dialTCP(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: e.source(), KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}}
	c, err := d.DialContext(ctx, network, addr)
	if t, ok := c.(*net.TCPConn); ok && err == nil {
		_ = t.SetReadBuffer(receiveBuffer) // smaller memory, not a condition
	}
	return c, err
}

// source is the address to connect from; nil: the kernel's choice.
func (e *goroutines) source() net.Addr {
	if len(e.plan.sources) == 0 {
		return nil
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(e.plan.sources[rand.IntN(len(e.plan.sources))], 0))
}

// cut implements engine.
func (e *goroutines) cut() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, c := range e.conns {
		if c == nil || e.ended {
			continue
		}
		e.cuts[i] = true
		if t, ok := c.(*net.TCPConn); ok {
			_ = t.SetLinger(0)
		}
		_ = c.SetDeadline(time.Now()) // a TLS connection would say goodbye first, and wait for it
		_ = c.Close()
	}
}

// wasCut tells, once, whether connection i was reset by us.
func (e *goroutines) wasCut(i int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	cut := e.cuts[i]
	e.cuts[i] = false
	return cut
}

// register keeps the open connection for goodbye; one that opens after it is closed at once.
func (e *goroutines) register(i int, c net.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conns[i] = c
	if e.ended && c != nil {
		_ = c.Close()
	}
}

// goodbye closes every connection with a close frame; its reader then ends. Closing is what cannot be undone by a
// deadline set meanwhile, so a reader cannot miss it.
func (e *goroutines) goodbye() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	bye := masked(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, "")))
	until := time.Now().Add(goodbyes)
	for _, c := range e.conns {
		if c == nil {
			continue
		}
		if now := time.Now(); now.Before(until) {
			_ = c.SetWriteDeadline(now.Add(10 * time.Millisecond))
			_, _ = c.Write(bye)
		}
		_ = c.Close()
	}
}
