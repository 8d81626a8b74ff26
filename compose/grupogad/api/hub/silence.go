package hub

import (
	"context"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/zap"
)

// looks at all peers in the time after which a silent one is asked; one a second where none is.
const looks = 20

// look asks and cuts silent peers until ctx ends. A peer whose network vanished sends no end: without this its connection would
// stay until the kernel gives up sending to it, a quarter of an hour later.
func (h *Hub) look(ctx context.Context) {
	every := time.Second
	if h.o.Silence > 0 {
		every = max(h.o.Silence/looks, time.Millisecond)
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			if h.o.Silence > 0 && !h.o.KeepGone() {
				h.silent(now)
			}
			if !h.o.Outlive() {
				h.expired(now)
			}
		}
	}
}

func (h *Hub) silent(now time.Time) {
	ping := item{frame: ws.MustCompileFrame(ws.NewPingFrame(nil))}
	h.mu.RLock()
	defer h.mu.RUnlock()
	for c := range h.clients {
		heard := c.heard.Load()
		switch quiet := now.Sub(time.Unix(0, heard)); {
		case quiet >= 2*h.o.Silence:
			if c.abort() { // its reader ends and forgets it
				h.m.gone.Inc()
				h.o.Log.Info("silent peer cut", zap.String("connection", c.id), zap.Duration("silent", quiet))
			}
		case quiet >= h.o.Silence && c.asked.Swap(heard) != heard:
			c.enqueue(ping)
		}
	}
}

// expired ends the connections whose token has. The close code is that of a broken rule (1008): a client that may still be
// allowed in logs in again and comes back.
func (h *Hub) expired(now time.Time) {
	bye := closeItem(ws.StatusPolicyViolation, "token expired")
	h.mu.RLock()
	defer h.mu.RUnlock()
	for c := range h.clients {
		if !c.who.Until.IsZero() && now.After(c.who.Until) && !c.over() {
			h.m.expired.Inc()
			c.enqueue(bye)
		}
	}
}

func (c *client) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// oneByOne is the defect slow-consumer-blocks: nobody gets the message before those before him in the list have room for it.
func (h *Hub) oneByOne(it item, topic string) int {
	h.mu.RLock()
	to := h.clients
	if topic != "" {
		to = h.topics[topic]
	}
	list := make([]*client, 0, len(to))
	for c := range to {
		list = append(list, c)
	}
	h.mu.RUnlock()
	for _, c := range list {
		c.await()
		c.enqueue(it)
	}
	return len(list)
}

// await returns when the client has room in its queue, or has ended.
func (c *client) await() {
	for {
		c.mu.Lock()
		if c.ended || len(c.queue) < c.hub.o.Queue {
			c.mu.Unlock()
			return
		}
		if c.room == nil {
			c.room = make(chan struct{})
		}
		room := c.room
		c.mu.Unlock()
		<-room
	}
}

// madeRoom wakes who awaits it. The caller holds the client's mutex.
func (c *client) madeRoom() {
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
}
