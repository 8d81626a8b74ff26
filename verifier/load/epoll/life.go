package epoll

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dial begins an attempt.
func (l *Loop) dial(id int32) {
	c := &l.conns[id]
	c.attempt++
	c.since = l.now
	l.flying++
	c.state = connecting
	fd, err := l.sockets.dial(l.o.First + int(id))
	if err != nil {
		l.fail(id, err)
		return
	}
	c.fd = int32(fd)
	l.live++
	l.wheel.set(l.conns, id, l.now+int64(l.o.HandshakeTimeout))
	if err := l.watch(id, unix.EPOLL_CTL_ADD, unix.EPOLLOUT); err != nil {
		l.fail(id, err)
		return
	}
	l.ask(id) // on a loopback the connection is often there already
}

func (l *Loop) watch(id int32, op int, events uint32) error {
	fd := l.conns[id].fd
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.ep, op, int(fd), &unix.EpollEvent{Events: events, Fd: id}))
}

// ask writes the handshake once the connection is there.
func (l *Loop) ask(id int32) {
	c := &l.conns[id]
	all := l.o.First + int(id)
	l.scratch = appendRequest(l.scratch[:0], l.o.Path(), l.o.Hosts[all%len(l.o.Hosts)], nonce(l.secret, int(id), c.attempt), l.o.Header)
	n, err := unix.Write(int(c.fd), l.scratch)
	if errors.Is(err, unix.EAGAIN) {
		return // not connected yet: the kernel will say
	}
	if err != nil {
		l.fail(id, l.cause(id, os.NewSyscallError("connect", err)))
		return
	}
	c.state = shaking
	if n < len(l.scratch) {
		l.later(id, l.scratch[n:])
		return
	}
	if err := l.watch(id, unix.EPOLL_CTL_MOD, unix.EPOLLIN); err != nil {
		l.fail(id, err)
	}
}

// cause prefers what the socket itself says.
func (l *Loop) cause(id int32, err error) error {
	if code, e := unix.GetsockoptInt(int(l.conns[id].fd), unix.SOL_SOCKET, unix.SO_ERROR); e == nil && code != 0 {
		return os.NewSyscallError("connect", syscall.Errno(code))
	}
	return err
}

// event handles what the kernel reports. It may be about a connection that ended earlier in this batch: reading an empty
// socket, or none, does no harm.
func (l *Loop) event(e unix.EpollEvent) {
	if e.Fd == none {
		l.bell.silence()
		return
	}
	id := e.Fd
	c := &l.conns[id]
	switch c.state {
	case connecting:
		if e.Events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			l.fail(id, l.cause(id, ErrEOF))
			return
		}
		l.ask(id)
	case shaking, open, closing:
		if e.Events&unix.EPOLLOUT != 0 {
			l.flush(id)
		}
		if e.Events&^unix.EPOLLOUT != 0 && c.fd >= 0 {
			l.receive(id)
		}
	}
}

// receive reads once; the kernel reports again if there is more.
func (l *Loop) receive(id int32) {
	c := &l.conns[id]
	data, stamp, err := l.in.read(c.fd)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return
	case err != nil:
		l.fail(id, os.NewSyscallError("read", err))
		return
	case len(data) == 0:
		l.fail(id, ErrEOF)
		return
	}
	l.tick()
	if stamp != 0 {
		stamp -= l.wall
	}
	if c.state == shaking {
		if data, err = l.answer(id, data); err != nil || len(data) == 0 {
			if err != nil {
				l.fail(id, err)
			}
			return
		}
	}
	if err := l.feed(id, data, stamp); err != nil {
		l.refuse(id, err)
	}
}

// answer takes what came of the server's answer and returns what came after it.
func (l *Loop) answer(id int32, data []byte) ([]byte, error) {
	c := &l.conns[id]
	p := l.stash[id]
	if p != nil {
		p.rest = append(p.rest, data...)
		data = p.rest
	}
	size, err := parseAnswer(data, nonce(l.secret, int(id), c.attempt))
	if err != nil {
		return nil, err
	}
	if size == 0 {
		if p == nil {
			l.stash[id], c.stashed = &Parser{rest: append([]byte(nil), data...)}, true
		}
		return nil, nil
	}
	delete(l.stash, id)
	c.stashed = false
	c.state = open
	l.flying--
	l.wheel.clear(l.conns, id)
	l.h.Opened(l, int(id), c.since)
	return data[size:], nil
}

// feed hands on the messages in data. A connection that ended meanwhile, by the handler's doing, takes no more.
func (l *Loop) feed(id int32, data []byte, stamp int64) error {
	c := &l.conns[id]
	p := &l.spare
	if c.stashed {
		p = l.stash[id]
	}
	attempt := c.attempt
	err := p.Feed(data, l.o.Limit, func(op byte, payload []byte) error {
		if c.attempt != attempt || c.fd < 0 {
			return errGone
		}
		return l.take(id, op, payload, stamp)
	})
	switch {
	case err != nil || p.idle():
		l.spare = Parser{}
		if c.stashed {
			delete(l.stash, id)
			c.stashed = false
		}
	case !c.stashed:
		keep := l.spare
		l.spare = Parser{}
		l.stash[id], c.stashed = &keep, true
	}
	return err
}

var errGone = errors.New("the connection has ended") // the handler ended it: there is nobody to tell

func (l *Loop) take(id int32, op byte, payload []byte, stamp int64) error {
	switch op {
	case OpPing:
		return l.write(id, OpPong, payload)
	case OpPong:
		return nil
	case OpClose:
		if l.conns[id].state == open {
			_ = l.write(id, OpClose, payload) // a courtesy: the peer may be gone
		}
		return nil
	}
	if l.conns[id].state != open {
		return nil // we have said goodbye
	}
	return l.h.Message(l, int(id), Message{Text: op == OpText, Payload: payload, Read: l.now, Arrived: stamp})
}

// refuse ends a connection over what it sent.
func (l *Loop) refuse(id int32, err error) {
	if l.conns[id].fd < 0 || errors.Is(err, errGone) {
		return
	}
	var p ProtocolError
	if errors.As(err, &p) && l.conns[id].state == open {
		_ = l.write(id, OpClose, binary.BigEndian.AppendUint16(nil, p.Code))
	}
	l.fail(id, err)
}

// Send writes one text message on an open connection.
func (l *Loop) Send(id int, text []byte) error { return l.write(int32(id), OpText, text) }

// Deadline ends connection id with ErrTimeout after d; zero takes that back.
func (l *Loop) Deadline(id int, d time.Duration) {
	if d == 0 {
		l.wheel.clear(l.conns, int32(id))
		return
	}
	l.wheel.set(l.conns, int32(id), l.now+int64(d))
}

func (l *Loop) write(id int32, op byte, payload []byte) error {
	c := &l.conns[id]
	if c.fd < 0 {
		return io.ErrClosedPipe
	}
	var key [4]byte
	binary.LittleEndian.PutUint32(key[:], uint32(l.masks.Uint64()))
	l.scratch = appendFrame(l.scratch[:0], op, payload, key)
	if c.unsent {
		l.out[id] = append(l.out[id], l.scratch...)
		return nil
	}
	n, err := unix.Write(int(c.fd), l.scratch)
	switch {
	case errors.Is(err, unix.EAGAIN):
		n = 0
	case err != nil:
		return os.NewSyscallError("write", err)
	}
	if n < len(l.scratch) {
		l.later(id, l.scratch[n:])
	}
	return nil
}

// later keeps what the socket did not take and asks to be told when it can.
func (l *Loop) later(id int32, rest []byte) {
	l.out[id] = append([]byte(nil), rest...)
	l.conns[id].unsent = true
	_ = l.watch(id, unix.EPOLL_CTL_MOD, unix.EPOLLIN|unix.EPOLLOUT) // a failure shows as silence, which has a deadline
}

func (l *Loop) flush(id int32) {
	c := &l.conns[id]
	n, err := unix.Write(int(c.fd), l.out[id])
	switch {
	case errors.Is(err, unix.EAGAIN):
		return
	case err != nil:
		l.fail(id, os.NewSyscallError("write", err))
		return
	}
	if l.out[id] = l.out[id][n:]; len(l.out[id]) > 0 {
		return
	}
	delete(l.out, id)
	c.unsent = false
	_ = l.watch(id, unix.EPOLL_CTL_MOD, unix.EPOLLIN)
}

// fire is a deadline: the end of a handshake or of a wait for the handler's, or of a rest.
func (l *Loop) fire(id int32) {
	c := &l.conns[id]
	if c.state != resting {
		l.fail(id, ErrTimeout)
		return
	}
	c.state = waiting
	l.queue.push(l.conns, id)
}

// fail ends an attempt or a connection, tells so and arranges for the next attempt.
func (l *Loop) fail(id int32, err error) {
	c := &l.conns[id]
	opened, shaking, bye := c.state == open, c.state == connecting || c.state == shaking, c.state == closing
	l.release(id, errors.Is(err, ErrCut))
	if shaking {
		l.flying--
	}
	if bye || l.stopping {
		c.state = ended
		return
	}
	if opened && l.o.Once {
		c.state = ended
		l.h.Ended(int(id), opened, err)
		return
	}
	if opened && l.now-c.since > int64(l.o.Settled) {
		c.tries = 0
	}
	wait := l.o.Backoff(int(c.tries))
	c.tries = min(c.tries, 254) + 1
	c.state = resting
	l.wheel.set(l.conns, id, l.now+int64(wait))
	l.h.Ended(int(id), opened, err)
}

// forget drops what is kept for a connection beside its socket.
func (l *Loop) forget(id int32) {
	c := &l.conns[id]
	l.wheel.clear(l.conns, id)
	if c.stashed {
		delete(l.stash, id)
	}
	if c.unsent {
		delete(l.out, id)
	}
	c.stashed, c.unsent = false, false
}

// release closes the socket and forgets what was kept for it.
func (l *Loop) release(id int32, hard bool) {
	c := &l.conns[id]
	l.forget(id)
	if c.fd < 0 {
		return
	}
	if hard {
		reset(c.fd)
	} else {
		_ = unix.Close(int(c.fd))
	}
	c.fd = -1
	l.live--
}

// Began is when the attempt that led to connection id began, ns on the loop's clock.
func (l *Loop) Began(id int) int64 { return l.conns[id].since }
