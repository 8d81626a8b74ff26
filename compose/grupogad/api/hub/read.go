package hub

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// maxInbound bounds a client's message; they are subscriptions and pongs, never large.
const maxInbound = 64 << 10

// inbound is what a client may send.
type inbound struct {
	EventType string `json:"event_type"`
	Data      struct {
		Events []string `json:"events"`
	} `json:"data"`
}

// read serves one connection until it ends, then forgets it. early is what arrived with the handshake.
func (c *client) read(early io.Reader) {
	defer c.hub.work.Done()
	defer c.conn.Close() //nolint:errcheck // nothing is left to say to this peer
	defer c.hub.remove(c)
	src := io.Reader(c.conn)
	if early != nil {
		src = io.MultiReader(early, c.conn)
	}
	r := &wsutil.Reader{
		Source: src, State: ws.StateServerSide, CheckUTF8: true,
		MaxFrameSize: maxInbound, MaxMessageSize: maxInbound, OnIntermediate: c.control,
	}
	for {
		h, err := r.NextFrame()
		if err != nil {
			return
		}
		c.heard.Store(time.Now().UnixNano())
		if h.OpCode.IsControl() {
			err = c.control(h, r)
		} else {
			err = c.message(r)
		}
		if err != nil {
			return
		}
	}
}

// control answers a ping and a close through the queue, so that no two goroutines write to the socket.
func (c *client) control(h ws.Header, r io.Reader) error {
	body, err := io.ReadAll(io.LimitReader(r, ws.MaxControlFramePayloadSize))
	if err != nil {
		return fmt.Errorf("read control frame: %w", err)
	}
	switch h.OpCode {
	case ws.OpPing:
		c.enqueue(item{frame: ws.MustCompileFrame(ws.NewPongFrame(body))})
	case ws.OpClose:
		code, _ := ws.ParseCloseFrameData(body)
		if code.Empty() || code.IsNotUsed() {
			code = ws.StatusNormalClosure
		}
		return c.answerClose(code)
	}
	return nil
}

// answerClose echoes the peer's close and lets the writer hang up. When a close of ours is already on
// its way, this is the answer to it and the reading is over.
func (c *client) answerClose(code ws.StatusCode) error {
	c.mu.Lock()
	ours := c.ended
	c.mu.Unlock()
	if ours {
		return io.EOF
	}
	it := closeItem(code, "")
	it.hangup = true
	c.enqueue(it)
	return nil
}

func (c *client) message(r io.Reader) error {
	body, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("read message: %w", err)
	}
	var in inbound
	if err := json.Unmarshal(body, &in); err != nil {
		return c.say(EventError, map[string]any{"error": "Invalid JSON format"})
	}
	switch in.EventType {
	case "subscribe":
		got := c.hub.join(c, in.Data.Events)
		return c.say(EventNotification, map[string]any{"title": "Suscripción confirmada", "events": got})
	case "unsubscribe":
		c.hub.quit(c, in.Data.Events)
	}
	return nil // pong and unknown types have no answer, as in GRUPO_GAD
}

// say queues one message for this connection only.
func (c *client) say(event string, data any) error {
	e, err := NewEnvelope(event, data)
	if err != nil {
		return err
	}
	payload, err := e.Encode()
	if err != nil {
		return err
	}
	c.enqueue(item{frame: ws.MustCompileFrame(ws.NewTextFrame(payload)), message: true})
	return nil
}

// ack is the first frame of every connection.
func (c *client) ack() {
	now := time.Now().UTC().Format(time.RFC3339Nano)
	_ = c.say(EventAck, map[string]any{"connection_id": c.id, "connected_at": now, "server_time": now, // only marshalling could fail
		"assigned_channel": "ws_broadcast_general_1", "channel_type": "general"})
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func unmarshal(payload []byte, e *Envelope) error {
	if err := json.Unmarshal(payload, e); err != nil {
		return fmt.Errorf("a message from Redis is not an envelope: %w", err)
	}
	return nil
}
