package load

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What is done to a socket that falls silent, and what is read from it.

// States of a TCP socket (include/net/tcp_states.h).
const (
	tcpEstablished = 1
	tcpCloseWait   = 8
)

// onlyEnds is a socket filter: of what arrives, TCP gets to see the segments that end the connection (FIN, RST) and nothing
// else. The rest is dropped before TCP, which therefore answers nothing: to its peer the client has vanished, while the socket
// stays open on our side. The filter goes with the socket, whatever becomes of this process.
//
// The filter begins to read at the TCP header; the flags are its byte 13.
func onlyEnds() []unix.SockFilter {
	const flags, ends, all = 13, 0x01 | 0x04, 0xffffffff
	return []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, Jf: 1, K: ends},
		{Code: unix.BPF_RET | unix.BPF_K, K: all},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
}

// never is TCP_USER_TIMEOUT in ms: our own kernel must not give the connection up while the target keeps it.
const never = 24 * 3600 * 1000

// vanish makes the socket deaf (onlyEnds) and lets the kernel ask every so often whether the target still has the connection.
// The question is a keepalive segment: its sequence number lies before the target's window, so that a target that has the
// connection answers (which the filter drops and counts) without taking it for a sign of life, neither to its timers nor to
// its application. One that has not answers with a reset, which ends the socket.
func vanish(fd int, ask time.Duration) error {
	prog := onlyEnds()
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]})
	if err != nil {
		return fmt.Errorf("filter what its socket receives (newer kernels want NET_ADMIN in its network namespace, which a generator in a network of the system has): %w", err)
	}
	seconds := int(ask / time.Second)
	for _, o := range []struct{ level, name, value int }{
		{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, never},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return nil
}

// stall takes away what would end a connection whose window is closed, from our side.
func stall(fd int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, never))
}

// letGo closes the socket with a reset, so that the target has nothing left of it.
func letGo(fd int) {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0) // a slow one has none
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	_ = unix.Close(fd)
}

// look is what the kernel says of a socket.
type look struct {
	state      uint8
	unanswered uint32 // segments that the filter dropped
	disordered uint32 // segments that came before others: only ends pass the filter, so it is a FIN after what we refused
	window     uint32 // bytes that the target may send; zero too where the kernel does not tell (before 6.2)
	segment    uint32 // bytes that the target sends at once
	sent       uint32 // segments of ours without an answer
	unread     int    // bytes
}

func lookAt(fd int) (look, error) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return look{}, os.NewSyscallError("getsockopt TCP_INFO", err)
	}
	var mem [9]uint32 // include/uapi/linux/sock_diag.h: SK_MEMINFO_DROPS is the last
	size := uint32(unsafe.Sizeof(mem))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&mem)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return look{}, os.NewSyscallError("getsockopt SO_MEMINFO", errno)
	}
	l := look{
		state: info.State, unanswered: mem[8], disordered: info.Rcv_ooopack,
		window: info.Rcv_wnd, segment: info.Rcv_mss, sent: info.Unacked,
	}
	l.unread, err = unix.IoctlGetInt(fd, unix.SIOCINQ)
	if errors.Is(err, unix.EINVAL) { // a socket that has ended has nothing to read
		l.unread, err = 0, nil
	}
	return l, os.NewSyscallError("ioctl SIOCINQ", err)
}

// sip reads and forgets up to n bytes.
func sip(fd, n int, into []byte) int {
	got, err := unix.Read(fd, into[:min(n, len(into))])
	if err != nil {
		return 0
	}
	return got
}

// endOf says how the target ended a connection; "" while it has not.
func endOf(fd int, l, before look) string {
	switch {
	case l.state == tcpCloseWait, l.disordered > before.disordered:
		return "closed by the target"
	case l.state == tcpEstablished:
		return ""
	}
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		return syscall.Errno(code).Error()
	}
	return "ended by the target"
}
