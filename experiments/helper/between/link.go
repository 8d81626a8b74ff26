package between

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"sync"
)

// link is one connection that was led here and the one to where it was going.
type link struct {
	proxy  *Proxy
	client net.Conn
	cr     *bufio.Reader
	to     netip.AddrPort
	busy   bool // in the middle of an exchange; proxy.mu
	tunnel bool // it has no exchanges: what passes is not read; proxy.mu

	mu     sync.Mutex
	server net.Conn // nil: not reached yet
	sr     *bufio.Reader
	ended  bool
}

// connect reaches the dependency, unless it is reached.
func (l *link) connect() error {
	l.mu.Lock()
	there := l.server != nil
	l.mu.Unlock()
	if there {
		return nil
	}
	c, err := l.proxy.reach(l.to)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return c.Close()
	}
	l.server, l.sr = c, bufio.NewReader(c)
	return nil
}

// lost forgets a connection that the dependency has closed.
func (l *link) lost() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.server.Close()
	l.server, l.sr = nil, nil
}

// close ends both connections; it may be called by anybody and more than once.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	_ = l.client.Close()
	if l.server != nil {
		_ = l.server.Close()
	}
}

// reset ends the client's connection as a peer does that has lost its memory.
func (l *link) reset() {
	if c, ok := l.client.(interface{ SetLinger(int) error }); ok {
		_ = c.SetLinger(0) // where it cannot be, the connection is closed in the ordinary way
	}
	l.close()
}

// begin and rest tell whether an exchange is under way. rest is false when the link has no future.
func (l *link) begin() {
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	l.busy = true
}

func (l *link) rest() bool {
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	l.busy = false
	return !l.proxy.over
}

func (l *link) resting() bool {
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	return !l.busy
}

// splice lets everything pass as it comes, both ways, until both sides have ended.
func (l *link) splice() {
	if l.connect() != nil || l.server == nil || !l.opened() {
		l.reset()
		return
	}
	var back sync.WaitGroup
	back.Go(func() { pour(l.client, l.sr) })
	pour(l.server, l.cr)
	back.Wait()
}

// opened makes the link a tunnel; false: it is too late for that.
func (l *link) opened() bool {
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	l.busy, l.tunnel = false, true
	return !l.proxy.over
}

// pour copies one way and hands the end on.
func pour(dst net.Conn, src io.Reader) {
	_, err := io.Copy(dst, src)
	if c, ok := dst.(interface{ CloseWrite() error }); ok && err == nil {
		_ = c.CloseWrite() // a peer that is gone needs no end
		return
	}
	_ = dst.Close()
}
