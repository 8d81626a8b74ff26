package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"time"

	"github.com/gobwas/ws"
)

// The conversation that the target's clients have: subscribe, be confirmed, receive, answer the application's pings.

// event is what a client sends.
type event struct {
	Type string `json:"event_type"`
	Data any    `json:"data"`
}

func subscription(topic string) []byte {
	b, _ := json.Marshal(event{Type: "subscribe", Data: map[string][]string{"events": {topic}}}) // cannot fail
	return b
}

func pongMessage() []byte {
	b, _ := json.Marshal(event{Type: "pong", Data: struct{}{}}) // cannot fail
	return b
}

// said is what a message that is none of ours means.
type said int

const (
	nothing said = iota
	answerPong
	subscribed
	refused
)

// read understands a message that is none of ours: the acknowledgement, the confirmation, pings of the application.
func read(payload []byte, joined bool) said {
	var e struct {
		Type string `json:"event_type"`
	}
	_ = json.Unmarshal(payload, &e) // what is not JSON has no type and is let pass
	switch {
	case e.Type == "ping":
		return answerPong
	case joined || e.Type == "connection_ack":
		return nothing
	case e.Type == "error":
		return refused
	}
	return subscribed
}

func refusal(payload []byte) error { return fmt.Errorf("subscription refused: %.200s", payload) }

// member is one connection of the library engine.
type member struct {
	conn  net.Conn
	book  *book
	began time.Time // of the attempt to connect
	seen  *seen
}

// subscribe asks for the topic; without one the connection has joined by being open.
func (m *member) subscribe(topic string) error {
	if topic == "" {
		m.book.joined(m.seen, time.Since(m.began))
		return nil
	}
	if err := m.conn.SetReadDeadline(time.Now().Add(confirmTimeout)); err != nil {
		return err
	}
	return m.write(ws.NewTextFrame(subscription(topic)))
}

// handle takes one message or control frame.
func (m *member) handle(op ws.OpCode, payload []byte) error {
	now := m.book.clock.now()
	switch op {
	case ws.OpPing:
		return m.write(ws.NewPongFrame(bytes.Clone(payload)))
	case ws.OpPong:
		return nil
	case ws.OpClose:
		code, text := ws.ParseCloseFrameData(payload)
		_ = m.write(ws.NewCloseFrame(bytes.Clone(payload))) // a courtesy: the peer may be gone
		return closedError{code, text}
	}
	joined := m.seen.joined != 0
	if joined && m.book.arrived(m.seen, payload, now, 0) {
		return nil
	}
	if bytes.Contains(payload, m.book.marker) {
		return nil // sent after the target subscribed us and before it told us
	}
	switch read(payload, joined) {
	case answerPong:
		return m.write(ws.NewTextFrame(pongMessage()))
	case subscribed:
		if err := m.conn.SetReadDeadline(time.Time{}); err != nil {
			return err
		}
		m.book.joined(m.seen, time.Since(m.began))
	case refused:
		return refusal(payload)
	}
	return nil
}

func (m *member) write(f ws.Frame) error {
	if err := m.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := m.conn.Write(masked(f))
	return err
}

// masked is the frame as a client must send it. Its payload is changed.
func masked(f ws.Frame) []byte { return ws.MustCompileFrame(ws.MaskFrameInPlace(f)) }
