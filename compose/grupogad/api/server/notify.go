package server

import (
	"context"
	"crypto/rand"
	"net/http"
	"strconv"

	"github.com/eevans-d/simulacro/compose/grupogad/api/apierr"
	"github.com/eevans-d/simulacro/compose/grupogad/api/auth"
	"github.com/eevans-d/simulacro/compose/grupogad/api/bus"
	"github.com/eevans-d/simulacro/compose/grupogad/api/defects"
)

const (
	maxNotification = 4000
	maxKey          = 60
)

// notify takes a notification for a chat: it is acknowledged when the stream has it and a replica too, and delivered by the bot. A
// caller who repeats a request with the same key gets it delivered once.
func (s *Server) notify(w http.ResponseWriter, r *http.Request, _ auth.Identity) error {
	var in struct {
		ChatID int64  `json:"chat_id"`
		Text   string `json:"text"`
		Key    string `json:"key"`
	}
	if err := decode(r, &in); err != nil {
		return err
	}
	if in.ChatID == 0 || in.Text == "" || len(in.Text) > maxNotification || len(in.Key) > maxKey {
		return apierr.New(http.StatusUnprocessableEntity, "Validation Error: chat_id and text (to %d bytes) are required; key may have %d bytes", maxNotification, maxKey)
	}
	id := in.Key
	if id == "" {
		id = "n-" + rand.Text()
	}
	e, err := s.append(r.Context(), bus.Notifications, map[string]any{"id": id, "chat_id": strconv.FormatInt(in.ChatID, 10), "text": in.Text})
	if err != nil && !s.Defects.On(defects.NotificationAcksEarly) {
		return err
	}
	return ok(w, map[string]any{"id": id, "entry": e.ID, "status": "queued"})
}

// append puts an entry into a stream. One that no replica confirmed is not acknowledged: it may be lost, or delivered.
func (s *Server) append(ctx context.Context, stream string, values map[string]any) (e Entry, err error) {
	err = s.Redis.Do(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*publishTimeout)
		defer cancel()
		e, err = s.Append(ctx, stream, values)
		return err
	})
	if err == nil && e.Replicas == 0 {
		err = apierr.Unavailable("redis", bus.ErrNotReplicated)
	}
	return e, err
}
