package between

import (
	"net"
	"sync"
	"time"
)

// talk is a connection whose protocol is not read: it has turns. What the client sends after the server has spoken begins
// one, and the server's next word ends it. Requests sent without waiting are one turn.
type talk struct {
	*link
	mu    sync.Mutex
	asked bool      // the turn is under way
	until time.Time // the answer may not go before
	lose  bool      // the answer is lost
}

// turns serves such a connection. The dependency is reached at once: it may be the first to speak.
func (l *link) turns() {
	if l.connect() != nil || l.server == nil {
		l.reset()
		return
	}
	t := &talk{link: l}
	var back sync.WaitGroup
	back.Go(func() { pump(l.client, l.sr, t.answered) })
	pump(l.server, l.cr, t.asks)
	back.Wait()
}

// asks sees what the client sends; false ends the connection.
func (t *talk) asks() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.asked {
		return true
	}
	t.asked = true
	t.begin()
	r := t.proxy.decide(nil)
	if r == nil {
		t.until, t.lose = time.Time{}, false
		return true
	}
	t.until, t.lose = time.Now().Add(r.Delay.D()), r.Abort == LoseAnswer
	if r.Abort == "" {
		t.proxy.hit("delay")
		return true
	}
	if t.lose {
		return true
	}
	t.proxy.hold(t.until)
	t.proxy.hit(r.Abort)
	if r.Abort == Reset {
		t.reset()
	}
	return false
}

// answered sees what the server sends, and holds it.
func (t *talk) answered() bool {
	t.mu.Lock()
	asked, until, lose := t.asked, t.until, t.lose
	t.asked = false
	t.mu.Unlock()
	if !asked {
		return true
	}
	if !until.IsZero() {
		t.proxy.hold(until)
	}
	t.rest()
	if lose {
		t.proxy.hit(LoseAnswer)
		t.reset()
		return false
	}
	return true
}

// pump copies one way, asks before each piece whether it may, and hands the end on.
func pump(dst net.Conn, src interface{ Read([]byte) (int, error) }, may func() bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			if !may() {
				break
			}
			if _, werr := dst.Write(buf[:n]); werr != nil {
				break
			}
		}
		if err != nil {
			if c, ok := dst.(interface{ CloseWrite() error }); ok {
				_ = c.CloseWrite() // a peer that is gone needs no end
				return
			}
			break
		}
	}
	_ = dst.Close()
}
