package epoll

import (
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// A peer that vanished (a cut network sends no end) is noticed within half a minute.
	keepIdle, keepEvery, keepTries = 10, 5, 3
	// unacknowledged data of ours gives up after this many milliseconds.
	userTimeout = 30_000
)

// sockets is what all sockets of a loop have in common.
type sockets struct {
	receive int // SO_RCVBUF in bytes; zero: the kernel's
	targets []unix.Sockaddr
	sources []unix.Sockaddr // empty: the kernel's choice
}

func addresses(list []netip.Addr) []unix.Sockaddr {
	var out []unix.Sockaddr
	for _, a := range list {
		out = append(out, sockaddr(netip.AddrPortFrom(a, 0)))
	}
	return out
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Unmap().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().Unmap().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// dial begins to connect connection id. Targets take turns; each target's connections take turns over the source
// addresses, so that no pair of addresses gets more than its share of the ports.
func (s *sockets) dial(id int) (int, error) {
	target := s.targets[id%len(s.targets)]
	family := unix.AF_INET
	if _, six := target.(*unix.SockaddrInet6); six {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := s.prepare(fd, id); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	if err := unix.Connect(fd, target); err != nil && err != unix.EINPROGRESS {
		_ = unix.Close(fd)
		return -1, os.NewSyscallError("connect", err)
	}
	return fd, nil
}

func (s *sockets) prepare(fd, id int) error {
	options := []struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepIdle},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepEvery},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepTries},
		{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, userTimeout},
		{unix.SOL_SOCKET, unix.SO_RCVBUF, s.receive},
	}
	for _, o := range options {
		if o.value == 0 {
			continue
		}
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if len(s.sources) == 0 {
		return nil
	}
	// The port is chosen at connect, when the whole pair of addresses is known: a port may serve several pairs.
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	return os.NewSyscallError("bind", unix.Bind(fd, s.sources[id/len(s.targets)%len(s.sources)]))
}

// receiver reads sockets into one buffer, with the kernel's own stamp of when the data arrived.
type receiver struct {
	buf [64 << 10]byte
	ctl [64]byte
	iov unix.Iovec
	msg unix.Msghdr
}

func newReceiver() *receiver {
	r := &receiver{}
	r.iov.Base = &r.buf[0]
	r.iov.SetLen(len(r.buf))
	r.msg.Iov, r.msg.Control = &r.iov, &r.ctl[0]
	r.msg.SetIovlen(1)
	return r
}

// read takes what the socket has. stamp is the wall time in ns at which the kernel received the last segment of it,
// zero when it did not say. The call never blocks, so the scheduler need not know of it.
func (r *receiver) read(fd int32) (data []byte, stamp int64, err error) {
	for {
		r.msg.SetControllen(len(r.ctl))
		n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.msg)), unix.MSG_DONTWAIT)
		switch errno {
		case 0:
			return r.buf[:n], r.stamp(), nil
		case unix.EINTR:
		default:
			return nil, 0, errno
		}
	}
}

// stamp reads SCM_TIMESTAMPNS from the control data.
func (r *receiver) stamp() int64 {
	const size = unix.SizeofCmsghdr + int(unsafe.Sizeof(unix.Timespec{}))
	if r.msg.Controllen < uint64(size) {
		return 0
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&r.ctl[0]))
	if h.Level != unix.SOL_SOCKET || h.Type != unix.SCM_TIMESTAMPNS {
		return 0
	}
	ts := (*unix.Timespec)(unsafe.Pointer(&r.ctl[unix.SizeofCmsghdr]))
	return ts.Nano()
}

// reset closes at once and leaves nothing in the kernel: the peer sees a reset.
func reset(fd int32) {
	_ = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	_ = unix.Close(int(fd))
}

// fifoPriority is above everything that is not realtime itself.
const fifoPriority = 10

// realtime puts the calling thread under SCHED_FIFO.
func realtime() error {
	return unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: fifoPriority}, 0)
}

// ordinary takes that back.
func ordinary() error {
	return unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}, 0)
}

// clock gives both clocks by one reading: ns since base, and wall time in ns.
type clock struct{ base time.Time }

func (c clock) read() (mono, wall int64) {
	now := time.Now()
	return int64(now.Sub(c.base)) + 1, now.UnixNano()
}
