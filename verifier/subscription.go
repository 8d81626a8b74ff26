package verifier

import (
	"context"
	"net/http"
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
	owner *wsCheck

	mu  sync.Mutex
	up  bool
	why result // of the last failure
}

func newSubscription(owner *wsCheck) *subscription {
	return &subscription{owner: owner, why: result{Observer, "websocket: not connected yet"}}
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
			settled := time.AfterFunc(wsSettle, opened)
			err := s.read(ctx, conn)
			settled.Stop()
			why, wait = s.owner.classify(nil, err), wsBackoff
			if !why.class.Bad() { // closed in good order is still an interrupted subscription
				why = result{Failed, "websocket: closed by the server"}
			}
		}
		if ctx.Err() != nil {
			return
		}
		s.set(false, why)
		s.owner.broke(why)
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
	token, why := s.owner.token()
	if s.owner.session != nil && token == "" {
		return nil, why
	}
	opts := &websocket.DialOptions{HTTPClient: s.owner.client, HTTPHeader: http.Header{}}
	for k, v := range s.owner.spec.Headers {
		opts.HTTPHeader.Set(k, v)
	}
	if token != "" {
		opts.HTTPHeader.Set("Authorization", "Bearer "+token)
	}
	conn, resp, err := websocket.Dial(ctx, s.owner.address(token), opts) //nolint:bodyclose // the library closes it
	if err != nil {
		return nil, s.owner.classify(resp, err)
	}
	conn.SetReadLimit(wsFrameMax)
	if hello := s.owner.greeting(); hello != "" {
		if err := conn.Write(ctx, websocket.MessageText, []byte(hello)); err != nil {
			_ = conn.CloseNow()
			return nil, s.owner.classify(nil, err)
		}
	}
	return conn, good()
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
		s.owner.arrived(frame)
	}
}
