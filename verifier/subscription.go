package verifier

import (
	"context"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/eevans-d/simulacro/drills"
)

const (
	wsHandshake  = 2 * time.Second
	wsSettle     = 150 * time.Millisecond // after the first subscription, so that the first probes do not outrun it
	wsBackoff    = 50 * time.Millisecond
	wsBackoffMax = 200 * time.Millisecond
	wsPingEvery  = 5 * time.Second
	wsFrameMax   = 1 << 20
)

// subscription holds one WebSocket connection and opens it again with a small back-off when it breaks.
type subscription struct {
	by      *wsClient
	url     string
	arrived func(frame []byte)
	changed func(up bool, why result) // called when it stands and when it breaks or cannot be made

	mu  sync.Mutex
	up  bool
	why result // of the last failure
}

func newSubscription(by *wsClient, url string, arrived func([]byte), changed func(bool, result)) *subscription {
	return &subscription{by: by, url: url, arrived: arrived, changed: changed, why: result{Observer, "websocket: not connected yet"}}
}

func (s *subscription) state() (bool, result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.up, s.why
}

func (s *subscription) set(up bool, why result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.up, s.why = up, why
}

// keep connects, reads and reconnects until ctx is done.
func (s *subscription) keep(ctx context.Context, opened func()) {
	for wait := wsBackoff; ; {
		conn, why := s.connect(ctx)
		if conn != nil {
			s.set(true, good())
			s.changed(true, good())
			settled := time.AfterFunc(wsSettle, opened)
			err := s.read(ctx, conn)
			settled.Stop()
			why, wait = s.by.classify(s.url, nil, err), wsBackoff
			if !why.class.Bad() { // closed in good order is still an interrupted subscription
				why = result{Failed, "websocket: closed by the server"}
			}
		}
		if ctx.Err() != nil {
			return
		}
		s.set(false, why)
		s.changed(false, why)
		opened()
		if !drills.Wait(ctx, wait) {
			return
		}
		wait = min(2*wait, wsBackoffMax)
	}
}

func (s *subscription) connect(ctx context.Context) (*websocket.Conn, result) {
	ctx, cancel := context.WithTimeout(ctx, wsHandshake)
	defer cancel()
	return s.by.connect(ctx, s.url)
}

// read hands frames over until the connection breaks. A peer that answers no ping for two periods counts as broken, as
// it would for a usual client library.
func (s *subscription) read(ctx context.Context, conn *websocket.Conn) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var pinger sync.WaitGroup
	defer pinger.Wait()
	defer cancel(nil)
	defer func() { _ = conn.CloseNow() }()
	pinger.Go(func() {
		for drills.Wait(ctx, wsPingEvery) {
			pingCtx, stop := context.WithTimeout(ctx, wsPingEvery)
			err := conn.Ping(pingCtx)
			stop()
			if err != nil {
				cancel(context.DeadlineExceeded)
				return
			}
		}
	})
	for {
		_, frame, err := conn.Read(ctx)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
		s.arrived(frame)
	}
}
