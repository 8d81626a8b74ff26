package hub

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/zap"
)

// item is one frame to write.
type item struct {
	frame   []byte // shared between connections; never changed
	sentNs  int64  // for the latency histogram; 0 means not a broadcast
	message bool   // counts as a message sent (control frames do not)
	last    bool   // a close frame: nothing is written after it
	hangup  bool   // it answers the peer's close: close the connection once it is written
}

func closeItem(code ws.StatusCode, reason string) item {
	return item{frame: ws.MustCompileFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(code, reason))), last: true}
}

// client is one connection. Its mutex guards the queue only and is never held while writing.
type client struct {
	hub    *Hub
	conn   net.Conn
	id     string
	who    Identity
	topics map[string]struct{} // guarded by the hub's mutex
	heard  atomic.Int64        // when the peer last said anything, Unix ns
	asked  atomic.Int64        // the silence for which it was asked: what heard was then

	mu      sync.Mutex
	room    chan struct{} // closed when the queue has room again; nil while nobody waits for that
	queue   []item
	writing bool // a goroutine is emptying the queue
	ended   bool // a close frame is queued, or the connection is cut: nothing more is taken
}

// enqueue never blocks. A full queue means that the peer does not read: it is dropped, since waiting
// would stall everybody and skipping would hide the loss.
func (c *client) enqueue(it item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	if len(c.queue) >= c.hub.o.Queue {
		if !it.last { // at shutdown it is our decision, not the peer's slowness
			c.hub.m.slow.Inc()
			c.hub.o.Log.Info("slow consumer dropped", zap.String("connection", c.id), zap.Int("queued", len(c.queue)))
		}
		c.hub.m.errors.Add(float64(len(c.queue) + 1))
		c.queue, c.ended = nil, true
		c.madeRoom()
		reset(c.conn)
		return
	}
	c.queue = append(c.queue, it)
	c.ended = it.last
	if !c.writing {
		c.writing = true
		c.hub.work.Add(1) // safe: the reader, still running or about to, holds the group open
		go c.drain()
	}
}

// drain writes until the queue is empty, then ends: idle connections have no writer.
func (c *client) drain() {
	defer c.hub.work.Done()
	for {
		batch := c.take()
		if batch == nil {
			return
		}
		for i, it := range batch {
			if !c.write(it) {
				c.fail(batch[i:])
				return
			}
			if it.last {
				c.finish(it.hangup)
				return
			}
		}
	}
}

func (c *client) take() []item {
	c.mu.Lock()
	defer c.mu.Unlock()
	batch := c.queue
	c.queue = nil
	c.madeRoom()
	if batch == nil {
		c.writing = false
	}
	return batch
}

func (c *client) write(it item) bool {
	var until time.Time
	if !c.hub.o.SlowBlocks() {
		until = time.Now().Add(c.hub.o.WriteTimeout)
	}
	_ = c.conn.SetWriteDeadline(until) // a dead socket shows in Write
	if _, err := c.conn.Write(it.frame); err != nil {
		return false
	}
	if it.message {
		c.hub.m.sent.Inc()
	}
	if it.sentNs != 0 && !c.hub.o.NoLatency() {
		c.hub.m.latency.Observe(float64(time.Now().UnixNano()-it.sentNs) / 1e9)
	}
	return true
}

// fail counts what was not sent and cuts the connection; the reader then cleans up. writing stays
// true on purpose: no other writer may start.
func (c *client) fail(unsent []item) {
	c.mu.Lock()
	n := len(c.queue) + len(unsent)
	c.queue, c.ended = nil, true
	c.madeRoom()
	c.mu.Unlock()
	c.hub.m.errors.Add(float64(n))
	_ = c.conn.Close()
}

// finish follows a close frame. After our own, the peer has a moment to answer before the reader gives up.
func (c *client) finish(hangup bool) {
	if hangup {
		_ = c.conn.Close()
		return
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(closeWait))
}

// closeWait is how long a peer may take to answer our close frame.
const closeWait = 3 * time.Second

// abort cuts the connection without a word; false when it was ending already.
func (c *client) abort() bool {
	c.mu.Lock()
	fresh := !c.ended
	c.queue, c.ended = nil, true
	c.madeRoom()
	c.mu.Unlock()
	reset(c.conn)
	return fresh
}

// reset closes at once and frees the kernel's buffers, which a peer that does not read would hold on to.
func reset(conn net.Conn) {
	if t, ok := conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = conn.Close()
}
