package verifier

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/coder/websocket"

	"github.com/eevans-d/simulacro/drills"
)

// heldConn is one connection of a witness with the goroutine that reads it.
type heldConn struct {
	url    string
	conn   *websocket.Conn
	ending atomic.Bool   // we are closing it
	over   chan struct{} // closed when nobody reads it any more
}

// hold makes one connection and reads it until it ends.
func (w *witnessing) hold(ctx context.Context, url string) error {
	dial, cancel := context.WithTimeout(ctx, wsHandshake)
	conn, why := w.connect(dial, url)
	cancel()
	if conn == nil {
		return errors.New("connect to " + hostOfURL(url) + ": " + why.text)
	}
	c := &heldConn{url: url, conn: conn, over: make(chan struct{})}
	w.mu.Lock()
	w.held = append(w.held, c)
	w.tally.Connects++
	w.tally.Most = max(w.tally.Most, len(w.held))
	w.last = drills.Monotonic()
	w.mu.Unlock()
	go w.read(ctx, c)
	return nil
}

func (w *witnessing) read(ctx context.Context, c *heldConn) {
	defer close(c.over)
	for {
		_, frame, err := c.conn.Read(ctx)
		w.mu.Lock()
		if err != nil {
			if !c.ending.Load() && ctx.Err() == nil {
				w.tally.Broken++
			}
			w.mu.Unlock()
			return
		}
		w.tally.Received++
		w.last = drills.Monotonic()
		if strings.Contains(string(frame), w.mark) {
			w.tally.Delivered++
		}
		w.mu.Unlock()
	}
}

// take removes the n oldest connections from those that are held.
func (w *witnessing) take(n int) []*heldConn {
	w.mu.Lock()
	defer w.mu.Unlock()
	n = min(n, len(w.held))
	out := w.held[:n:n]
	w.held = w.held[n:]
	return out
}

// shut ends connections in good order: the server knows of it when this returns.
func (w *witnessing) shut(all []*heldConn) {
	for _, c := range all {
		c.ending.Store(true)
		_ = c.conn.Close(websocket.StatusNormalClosure, "") // one that is broken already was counted as such
		<-c.over
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = drills.Monotonic() // it may forget them a moment later
}

// cut ends whatever is left.
func (w *witnessing) cut() {
	for _, c := range w.take(len(w.held)) {
		c.ending.Store(true)
		_ = c.conn.CloseNow()
		<-c.over
	}
}
