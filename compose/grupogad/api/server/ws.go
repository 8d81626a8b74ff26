package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/apierr"
	"github.com/eevans-d/simulacro/compose/grupogad/api/auth"
	"github.com/eevans-d/simulacro/compose/grupogad/api/bus"
	"github.com/eevans-d/simulacro/compose/grupogad/api/hub"
	"github.com/gobwas/ws"
)

const (
	handshakeTimeout = 5 * time.Second
	// publishTimeout bounds what a Redis that does not answer adds to a broadcast, whose own clients
	// have been served by then.
	publishTimeout = time.Second
	maxTopic       = 128
)

// connect upgrades to a WebSocket. A missing or bad token is a 403 on the handshake, as in GRUPO_GAD.
// The handler returns at once: what the HTTP server keeps per request would be the larger part of an
// idle connection's memory.
func (s *Server) connect(w http.ResponseWriter, r *http.Request) error {
	token := r.URL.Query().Get("token")
	if token == "" {
		token = bearer(r)
	}
	id, until, err := s.Tokens.VerifyUntil(token)
	if err != nil {
		return &apierr.Error{Status: http.StatusForbidden, Detail: "Could not validate credentials", Err: err}
	}
	if err := s.Hub.Room(); err != nil {
		return &apierr.Error{Status: http.StatusServiceUnavailable, Detail: err.Error(), Err: err}
	}
	if rec, ok := w.(*recorder); ok {
		rec.upgraded()
	}
	conn, rw, _, err := ws.HTTPUpgrader{Timeout: handshakeTimeout}.Upgrade(r, w)
	if err != nil {
		if conn != nil {
			_ = conn.Close() // Upgrade has answered with the reason
		}
		return nil
	}
	var early io.Reader
	if n := rw.Reader.Buffered(); n > 0 {
		b := make([]byte, n)
		_, _ = io.ReadFull(rw.Reader, b) // these bytes are in memory already
		early = bytes.NewReader(b)
	}
	if err := s.Hub.Accept(conn, early, hub.Identity{UserID: id.UserID, Role: id.Role, Until: until}); err != nil {
		_ = conn.Close() // filled up or began to shut down since Room
	}
	return nil
}

// broadcast sends to our own connections first and then publishes, so that Redis being down costs the
// other instances' clients the message and nobody else. title, content and level arrive as they were sent.
func (s *Server) broadcast(w http.ResponseWriter, r *http.Request, _ auth.Identity) error {
	var in struct {
		Title   json.RawMessage `json:"title"`
		Content json.RawMessage `json:"content"`
		Level   json.RawMessage `json:"level"`
		Topic   *string         `json:"topic"`
		Via     string          `json:"via"` // pubsub (default) or stream
	}
	if err := decode(r, &in); err != nil {
		return err
	}
	if in.Content == nil {
		return apierr.New(http.StatusUnprocessableEntity, "Validation Error: content is required")
	}
	if in.Topic != nil && len(*in.Topic) > maxTopic {
		return apierr.New(http.StatusUnprocessableEntity, "Validation Error: topic may have %d characters", maxTopic)
	}
	if in.Via != "" && in.Via != ViaPubSub && in.Via != ViaStream {
		return apierr.New(http.StatusUnprocessableEntity, "Validation Error: via is %s or %s", ViaPubSub, ViaStream)
	}
	e, err := hub.NewEnvelope(hub.EventNotification, map[string]json.RawMessage{"title": in.Title, "content": in.Content, "level": in.Level})
	if err != nil {
		return apierr.New(http.StatusUnprocessableEntity, "Validation Error: %v", err)
	}
	e.Topic = in.Topic
	payload, sent, err := s.Hub.Broadcast(e)
	if err != nil {
		return apierr.New(http.StatusUnprocessableEntity, "Validation Error: %v", err)
	}
	err = s.publish(r.Context(), in.Via, payload)
	answer := map[string]any{"status": "ok", "sent": sent, "published": err == nil, "message_id": e.MessageID}
	if err != nil {
		answer["publish_error"] = err.Error()
	}
	return ok(w, answer)
}

// The ways to the other instances: at most once, or kept in a stream that is read again after an interruption.
const (
	ViaPubSub = "pubsub"
	ViaStream = "stream"
)

func (s *Server) publish(ctx context.Context, via string, payload []byte) error {
	if via == ViaStream {
		_, err := s.append(ctx, bus.Broadcasts, map[string]any{"payload": payload})
		return err
	}
	return s.Redis.Do(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, publishTimeout)
		defer cancel()
		return s.Publish(ctx, payload)
	})
}

func (s *Server) wsStats(w http.ResponseWriter, _ *http.Request) error {
	st := s.Hub.Stats()
	return ok(w, map[string]any{"status": "ok", "instance": s.Instance, "stats": map[string]any{
		"total_connections": st.Connections, "unique_users": st.Users, "connections_by_role": st.ByRole,
		"topics": st.Topics, "pubsub_subscribed": s.Subscribed(),
	}})
}
