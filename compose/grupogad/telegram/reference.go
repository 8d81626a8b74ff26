package main

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	defaultWithin = 3 * time.Second
	maxWithin     = time.Minute
	quiet         = 500 * time.Millisecond // without a new message, when a list is asked for what has settled
	quietAtMost   = 3 * time.Second
	settleTick    = 50 * time.Millisecond
)

// userCommand is what a user types, and what is expected of the bot's answer.
type userCommand struct {
	Text    string `json:"text"`
	User    int64  `json:"user"`    // default 4242
	Chat    int64  `json:"chat"`    // default the user's own
	Within  span   `json:"within"`  // how long to wait for the reply; default 3s
	NoReply bool   `json:"no_wait"` // only send it
	Expect  string `json:"expect"`  // text that a good reply contains; another one is a 502
	Capture string `json:"capture"` // regular expression; its first group in the reply becomes "captured"
}

// command sends what a user types and waits for the bot's reply to it: the round trip that users wait for. 200 with the reply,
// 502 when it lacks the expected text, 504 when none came.
func (s *server) command(w http.ResponseWriter, r *http.Request) {
	if !whole(w, r) {
		return
	}
	in := userCommand{User: 4242, Within: span(defaultWithin)}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Text == "" {
		writeJSON(w, http.StatusUnprocessableEntity, map[string]any{"error": "a command needs a text, for example {\"text\": \"/start\"}"})
		return
	}
	capture, err := regexp.Compile(in.Capture)
	if err != nil {
		writeJSON(w, http.StatusUnprocessableEntity, map[string]any{"error": "capture: " + err.Error()})
		return
	}
	if in.Chat == 0 {
		in.Chat = in.User
	}
	began := time.Now()
	id := s.out.id()
	reply, done := s.out.expect(id)
	defer done()
	n := s.in.add(update{Message: &message{MessageID: id, From: person(in.User), Chat: private(in.Chat), Date: began.Unix(), Text: in.Text}})
	answer := map[string]any{"update_id": n, "message_id": id}
	if in.NoReply {
		writeJSON(w, http.StatusAccepted, answer)
		return
	}
	limit := time.NewTimer(min(time.Duration(in.Within), maxWithin))
	defer limit.Stop()
	select {
	case <-r.Context().Done():
	case <-limit.C:
		answer["error"] = "no reply within " + time.Duration(in.Within).String()
		writeJSON(w, http.StatusGatewayTimeout, answer)
	case got := <-reply:
		answer["reply"], answer["took_ms"] = got.Text, time.Since(began).Milliseconds()
		writeJSON(w, judged(in, capture, got.Text, answer), answer)
	}
}

// judged puts what was captured into the answer and returns its status.
func judged(in userCommand, capture *regexp.Regexp, text string, answer map[string]any) int {
	found := capture.FindStringSubmatch(text)
	if !strings.Contains(text, in.Expect) || found == nil {
		answer["error"] = "the reply is not the expected one"
		return http.StatusBadGateway
	}
	if len(found) > 1 {
		answer["captured"] = found[1]
	}
	return http.StatusOK
}

func person(id int64) *user { return &user{ID: id, FirstName: "usuario"} }

// press is a user's tap on a button.
func (s *server) press(w http.ResponseWriter, r *http.Request) {
	if !whole(w, r) {
		return
	}
	var in struct {
		Data string `json:"data"`
		User int64  `json:"user"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Data == "" {
		writeJSON(w, http.StatusUnprocessableEntity, map[string]any{"error": "a callback needs data"})
		return
	}
	id := s.out.id()
	n := s.in.add(update{Callback: &callback{ID: strconv.FormatInt(id, 10), From: *person(in.User), Data: in.Data}})
	writeJSON(w, http.StatusAccepted, map[string]any{"update_id": n})
}

// messages lists what was delivered, oldest first; `settled=true` waits until nothing new has come for a moment.
func (s *server) messages(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	number := func(name string, def int64) int64 {
		n, err := strconv.ParseInt(q.Get(name), 10, 64)
		if err != nil || (n < 0 && name != "chat") {
			return def
		}
		return n
	}
	chatID, skip := number("chat", 0), int(number("skip", 0))
	if q.Get("settled") == "true" && skip == 0 {
		s.settle(r.Context(), chatID)
	}
	writeJSON(w, http.StatusOK, s.out.page(chatID, skip, int(number("limit", 100))))
}

// settle waits until the chat has been quiet for a moment, but not for long: what is under way when a canary stops writing is
// late by milliseconds, not lost.
func (s *server) settle(ctx context.Context, chatID int64) {
	t := time.NewTicker(settleTick)
	defer t.Stop()
	began := time.Now()
	for last, since := s.out.count(chatID), began; time.Since(since) < quiet && time.Since(began) < quietAtMost; {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if n := s.out.count(chatID); n != last {
			last, since = n, time.Now()
		}
	}
}

func (s *server) purge(w http.ResponseWriter, r *http.Request) {
	chatID, err := strconv.ParseInt(r.URL.Query().Get("chat"), 10, 64)
	if err != nil {
		writeJSON(w, http.StatusUnprocessableEntity, map[string]any{"error": "say whose messages: ?chat=<id>, 0 for all"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"removed": s.out.purge(chatID)})
}

// remove forgets one message; one that has not come yet will not be kept.
func (s *server) remove(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"removed": s.out.remove(r.PathValue("id"))})
}
