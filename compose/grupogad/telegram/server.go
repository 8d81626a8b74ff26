package main

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
)

const (
	maxBody     = 1 << 20
	maxText     = 4096 // characters of one message
	longestPoll = 50 * time.Second
)

// server is the Bot API of one bot.
type server struct {
	token  string
	in     *updates
	out    *outbox
	faults *switches
	log    *zap.Logger
}

func newServer(token string, keep int, log *zap.Logger) *server {
	return &server{token: token, in: newUpdates(time.Now()), out: newOutbox(keep), faults: new(switches), log: log}
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{bot}/{method}", s.api)
	mux.HandleFunc("GET /_reference/health", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"status": "ok", "updates_waiting": s.in.pending()})
	})
	mux.HandleFunc("POST /_reference/commands", s.command)
	mux.HandleFunc("POST /_reference/callbacks", s.press)
	mux.HandleFunc("GET /_reference/messages", s.messages)
	mux.HandleFunc("DELETE /_reference/messages", s.purge)
	mux.HandleFunc("DELETE /_reference/messages/{id}", s.remove)
	mux.HandleFunc("GET /_reference/faults", s.getFault)
	mux.HandleFunc("PUT /_reference/faults", s.putFault)
	mux.HandleFunc("DELETE /_reference/faults", func(w http.ResponseWriter, r *http.Request) { s.faults.set(nil); s.getFault(w, r) })
	return mux
}

// fail is an error that Telegram would answer with.
type fail struct {
	status int
	text   string
}

func (f *fail) Error() string { return f.text }

// call is one call of the Bot API: its parameters as JSON or as a form.
type call struct {
	ctx context.Context
	raw map[string]json.RawMessage
	r   *http.Request
}

func (s *server) api(w http.ResponseWriter, r *http.Request) {
	token, ok := strings.CutPrefix(r.PathValue("bot"), "bot")
	if !ok {
		http.NotFound(w, r)
		return
	}
	if subtle.ConstantTimeCompare([]byte(token), []byte(s.token)) != 1 {
		refuse(w, http.StatusUnauthorized, "Unauthorized", 0)
		return
	}
	if !whole(w, r) {
		return
	}
	f := s.faults.hit(r.PathValue("method"))
	if f != nil {
		pause(r.Context(), time.Duration(f.Latency))
		if !f.Done && f.carryOut(r.Context(), w) {
			return
		}
	}
	result, err := s.do(r)
	if f != nil && f.Done && f.carryOut(r.Context(), w) {
		return
	}
	var bad *fail
	switch {
	case errors.As(err, &bad):
		refuse(w, bad.status, bad.text, 0)
	case err == nil:
		writeJSON(w, http.StatusOK, map[string]any{"ok": true, "result": result})
	}
}

// whole reads the body to its end. Only then does net/http notice that a caller hangs up, and its context ends.
func whole(w http.ResponseWriter, r *http.Request) bool {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large", 0)
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(b))
	return true
}

func (s *server) do(r *http.Request) (any, error) {
	c := call{ctx: r.Context(), r: r}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		if err := json.NewDecoder(r.Body).Decode(&c.raw); err != nil {
			return nil, &fail{http.StatusBadRequest, "Bad Request: can't parse JSON"}
		}
	} else if err := r.ParseForm(); err != nil {
		return nil, &fail{http.StatusBadRequest, "Bad Request: can't parse form"}
	}
	switch r.PathValue("method") {
	case "getMe":
		return user{ID: 1, IsBot: true, FirstName: "gad"}, nil
	case "deleteWebhook", "answerCallbackQuery", "setMyCommands":
		return true, nil
	case "getUpdates":
		return s.getUpdates(c)
	case "sendMessage":
		return s.sendMessage(c)
	case "editMessageText":
		return s.editMessageText(c)
	case "deleteMessage":
		return s.out.remove(c.text("message_id")) > 0, nil
	}
	return nil, &fail{http.StatusNotFound, "Not Found"}
}

func (c call) text(name string) string {
	if v, ok := c.raw[name]; ok {
		var s string
		if json.Unmarshal(v, &s) == nil {
			return s
		}
		return string(v)
	}
	return c.r.Form.Get(name)
}

func (c call) number(name string, def int64) int64 {
	n, err := strconv.ParseInt(c.text(name), 10, 64)
	if err != nil {
		return def
	}
	return n
}

func (c call) into(name string, v any) {
	if raw := c.text(name); raw != "" {
		_ = json.Unmarshal([]byte(raw), v) // as good as absent
	}
}

func (s *server) getUpdates(c call) (any, error) {
	wait := min(time.Duration(c.number("timeout", 0))*time.Second, longestPoll)
	limit := c.number("limit", 100)
	if limit < 1 || limit > 100 {
		limit = 100
	}
	got, err := s.in.poll(c.ctx, c.number("offset", 0), int(limit), wait)
	if errors.Is(err, errConflict) {
		return nil, &fail{http.StatusConflict, "Conflict: " + err.Error()}
	}
	return got, err
}

func (s *server) sendMessage(c call) (any, error) {
	d := delivered{ChatID: c.number("chat_id", 0), Text: c.text("text")}
	switch {
	case d.ChatID == 0:
		return nil, &fail{http.StatusBadRequest, "Bad Request: chat not found"}
	case d.Text == "" || len([]rune(d.Text)) > maxText:
		return nil, &fail{http.StatusBadRequest, "Bad Request: message text is empty or too long"}
	}
	var reply struct {
		MessageID int64 `json:"message_id"`
	}
	c.into("reply_parameters", &reply)
	var markup struct {
		Rows [][]struct {
			Data string `json:"callback_data"`
		} `json:"inline_keyboard"`
	}
	c.into("reply_markup", &markup)
	d.ReplyTo = reply.MessageID
	if len(markup.Rows) > 0 && len(markup.Rows[0]) > 0 {
		d.Data = markup.Rows[0][0].Data
	}
	if len(d.Data) > 64 {
		return nil, &fail{http.StatusBadRequest, "Bad Request: BUTTON_DATA_INVALID"}
	}
	return asMessage(s.out.add(d)), nil
}

func asMessage(d delivered) message {
	return message{MessageID: d.MessageID, From: &user{ID: 1, IsBot: true, FirstName: "gad"}, Chat: private(d.ChatID), Date: d.ReceivedAt.Unix(), Text: d.Text}
}

func private(id int64) chat { return chat{ID: id, Type: "private"} }

func (s *server) editMessageText(c call) (any, error) {
	chatID, id, text := c.number("chat_id", 0), c.number("message_id", 0), c.text("text")
	if !s.out.edit(chatID, id, text) {
		return nil, &fail{http.StatusBadRequest, "Bad Request: message to edit not found"}
	}
	return message{MessageID: id, Chat: private(chatID), Date: time.Now().Unix(), Text: text}, nil
}

func (s *server) getFault(w http.ResponseWriter, _ *http.Request) {
	f, hits := s.faults.state()
	writeJSON(w, http.StatusOK, map[string]any{"fault": f, "hits": hits})
}

func (s *server) putFault(w http.ResponseWriter, r *http.Request) {
	if !whole(w, r) {
		return
	}
	var f fault
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(&f)
	if err == nil {
		err = f.valid()
	}
	if err != nil {
		writeJSON(w, http.StatusUnprocessableEntity, map[string]any{"error": fmt.Sprint("no such fault: ", err)})
		return
	}
	s.faults.set(&f)
	s.log.Info("fault", zap.Any("fault", f))
	s.getFault(w, r)
}
