package epoll

import (
	"sync"

	"golang.org/x/sys/unix"
)

// errands are what other goroutines want done on the loop's thread.
type errands struct {
	mu   sync.Mutex
	list []func()
}

func (e *errands) add(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, f)
}

func (e *errands) run() {
	e.mu.Lock()
	list := e.list
	e.list = nil
	e.mu.Unlock()
	for _, f := range list {
		f()
	}
}

// Do has f run on the loop's thread, between two turns. A loop that has ended runs nothing more. Safe for other goroutines.
func (l *Loop) Do(f func()) {
	l.errands.add(f)
	l.bell.ring()
}

// Take gives up connection id: its socket is the caller's from now on, to watch and to close, and the loop does not open it
// again. ok is false when the connection is not open, or has something to say that the socket has not taken. Only for the
// loop's thread (Do), and not from within a Handler.
func (l *Loop) Take(id int) (fd int, ok bool) {
	c := &l.conns[id]
	if c.state != open || c.unsent {
		return -1, false
	}
	if err := unix.EpollCtl(l.ep, unix.EPOLL_CTL_DEL, int(c.fd), nil); err != nil {
		return -1, false
	}
	l.forget(int32(id))
	fd, c.fd, c.state = int(c.fd), -1, ended
	l.live--
	return fd, true
}
