package main

import (
	"context"
	"errors"
	"sync"
	"time"
)

// What Telegram calls these things.
type (
	chat struct {
		ID   int64  `json:"id"`
		Type string `json:"type"`
	}
	user struct {
		ID        int64  `json:"id"`
		IsBot     bool   `json:"is_bot"`
		FirstName string `json:"first_name"`
	}
	message struct {
		MessageID int64  `json:"message_id"`
		From      *user  `json:"from,omitempty"`
		Chat      chat   `json:"chat"`
		Date      int64  `json:"date"`
		Text      string `json:"text"`
	}
	callback struct {
		ID      string   `json:"id"`
		From    user     `json:"from"`
		Message *message `json:"message,omitempty"`
		Data    string   `json:"data"`
	}
	update struct {
		UpdateID int64     `json:"update_id"`
		Message  *message  `json:"message,omitempty"`
		Callback *callback `json:"callback_query,omitempty"`
	}
)

// errConflict ends a poll when a newer one begins, as Telegram's 409 does.
var errConflict = errors.New("terminated by other getUpdates request")

// maxUpdates is how many may wait for a bot that does not poll; the oldest go first. Telegram keeps them for 24 hours.
const maxUpdates = 10_000

// updates is the queue of what users sent. An update stays until a later poll confirms it by its offset.
type updates struct {
	mu      sync.Mutex
	next    int64
	waiting []update
	news    chan struct{} // closed when something arrives
	poller  context.CancelCauseFunc
}

// newUpdates numbers from the present time, so that a restart never gives numbers that a bot has confirmed already.
func newUpdates(now time.Time) *updates {
	return &updates{next: now.UnixMilli(), news: make(chan struct{})}
}

func (u *updates) add(up update) int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	up.UpdateID = u.next
	u.next++
	if len(u.waiting) >= maxUpdates {
		u.waiting = u.waiting[1:]
	}
	u.waiting = append(u.waiting, up)
	close(u.news)
	u.news = make(chan struct{})
	return up.UpdateID
}

// poll forgets what is below offset and returns what is there, waiting up to wait for something to be.
func (u *updates) poll(ctx context.Context, offset int64, limit int, wait time.Duration) ([]update, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	u.take(cancel)
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		found, news := u.from(offset, limit)
		if len(found) > 0 {
			return found, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-timeout.C:
			return []update{}, nil
		case <-news:
		}
	}
}

// take ends the poll before this one.
func (u *updates) take(cancel context.CancelCauseFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.poller != nil {
		u.poller(errConflict) // no effect when it ended long ago
	}
	u.poller = cancel
}

func (u *updates) from(offset int64, limit int) ([]update, <-chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.waiting) > 0 && u.waiting[0].UpdateID < offset {
		u.waiting = u.waiting[1:]
	}
	return append([]update(nil), u.waiting[:min(limit, len(u.waiting))]...), u.news
}

func (u *updates) pending() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.waiting)
}
