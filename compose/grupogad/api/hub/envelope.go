package hub

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Envelope is every message of the server, with GRUPO_GAD's keys, all of them always present.
type Envelope struct {
	EventType       string          `json:"event_type"`
	Data            json.RawMessage `json:"data"`
	Timestamp       string          `json:"timestamp"`
	MessageID       string          `json:"message_id"`
	TargetUserID    *string         `json:"target_user_id"`
	TargetRole      *string         `json:"target_role"`
	Topic           *string         `json:"topic"`
	ChannelName     *string         `json:"channel_name"`
	ChannelType     *string         `json:"channel_type"`
	PriorityLevel   int             `json:"priority_level"`
	RoutingMetadata Routing         `json:"routing_metadata"`
}

// Routing says where a message comes from; it is what dedupe and latency go by.
type Routing struct {
	Origin     string `json:"origin,omitempty"`       // the sending process, unique per start
	SentUnixNs int64  `json:"sent_unix_ns,omitempty"` // when the sender accepted it
}

// Event types that this service sends.
const (
	EventAck          = "connection_ack"
	EventPing         = "ping"
	EventNotification = "notification"
	EventError        = "error"
)

// NewEnvelope fills everything but topic and origin. data must be marshalable.
func NewEnvelope(event string, data any) (Envelope, error) {
	raw, err := marshal(data)
	now := time.Now().UTC()
	return Envelope{
		EventType: event, Data: raw, MessageID: newID(), PriorityLevel: 1,
		Timestamp: now.Format("2006-01-02T15:04:05.000000"), RoutingMetadata: Routing{SentUnixNs: now.UnixNano()},
	}, err
}

// Encode is the JSON text that goes over the wire and over Redis, byte for byte the same.
func (e Envelope) Encode() ([]byte, error) { return marshal(e) }

// marshal leaves <, > and & alone, so that what a publisher sent arrives unchanged.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// newID is a random UUID (version 4).
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
