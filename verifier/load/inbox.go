package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
)

// readSize is what one read takes from a socket.
const readSize = 16 << 10

// largest is the longest frame that is taken.
const largest = 16 << 20

// inbox cuts what arrives on one connection into messages. An idle connection holds no buffer: one is borrowed when
// the socket has something, the frames are handled in place, and only the beginning of an unfinished one is kept.
type inbox struct {
	raw     syscall.RawConn
	plain   net.Conn              // where there is no raw access, as over TLS: read with a buffer that is borrowed all the time
	deflate bool                  // the first reserved bit means a compressed message
	packed  bool                  // the fragmented message is one
	attempt func(fd uintptr) bool // made once: a closure per read would be garbage per message
	buffers *sync.Pool            // of *[readSize]byte
	buf     *[readSize]byte       // between attempt and read
	n       int
	err     error
	rest    []byte // beginning of an unfinished frame
	parts   []byte // of a fragmented message
}

// handler gets whole messages, and control frames. The payload is only valid during the call.
type handler func(op ws.OpCode, payload []byte) error

func newInbox(c net.Conn, buffers *sync.Pool, deflate bool) (*inbox, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return &inbox{plain: c, buffers: buffers, deflate: deflate}, nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	in := &inbox{raw: raw, buffers: buffers, deflate: deflate}
	in.attempt = in.tryRead
	return in, nil
}

// tryRead is called by the runtime when the socket may be readable; false waits again.
func (in *inbox) tryRead(fd uintptr) bool {
	buf := in.buffers.Get().(*[readSize]byte)
	for {
		in.n, in.err = syscall.Read(int(fd), buf[:])
		if !errors.Is(in.err, syscall.EINTR) {
			break
		}
	}
	if errors.Is(in.err, syscall.EAGAIN) {
		in.buffers.Put(buf)
		return false
	}
	in.buf = buf
	return true
}

// read waits for the socket once and handles every message that is complete. It returns io.EOF when the peer has
// closed, the handler's error, or the socket's.
func (in *inbox) read(handle handler) error {
	if in.plain != nil {
		return in.readPlain(handle)
	}
	if err := in.raw.Read(in.attempt); err != nil {
		return err
	}
	buf := in.buf
	in.buf = nil
	defer in.buffers.Put(buf)
	switch {
	case in.err != nil:
		return os.NewSyscallError("read", in.err)
	case in.n == 0:
		return io.EOF
	}
	return in.feed(buf[:in.n], handle)
}

func (in *inbox) readPlain(handle handler) error {
	buf := in.buffers.Get().(*[readSize]byte)
	defer in.buffers.Put(buf)
	n, err := in.plain.Read(buf[:])
	if n > 0 {
		return in.feed(buf[:n], handle)
	}
	return err
}

// feed handles the frames in data, which is not kept.
func (in *inbox) feed(data []byte, handle handler) error {
	if len(in.rest) > 0 {
		in.rest = append(in.rest, data...)
		data = in.rest
	}
	for {
		used, err := in.frame(data, handle)
		if err != nil {
			return err
		}
		if used == 0 {
			break
		}
		data = data[used:]
	}
	if len(data) == 0 {
		in.rest = nil
	} else {
		in.rest = append([]byte(nil), data...)
	}
	return nil
}

// frame handles the first frame of data and returns its length; 0 when it is not all there yet.
func (in *inbox) frame(data []byte, handle handler) (int, error) {
	r := bytes.NewReader(data)
	h, err := ws.ReadHeader(r)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if h.Length > largest || h.Masked || !in.mayCarry(h) {
		return 0, fmt.Errorf("frame that no server may send: %d bytes, masked %t, reserved bits %d", h.Length, h.Masked, h.Rsv)
	}
	if int64(r.Len()) < h.Length {
		return 0, nil
	}
	begin := len(data) - r.Len()
	end := begin + int(h.Length)
	return end, in.message(h, data[begin:end], handle)
}

// mayCarry tells whether a frame's reserved bits are as agreed: the first one marks the beginning of a compressed message.
func (in *inbox) mayCarry(h ws.Header) bool {
	if h.Rsv == 0 {
		return true
	}
	return in.deflate && h.Rsv == ws.Rsv(true, false, false) && h.OpCode.IsData() && h.OpCode != ws.OpContinuation
}

// message joins fragments; control frames may come between them.
func (in *inbox) message(h ws.Header, payload []byte, handle handler) error {
	if h.OpCode.IsControl() {
		return handle(h.OpCode, payload)
	}
	if h.OpCode != ws.OpContinuation {
		in.packed = h.Rsv != 0
	}
	if h.Fin && h.OpCode != ws.OpContinuation {
		return in.whole(h.OpCode, payload, handle)
	}
	in.parts = append(in.parts, payload...)
	if len(in.parts) > largest {
		return fmt.Errorf("message of more than %d bytes", largest)
	}
	if !h.Fin {
		return nil
	}
	parts := in.parts
	in.parts = nil
	return in.whole(ws.OpText, parts, handle)
}

func (in *inbox) whole(op ws.OpCode, payload []byte, handle handler) error {
	if !in.packed {
		return handle(op, payload)
	}
	var out bounded
	if err := wsflate.DefaultHelper.DecompressTo(&out, payload); err != nil {
		return fmt.Errorf("a compressed message: %w", err)
	}
	return handle(op, out.b)
}

// bounded takes at most the longest message: a short frame can unpack to anything.
type bounded struct{ b []byte }

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if len(b.b)+len(p) > largest {
		return 0, fmt.Errorf("message of more than %d bytes", largest)
	}
	b.b = append(b.b, p...)
	return len(p), nil
}
