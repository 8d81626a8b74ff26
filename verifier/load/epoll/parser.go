package epoll

import (
	"encoding/binary"
	"unicode/utf8"
)

// Parser cuts what arrives on one connection into messages and control frames. The zero value is ready. It keeps nothing
// while nothing is unfinished.
type Parser struct {
	rest  []byte // beginning of an unfinished frame
	parts []byte // of a fragmented message
	op    byte   // of that message; zero: none is open
}

// take gets a whole message (OpText, OpBinary) or a control frame. The payload is only valid during the call.
type take func(op byte, payload []byte) error

// idle tells that nothing is kept.
func (p *Parser) idle() bool { return p.op == 0 && len(p.rest) == 0 }

// Feed handles the frames in data, which is not kept, in order; limit bounds a message. It stops at the first error,
// which is ProtocolError or what take returned, and at a close frame with CloseError after take has seen it.
func (p *Parser) Feed(data []byte, limit int64, take func(op byte, payload []byte) error) error {
	if len(p.rest) > 0 {
		p.rest = append(p.rest, data...)
		data = p.rest
	}
	for {
		used, err := p.frame(data, limit, take)
		if err != nil {
			return err
		}
		if used == 0 {
			break
		}
		data = data[used:]
	}
	p.keep(data)
	return nil
}

// keep moves what is left to the front, so that a long message that comes in small reads is copied once, not each time.
func (p *Parser) keep(data []byte) {
	switch {
	case len(data) == 0:
		p.rest = nil
	case len(data) == len(p.rest): // nothing was finished: it is there already
	default:
		p.rest = append([]byte(nil), data...)
	}
}

// frame handles the first frame of data and returns its length; 0 when it is not all there yet.
func (p *Parser) frame(data []byte, limit int64, take take) (int, error) {
	h, err := parseHeader(data, limit)
	if err != nil || h.size == 0 || int64(len(data)-h.size) < h.length {
		return 0, err
	}
	end := h.size + int(h.length)
	return end, p.message(h, data[h.size:end], limit, take)
}

func (p *Parser) message(h header, payload []byte, limit int64, take take) error {
	switch {
	case h.op == OpClose:
		return p.closed(payload, take)
	case h.op > OpClose:
		return take(h.op, payload)
	case h.op == opContinuation && p.op == 0:
		return ProtocolError{codeProtocol, "continuation of nothing"}
	case h.op != opContinuation && p.op != 0:
		return ProtocolError{codeProtocol, "new message inside another one"}
	case h.op != opContinuation && h.fin:
		return whole(h.op, payload, take)
	}
	if h.op != opContinuation {
		p.op = h.op
	}
	if int64(len(p.parts)+len(payload)) > limit {
		return ProtocolError{codeTooBig, "message beyond the limit"}
	}
	p.parts = append(p.parts, payload...)
	if !h.fin {
		return nil
	}
	op, parts := p.op, p.parts
	p.op, p.parts = 0, nil
	return whole(op, parts, take)
}

func whole(op byte, payload []byte, take take) error {
	if op == OpText && !utf8.Valid(payload) {
		return ProtocolError{codeText, "text that is not UTF-8"}
	}
	return take(op, payload)
}

// closed checks a close frame (RFC 6455 sections 5.5.1 and 7.4) and hands it on.
func (p *Parser) closed(payload []byte, take take) error {
	e := CloseError{Code: 1005}
	if len(payload) == 1 {
		return ProtocolError{codeProtocol, "close frame of one byte"}
	}
	if len(payload) >= 2 {
		e.Code, e.Reason = binary.BigEndian.Uint16(payload), string(payload[2:])
		if !sendable(e.Code) {
			return ProtocolError{codeProtocol, "close code that may not be sent"}
		}
		if !utf8.ValidString(e.Reason) {
			return ProtocolError{codeText, "close reason that is not UTF-8"}
		}
	}
	if err := take(OpClose, payload); err != nil {
		return err
	}
	return e
}

// sendable tells whether a close code may stand in a frame.
func sendable(code uint16) bool {
	return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006) || code >= 3000 && code <= 4999
}
