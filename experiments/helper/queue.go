package helper

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	// queueFirst and queueTries bound the search for a free queue number: several faults may act on one target.
	queueFirst = 5230
	queueTries = 64
	// queueLength is how many packets may wait; beyond it the kernel lets packets pass.
	queueLength = 50000
	// queueBuffer is the receive buffer of the socket, in bytes.
	queueBuffer = 64 << 20
	// headersOnly is the copy range of faults that look at headers only.
	headersOnly = 128
	// wholePacket is the copy range of faults that look at or change what a packet carries.
	wholePacket = 0xffff
)

// queue is one bound NFQUEUE number. It ends with its socket: the kernel then drops what waits in it and, the rules
// carrying the bypass flag, lets everything after pass.
type queue struct {
	fd     int
	number uint16
}

// openQueue binds the first free queue number. gso lets segments that are not yet cut pass as one packet, which is faster;
// without it the kernel cuts them first and completes their checksums.
func openQueue(copyRange uint32, gso bool) (*queue, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket for the packet queue: %w", err)
	}
	q := &queue{fd: fd}
	if err := q.configure(copyRange, gso); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("packet queue (nfnetlink_queue, NET_ADMIN): %w", err)
	}
	return q, nil
}

func (q *queue) configure(copyRange uint32, gso bool) error {
	if err := unix.Bind(q.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	// Beyond the system's limit where we may (a namespace's NET_ADMIN may not), else up to it.
	if unix.SetsockoptInt(q.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, queueBuffer) != nil {
		if err := unix.SetsockoptInt(q.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, queueBuffer); err != nil {
			return err
		}
	}
	if err := q.bind(); err != nil {
		return err
	}
	flags := uint32(nfqFailOpen)
	if gso {
		flags |= nfqGSO
	}
	params := append(be32(copyRange), nfqCopyPacket)
	for _, attrs := range [][][]byte{
		{nfqAttr(nfqaConfigParams, params)},
		{nfqAttr(nfqaConfigMaxLen, be32(queueLength))},
		{nfqAttr(nfqaConfigMask, be32(nfqFailOpen|nfqGSO)), nfqAttr(nfqaConfigFlags, be32(flags))},
	} {
		if err := q.config(attrs...); err != nil {
			return err
		}
	}
	wait := unix.NsecToTimeval(int64(readWait))
	return unix.SetsockoptTimeval(q.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait)
}

func (q *queue) bind() error {
	var err error
	for n := range uint16(queueTries) {
		q.number = queueFirst + n
		err = q.config(nfqAttr(nfqaConfigCommand, []byte{nfqBind, 0, 0, 0}))
		if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EBUSY) { // somebody else's
			return err
		}
	}
	return fmt.Errorf("no free queue number, or no permission: %w", err)
}

func (q *queue) config(attrs ...[]byte) error {
	if err := q.send(nfqMessage(nfqConfig, unix.NLM_F_ACK, q.number, attrs...)); err != nil {
		return err
	}
	buf := make([]byte, 4096)
	n, _, err := unix.Recvfrom(q.fd, buf, 0)
	if err != nil {
		return err
	}
	if n >= 20 && binary.NativeEndian.Uint16(buf[4:]) == unix.NLMSG_ERROR {
		if e := int32(binary.NativeEndian.Uint32(buf[16:])); e != 0 {
			return unix.Errno(-e)
		}
	}
	return nil
}

func (q *queue) send(b []byte) error {
	return unix.Sendto(q.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

func (q *queue) close() error { return unix.Close(q.fd) }
