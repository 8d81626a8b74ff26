package epoll

import (
	"encoding/binary"
	"fmt"
)

// Opcodes of RFC 6455 section 5.2.
const (
	opContinuation = 0x0
	OpText         = 0x1
	OpBinary       = 0x2
	OpClose        = 0x8
	OpPing         = 0x9
	OpPong         = 0xA
)

const (
	finBit      = 0x80
	reservedBit = 0x70
	opBits      = 0x0F
	maskBit     = 0x80
	lengthBits  = 0x7F

	maxControl = 125
)

// Close codes of RFC 6455 section 7.4.1 that are sent here.
const (
	codeNormal   = 1000
	codeProtocol = 1002
	codeText     = 1007
	codeTooBig   = 1009
)

// ProtocolError is something that no server may send. Code is the close code that answers it.
type ProtocolError struct {
	Code uint16
	Text string
}

func (e ProtocolError) Error() string { return "protocol error: " + e.Text }

// CloseError is the peer's close frame; Code is 1005 when it gave none.
type CloseError struct {
	Code   uint16
	Reason string
}

func (e CloseError) Error() string { return fmt.Sprintf("closed with %d %.100s", e.Code, e.Reason) }

// header of one frame. size is its own length; zero while it is not all there.
type header struct {
	op     byte
	fin    bool
	size   int
	length int64
}

// parseHeader reads the header of a server's frame and refuses what can be refused without the payload.
func parseHeader(b []byte, limit int64) (header, error) {
	if len(b) < 2 {
		return header{}, nil
	}
	h := header{op: b[0] & opBits, fin: b[0]&finBit != 0, size: 2, length: int64(b[1] & lengthBits)}
	switch {
	case b[0]&reservedBit != 0:
		return h, ProtocolError{codeProtocol, "reserved bits set"}
	case b[1]&maskBit != 0:
		return h, ProtocolError{codeProtocol, "masked frame from a server"}
	case h.op > OpBinary && h.op < OpClose || h.op > OpPong:
		return h, ProtocolError{codeProtocol, fmt.Sprintf("reserved opcode %d", h.op)}
	case h.op >= OpClose && (!h.fin || h.length > maxControl):
		return h, ProtocolError{codeProtocol, "fragmented or long control frame"}
	}
	switch h.length {
	case 126:
		if h.size = 4; len(b) < h.size {
			return header{}, nil
		}
		h.length = int64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		if h.size = 10; len(b) < h.size {
			return header{}, nil
		}
		n := binary.BigEndian.Uint64(b[2:])
		if n > 1<<63-1 {
			return h, ProtocolError{codeProtocol, "length with its highest bit set"}
		}
		h.length = int64(n)
	}
	if h.length > limit {
		return h, ProtocolError{codeTooBig, fmt.Sprintf("frame of %d bytes, at most %d are taken", h.length, limit)}
	}
	return h, nil
}

// appendFrame appends a client's frame, masked with key.
func appendFrame(b []byte, op byte, payload []byte, key [4]byte) []byte {
	b = append(b, finBit|op)
	switch n := len(payload); {
	case n <= maxControl:
		b = append(b, maskBit|byte(n))
	case n <= 0xFFFF:
		b = binary.BigEndian.AppendUint16(append(b, maskBit|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, maskBit|127), uint64(n))
	}
	b = append(b, key[:]...)
	for i, c := range payload {
		b = append(b, c^key[i&3])
	}
	return b
}

// closeBody is the payload of a close frame.
func closeBody(code uint16) []byte { return binary.BigEndian.AppendUint16(nil, code) }
