package hub

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Options says how a hub behaves. Zero values are not defaults: the service's config has them.
type Options struct {
	Origin       string        // identity of this process in messages; unique per start
	Queue        int           // frames that may wait for one connection before it is dropped
	MaxConns     int           // more are refused
	WriteTimeout time.Duration // one frame to one socket
	Heartbeat    time.Duration // between two pings
	// A peer that was silent for so long is asked for a sign of life (a ping of the protocol, which every client answers); one
	// that was silent for twice as long is cut. Zero: nobody is asked, and nobody cut.
	Silence  time.Duration
	Register prometheus.Registerer
	Log      *zap.Logger

	// The defects; nil is no.
	EchoOwn    func() bool // is our own echo delivered again?
	ActiveZero func() bool // is the gauge of open connections 0?
	NoLatency  func() bool // is the latency never observed?
	SlowBlocks func() bool // does a broadcast wait for whoever does not read?
	KeepGone   func() bool // are peers kept that do not answer?
	Outlive    func() bool // do connections outlive their tokens?
}

func (o *Options) withDefaults() {
	for _, f := range []*func() bool{&o.EchoOwn, &o.ActiveZero, &o.NoLatency, &o.SlowBlocks, &o.KeepGone, &o.Outlive} {
		if *f == nil {
			*f = func() bool { return false }
		}
	}
}

// Identity is who a connection belongs to.
type Identity struct {
	UserID, Role string
	Until        time.Time // when its token expires; zero: never
}

// ErrFull and ErrClosing say why a connection was refused.
var (
	ErrFull    = errors.New("this instance has all the WebSocket connections it can hold")
	ErrClosing = errors.New("this instance is shutting down")
)

// Hub owns the connections of this instance and the goroutines that serve them.
type Hub struct {
	o Options
	m metrics

	mu      sync.RWMutex
	clients map[*client]struct{}
	topics  map[string]map[*client]struct{}
	users   map[string]int
	roles   map[string]int
	closing bool

	work sync.WaitGroup // readers and writers; Add only while holding mu or inside another of them
}

// New makes an empty hub and registers its metrics.
func New(o Options) *Hub {
	o.withDefaults()
	h := &Hub{
		o: o, m: newMetrics(o.Register), clients: map[*client]struct{}{}, topics: map[string]map[*client]struct{}{},
		users: map[string]int{}, roles: map[string]int{},
	}
	o.Register.MustRegister(newCollector(h))
	return h
}

// Accept takes an upgraded connection over: it is acknowledged, then read until it ends. early is
// what was already read from conn beyond the handshake. On error the connection is not taken.
func (h *Hub) Accept(conn net.Conn, early io.Reader, id Identity) error {
	c := &client{hub: h, conn: conn, id: newID(), who: id}
	c.heard.Store(time.Now().UnixNano())
	if err := h.add(c); err != nil {
		return err
	}
	h.m.connections.Inc()
	c.ack()
	go c.read(early)
	return nil
}

// Room reports why a new connection would be refused now, nil if it would not.
func (h *Hub) Room() error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.room()
}

func (h *Hub) room() error {
	if h.closing {
		return ErrClosing
	}
	if len(h.clients) >= h.o.MaxConns {
		return ErrFull
	}
	return nil
}

func (h *Hub) add(c *client) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.room(); err != nil {
		return err
	}
	h.clients[c] = struct{}{}
	h.users[c.who.UserID]++
	h.roles[c.who.Role]++
	h.work.Add(1) // its reader
	return nil
}

func (h *Hub) remove(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.clients[c]; !ok {
		return
	}
	delete(h.clients, c)
	for t := range c.topics {
		h.leave(c, t)
	}
	if h.users[c.who.UserID]--; h.users[c.who.UserID] == 0 {
		delete(h.users, c.who.UserID)
	}
	h.roles[c.who.Role]-- // a role that was seen stays as 0, so that its series does not vanish
}

// Broadcast sends a message that begins here to this instance's connections: to the subscribers of its
// topic, or to all when it has none. It returns the text to publish and how many connections it went to.
func (h *Hub) Broadcast(e Envelope) (payload []byte, n int, err error) {
	e.RoutingMetadata.Origin = h.o.Origin
	payload, err = e.Encode()
	if err != nil {
		return nil, 0, err
	}
	h.m.broadcasts.Inc()
	return payload, h.fanOut(payload, deref(e.Topic), e.RoutingMetadata.SentUnixNs), nil
}

// Relay delivers a message published by another instance, byte for byte. Our own echo is left out by
// its origin: those connections have it already.
func (h *Hub) Relay(payload []byte) error {
	var e Envelope
	if err := unmarshal(payload, &e); err != nil {
		return err
	}
	switch own := e.RoutingMetadata.Origin == h.o.Origin; {
	case own && !h.o.EchoOwn():
		return nil
	case !own:
		h.m.relayed.Inc()
	}
	h.fanOut(payload, deref(e.Topic), e.RoutingMetadata.SentUnixNs)
	return nil
}

// fanOut builds the frame once and queues it; all connections share its bytes.
func (h *Hub) fanOut(payload []byte, topic string, sentNs int64) int {
	it := item{frame: ws.MustCompileFrame(ws.NewTextFrame(payload)), sentNs: sentNs, message: true}
	if h.o.SlowBlocks() {
		return h.oneByOne(it, topic)
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	to := h.clients
	if topic != "" {
		to = h.topics[topic]
	}
	for c := range to {
		c.enqueue(it)
	}
	return len(to)
}

// Run sends the application-level ping to everybody, every Heartbeat, and looks after silent peers, until ctx ends.
func (h *Hub) Run(ctx context.Context) error {
	looking := make(chan struct{})
	go func() { defer close(looking); h.look(ctx) }()
	defer func() { <-looking }()
	t := time.NewTicker(h.o.Heartbeat)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-t.C:
			e, err := NewEnvelope(EventPing, map[string]any{"server_time": now.UTC().Format(time.RFC3339Nano)})
			if err != nil {
				return err
			}
			payload, err := e.Encode()
			if err != nil {
				return err
			}
			h.fanOut(payload, "", 0)
			h.m.heartbeat.SetToCurrentTime()
		}
	}
}

// Stats is a snapshot for /ws/stats and the metrics.
type Stats struct {
	Connections int
	Users       int
	ByRole      map[string]int
	Topics      int
}

// Stats takes the snapshot.
func (h *Hub) Stats() Stats {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return Stats{Connections: len(h.clients), Users: len(h.users), ByRole: maps.Clone(h.roles), Topics: len(h.topics)}
}

// Shutdown refuses new connections, closes the present ones with 1012 (service restart) and waits for
// all their goroutines; what is left when ctx ends is cut.
func (h *Hub) Shutdown(ctx context.Context) {
	h.mu.Lock()
	h.closing = true
	bye := closeItem(ws.StatusCode(1012), "service restart")
	for c := range h.clients {
		c.enqueue(bye)
	}
	h.mu.Unlock()

	done := make(chan struct{})
	go func() { h.work.Wait(); close(done) }()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	h.cut()
	<-done
}

func (h *Hub) cut() {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for c := range h.clients {
		c.abort()
	}
}
