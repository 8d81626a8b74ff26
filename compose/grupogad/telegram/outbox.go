package main

import (
	"strconv"
	"sync"
	"time"
)

// delivered is one message as a person in the chat would have it.
type delivered struct {
	MessageID  int64     `json:"message_id"`
	ChatID     int64     `json:"chat_id"`
	Text       string    `json:"text"`
	Data       string    `json:"data,omitempty"`     // callback data of its first button
	ReplyTo    int64     `json:"reply_to,omitempty"` // the message that it answers
	ReceivedAt time.Time `json:"received_at"`
	Edits      int       `json:"edits,omitempty"`
}

// outbox keeps the last messages. Whoever waits for the reply to a message is told.
type outbox struct {
	keep int

	mu      sync.Mutex
	next    int64
	list    []delivered // oldest first
	dropped map[string]bool
	order   []string // of dropped, oldest first
	replies map[int64]chan delivered
}

func newOutbox(keep int) *outbox {
	return &outbox{keep: keep, next: 1, dropped: map[string]bool{}, replies: map[int64]chan delivered{}}
}

// id gives the number of a message that is not from the bot.
func (o *outbox) id() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.next++
	return o.next - 1
}

// expect returns a channel with the reply to a message, and what ends the waiting.
func (o *outbox) expect(id int64) (<-chan delivered, func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	ch := make(chan delivered, 1)
	o.replies[id] = ch
	return ch, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.replies, id)
	}
}

func (o *outbox) add(d delivered) delivered {
	o.mu.Lock()
	defer o.mu.Unlock()
	d.MessageID, d.ReceivedAt = o.next, time.Now().UTC()
	o.next++
	if ch, ok := o.replies[d.ReplyTo]; ok {
		select {
		case ch <- d:
		default: // a second reply; the first one counts
		}
	}
	if d.Data == "" || !o.dropped[d.Data] {
		o.list = append(o.list, d)
	}
	if len(o.list) > o.keep+o.keep/4 {
		o.list = append([]delivered(nil), o.list[len(o.list)-o.keep:]...)
	}
	return d
}

// edit changes the text of a message, false when there is none.
func (o *outbox) edit(chatID, id int64, text string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.list {
		if o.list[i].MessageID == id && o.list[i].ChatID == chatID {
			o.list[i].Text = text
			o.list[i].Edits++
			return true
		}
	}
	return false
}

// page returns the messages of a chat (0: of all), oldest first.
func (o *outbox) page(chatID int64, skip, limit int) []delivered {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := []delivered{}
	for _, d := range o.list {
		if chatID != 0 && d.ChatID != chatID {
			continue
		}
		if skip > 0 {
			skip--
			continue
		}
		if len(out) == limit {
			break
		}
		out = append(out, d)
	}
	return out
}

// maxDropped bounds what is remembered of messages that were removed before they came.
const maxDropped = 10_000

// remove forgets every message with this callback data or message id. One with such data that comes later is not kept
// either: whoever purges must not race with a delivery. It returns how many there were.
func (o *outbox) remove(id string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	kept := o.list[:0]
	for _, d := range o.list {
		if d.Data != id && strconv.FormatInt(d.MessageID, 10) != id {
			kept = append(kept, d)
		}
	}
	n := len(o.list) - len(kept)
	clear(o.list[len(kept):])
	o.list = kept
	if _, err := strconv.ParseInt(id, 10, 64); err != nil && !o.dropped[id] {
		o.dropped[id] = true
		o.order = append(o.order, id)
	}
	if len(o.order) > maxDropped {
		delete(o.dropped, o.order[0])
		o.order = o.order[1:]
	}
	return n
}

// purge forgets the messages of a chat (0: of all) and returns how many there were.
func (o *outbox) purge(chatID int64) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	kept := o.list[:0]
	for _, d := range o.list {
		if chatID != 0 && d.ChatID != chatID {
			kept = append(kept, d)
		}
	}
	n := len(o.list) - len(kept)
	clear(o.list[len(kept):])
	o.list = kept
	return n
}

// count is how many messages of a chat (0: of all) there are.
func (o *outbox) count(chatID int64) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, d := range o.list {
		if chatID == 0 || d.ChatID == chatID {
			n++
		}
	}
	return n
}
