package verifier

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// sentinelPoll is how often the primary's address is asked for beside the probes. A client library learns it from the
// +switch-master message, which a sentinel sends at the same moment as its answer to the question changes.
const sentinelPoll = 100 * time.Millisecond

// sentinels asks Redis sentinels for the address of the primary and remembers it.
type sentinels struct {
	dial      *dialer
	addresses []string
	master    string
	enter     respTarget // how they are entered; the address is filled in

	mu      sync.Mutex
	current string
	first   int // index of the sentinel asked first: the last one that answered
}

func newSentinels(d *dialer, addresses []string, master string, auth *drills.SentinelAuth) (*sentinels, error) {
	s := &sentinels{dial: d, addresses: addresses, master: master}
	if auth == nil {
		return s, nil
	}
	cfg, err := auth.TLS.Config()
	s.enter = respTarget{username: auth.Username, password: auth.Password, tls: cfg}
	return s, err
}

// connect opens a connection to one sentinel. Auth is sent with the first question.
func (s *sentinels) connect(ctx context.Context, sentinel string) (*respConn, error) {
	t := s.enter
	t.address = sentinel
	return dialRESP(ctx, s.dial, t)
}

// primary returns the remembered address, asking when there is none.
func (s *sentinels) primary(ctx context.Context) (string, error) {
	s.mu.Lock()
	addr := s.current
	s.mu.Unlock()
	if addr != "" {
		return addr, nil
	}
	return s.ask(ctx)
}

// forget drops the remembered address if it is still this one, so that the next probe asks.
func (s *sentinels) forget(addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == addr {
		s.current = ""
	}
}

// ask asks the sentinels one after the other, beginning with the one that answered last.
func (s *sentinels) ask(ctx context.Context) (string, error) {
	s.mu.Lock()
	first := s.first
	s.mu.Unlock()
	err := errors.New("no sentinels given")
	for i := range s.addresses {
		at := (first + i) % len(s.addresses)
		var addr string
		if addr, err = s.askOne(ctx, s.addresses[at], len(s.addresses)-i); err == nil {
			s.remember(addr, at)
			return addr, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return "", fmt.Errorf("sentinel: %w", err)
}

func (s *sentinels) remember(addr string, at int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current, s.first = addr, at
}

// askOne gives one sentinel its share of the time left, so that a dead one does not use up all of it.
func (s *sentinels) askOne(ctx context.Context, sentinel string, left int) (string, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	c, err := s.connect(ctx, sentinel)
	if err != nil {
		return "", err
	}
	defer c.close()
	return s.question(c, sentinel)
}

// question asks over an open connection.
func (s *sentinels) question(c *respConn, sentinel string) (string, error) {
	replies, err := c.do(append(s.enter.auth(), []string{"SENTINEL", "get-master-addr-by-name", s.master})...)
	if err != nil {
		return "", err
	}
	pair, ok := replies[len(replies)-1].([]any)
	if !ok || len(pair) != 2 {
		return "", fmt.Errorf("%s does not know the master %q", sentinel, s.master)
	}
	return net.JoinHostPort(fmt.Sprint(pair[0]), fmt.Sprint(pair[1])), nil
}

// kept is the connection over which watch asks, to one sentinel as long as it answers.
type kept struct {
	conn *respConn
	at   int // index of the sentinel
}

func (k *kept) drop() {
	if k.conn != nil {
		k.conn.close()
	}
	k.conn = nil
}

// again asks over the kept connection, opening it to the next sentinel where there is none.
func (s *sentinels) again(ctx context.Context, k *kept) (string, error) {
	if len(s.addresses) == 0 {
		return "", errors.New("no sentinels given")
	}
	ctx, cancel := context.WithTimeout(ctx, 5*sentinelPoll)
	defer cancel()
	var err error
	if k.conn == nil {
		k.at = (k.at + 1) % len(s.addresses)
		if k.conn, err = s.connect(ctx, s.addresses[k.at]); err != nil {
			k.conn = nil
			return "", err
		}
	}
	k.conn.until(5 * sentinelPoll)
	addr, err := s.question(k.conn, s.addresses[k.at])
	if err != nil {
		k.drop()
		return "", err
	}
	s.remember(addr, k.at)
	return addr, nil
}

// watch keeps the remembered address fresh until ctx is done and calls moved (may be nil) when it changes.
func (s *sentinels) watch(ctx context.Context, opened func(), moved func(from, to string)) {
	var last string
	k := &kept{at: -1}
	defer k.drop()
	for {
		addr, err := s.again(ctx, k)
		opened()
		if err == nil && addr != last {
			if last != "" && moved != nil {
				moved(last, addr)
			}
			last = addr
		}
		if !drills.Wait(ctx, sentinelPoll) {
			return
		}
	}
}
