package main

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // RFC 6455 asks for it
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// wsOrder is one line to the server: a broadcast, or a question for what it has done.
type wsOrder struct {
	Broadcast string `json:"broadcast,omitempty"`
}

// wsCount answers a question.
type wsCount struct {
	Open  int   `json:"open"`
	Wrote int64 `json:"wrote"` // frames that went out whole to a connection
	Gone  int64 `json:"gone"`  // frames that were left unsent when their connection ended
}

// wsServer holds WebSockets on one thread and writes every broadcast to each with a write of its own, as a server that does
// not know its clients must. It is cheap on purpose: what is measured is the clients. Its input is orders, one a line; it
// ends with it.
func wsServer(_ context.Context, in io.Reader, out io.Writer) error {
	rest, err := receive(in, &struct{}{})
	if err != nil {
		return err
	}
	raiseFiles()
	s := &wsLoop{conns: map[int32]*wsConn{}, out: json.NewEncoder(out)}
	address, err := s.listen()
	if err != nil {
		return err
	}
	if err := s.out.Encode(address); err != nil {
		return err
	}
	orders, wake := make(chan wsOrder, 1024), s.bell
	go func() {
		defer func() { close(orders); _, _ = unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }()
		for d := json.NewDecoder(rest); ; {
			var o wsOrder
			if d.Decode(&o) != nil {
				return
			}
			orders <- o
			_, _ = unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		}
	}()
	return s.serve(orders)
}

type wsConn struct {
	open   bool
	in     []byte // what is unfinished
	out    []byte // what the socket did not take
	frames int64  // of those, frames
}

type wsLoop struct {
	ep, listener, bell int
	conns              map[int32]*wsConn
	open               int
	wrote, gone        int64
	buf                [16 << 10]byte
	out                *json.Encoder
}

func (s *wsLoop) listen() (string, error) {
	var err error
	if s.listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return "", os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(s.listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return "", os.NewSyscallError("bind", err)
	}
	if err := unix.Listen(s.listener, 4096); err != nil {
		return "", os.NewSyscallError("listen", err)
	}
	if s.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return "", os.NewSyscallError("epoll_create", err)
	}
	if s.bell, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return "", os.NewSyscallError("eventfd", err)
	}
	for _, fd := range []int{s.listener, s.bell} {
		if err := unix.EpollCtl(s.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			return "", os.NewSyscallError("epoll_ctl", err)
		}
	}
	name, err := unix.Getsockname(s.listener)
	if err != nil {
		return "", os.NewSyscallError("getsockname", err)
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port), nil
}

func (s *wsLoop) serve(orders <-chan wsOrder) error {
	events := make([]unix.EpollEvent, 512)
	for {
		n, err := unix.EpollWait(s.ep, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("epoll_wait", err)
		}
		for _, e := range events[:max(n, 0)] {
			switch int(e.Fd) {
			case s.listener:
				s.accept()
			case s.bell:
				if !s.obey(orders) {
					return nil
				}
			default:
				s.event(e)
			}
		}
	}
}

// obey carries out the orders that are there; false when there will be none any more.
func (s *wsLoop) obey(orders <-chan wsOrder) bool {
	var n [8]byte
	_, _ = unix.Read(s.bell, n[:])
	for {
		select {
		case o, more := <-orders:
			if !more {
				return false
			}
			if o.Broadcast == "" {
				_ = s.out.Encode(wsCount{s.open, s.wrote, s.gone}) // nobody reads: the input ends too
				continue
			}
			s.broadcast(wsFrame(1, []byte(o.Broadcast)))
		default:
			return true
		}
	}
}

func (s *wsLoop) accept() {
	for {
		fd, _, err := unix.Accept4(s.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return // none left, or none possible: the kernel reports again
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096)
		if unix.EpollCtl(s.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}) != nil {
			_ = unix.Close(fd)
			continue
		}
		s.conns[int32(fd)] = &wsConn{}
	}
}

func (s *wsLoop) event(e unix.EpollEvent) {
	c := s.conns[e.Fd]
	if c == nil {
		return
	}
	if e.Events&unix.EPOLLOUT != 0 && !s.flush(e.Fd, c) {
		return
	}
	if e.Events&^unix.EPOLLOUT == 0 {
		return
	}
	n, err := unix.Read(int(e.Fd), s.buf[:])
	switch {
	case errors.Is(err, unix.EAGAIN):
		return
	case err != nil || n == 0:
		s.end(e.Fd, c)
		return
	}
	data := s.buf[:n]
	if len(c.in) > 0 {
		data = append(c.in, data...)
	}
	used := s.take(e.Fd, c, data)
	if used < 0 {
		s.end(e.Fd, c)
		return
	}
	c.in = nil
	if used < len(data) {
		c.in = bytes.Clone(data[used:])
	}
}

// take handles what a client sent and returns how much of it; below zero ends the connection.
func (s *wsLoop) take(fd int32, c *wsConn, data []byte) int {
	used := 0
	if !c.open {
		end := bytes.Index(data, []byte("\r\n\r\n"))
		if end < 0 {
			return 0
		}
		answer, ok := wsAnswer(data[:end])
		if !ok {
			return -1
		}
		if _, err := unix.Write(int(fd), answer); err != nil {
			return -1
		}
		c.open, used = true, end+4
		s.open++
	}
	for {
		op, payload, size := wsParse(data[used:])
		if size == 0 {
			return used
		}
		used += size
		switch op {
		case 8:
			_, _ = unix.Write(int(fd), wsFrame(8, payload)) // a courtesy
			return -1
		case 9:
			_, _ = unix.Write(int(fd), wsFrame(10, payload))
		}
	}
}

// wsAnswer makes the answer to a handshake.
func wsAnswer(request []byte) ([]byte, bool) {
	for line := range bytes.SplitSeq(request, []byte("\r\n")) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		if !bytes.EqualFold(name, []byte("Sec-WebSocket-Key")) {
			continue
		}
		sum := sha1.Sum(append(bytes.TrimSpace(value), "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...)) //nolint:gosec // as above
		return []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n"), true
	}
	return nil, false
}

// wsParse reads one short masked frame; size is zero while it is not all there.
func wsParse(b []byte) (op byte, payload []byte, size int) {
	if len(b) < 6 {
		return 0, nil, 0
	}
	n := int(b[1] & 0x7f)
	if n > 125 || len(b) < 6+n {
		return 0, nil, 0 // clients here send nothing longer
	}
	payload = bytes.Clone(b[6 : 6+n])
	for i := range payload {
		payload[i] ^= b[2+i&3]
	}
	return b[0] & 0x0f, payload, 6 + n
}

// wsFrame is a server's frame.
func wsFrame(op byte, payload []byte) []byte {
	b := []byte{0x80 | op}
	if len(payload) <= 125 {
		b = append(b, byte(len(payload)))
	} else {
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(len(payload)))
	}
	return append(b, payload...)
}

func (s *wsLoop) broadcast(frame []byte) {
	for fd, c := range s.conns {
		if !c.open {
			continue
		}
		if len(c.out) > 0 {
			c.out, c.frames = append(c.out, frame...), c.frames+1
			continue
		}
		n, err := unix.Write(int(fd), frame)
		switch {
		case errors.Is(err, unix.EAGAIN):
			n = 0
		case err != nil:
			s.gone++
			s.end(fd, c)
			continue
		}
		if n == len(frame) {
			s.wrote++
			continue
		}
		c.out, c.frames = append(c.out, frame[n:]...), c.frames+1
		_ = unix.EpollCtl(s.ep, unix.EPOLL_CTL_MOD, int(fd), &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT, Fd: fd})
	}
}

// flush writes what a socket did not take; false when the connection is gone.
func (s *wsLoop) flush(fd int32, c *wsConn) bool {
	n, err := unix.Write(int(fd), c.out)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return true
	case err != nil:
		s.end(fd, c)
		return false
	}
	if c.out = c.out[n:]; len(c.out) > 0 {
		return true
	}
	s.wrote += c.frames
	c.out, c.frames = nil, 0
	_ = unix.EpollCtl(s.ep, unix.EPOLL_CTL_MOD, int(fd), &unix.EpollEvent{Events: unix.EPOLLIN, Fd: fd})
	return true
}

func (s *wsLoop) end(fd int32, c *wsConn) {
	_ = unix.Close(int(fd))
	delete(s.conns, fd)
	s.gone += c.frames
	if c.open {
		s.open--
	}
}

// raiseFiles raises the soft limit of open files to the hard one.
func raiseFiles() {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) == nil {
		r.Cur = r.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &r) // as many as are allowed
	}
}
