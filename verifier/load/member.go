package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"time"

	"github.com/gobwas/ws"
)

// member is one connection in the conversation that the target's clients have: subscribe, be confirmed, receive,
// answer pings of both kinds.
type member struct {
	conn   net.Conn
	id     int
	book   *book
	began  time.Time // of the attempt to connect
	joined func()
	open   bool // open and subscribed
	seen   window
}

// event is what a client sends and, of what it gets, all that matters here.
type event struct {
	Type string `json:"event_type"`
	Data any    `json:"data"`
}

// subscribe asks for the topic; without one the connection has joined by being open.
func (m *member) subscribe(topic string) error {
	if topic == "" {
		m.join()
		return nil
	}
	if err := m.conn.SetReadDeadline(time.Now().Add(confirmTimeout)); err != nil {
		return err
	}
	return m.send(event{Type: "subscribe", Data: map[string][]string{"events": {topic}}})
}

func (m *member) join() {
	m.open = true
	m.seen = newWindow(m.book.joined(time.Since(m.began)))
	m.joined()
}

// handle takes one message or control frame.
func (m *member) handle(op ws.OpCode, payload []byte) error {
	now := time.Now()
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
	if m.open && m.book.arrived(m.id, &m.seen, payload, now) {
		return nil
	}
	if bytes.Contains(payload, m.book.marker) {
		return nil // sent after the target subscribed us and before it told us
	}
	return m.talk(payload)
}

// talk answers what is no message of ours: the acknowledgement, the confirmation, pings of the application.
func (m *member) talk(payload []byte) error {
	var e struct {
		Type string `json:"event_type"`
	}
	_ = json.Unmarshal(payload, &e) // what is not JSON has no type and is let pass
	switch {
	case e.Type == "ping":
		return m.send(event{Type: "pong", Data: struct{}{}})
	case m.open || e.Type == "connection_ack":
		return nil
	case e.Type == "error":
		return fmt.Errorf("subscription refused: %.200s", payload)
	}
	if err := m.conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	m.join()
	return nil
}

func (m *member) send(e event) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return m.write(ws.NewTextFrame(b))
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
