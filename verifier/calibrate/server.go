package calibrate

import (
	"bufio"
	"context"
	"net"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// Fault is a way in which the server is down.
type Fault string

// The faults. Refuse closes the listener and resets connections, as a killed process does; Blackhole takes requests and never
// answers them; Freeze answers them all at its end, as a stopped process does; Slow answers later than the probe's limit;
// Flap is refused and answered in turn, which is one outage.
const (
	Refuse    Fault = "refuse"
	Blackhole Fault = "blackhole"
	Freeze    Fault = "freeze"
	Slow      Fault = "slow"
	Flap      Fault = "flap"
)

// Faults lists them all, in the order of reports.
func Faults() []Fault { return []Fault{Refuse, Blackhole, Freeze, Slow, Flap} }

const (
	slowLimit = 100 * time.Millisecond // of the probe, for Slow
	slowBy    = 150 * time.Millisecond
	flapDown  = 300 * time.Millisecond
	flapUp    = 100 * time.Millisecond
)

const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

// server answers HTTP on one address of 127.0.0.0/8 and can be taken down and up again. Every change is stamped just before
// and just after it.
type server struct {
	addr string

	mu      sync.Mutex
	l       net.Listener
	conns   map[net.Conn]bool
	mode    Fault // Blackhole, Freeze or Slow; "": up, or nobody listens
	release chan struct{}
	work    sync.WaitGroup
}

func startServer() (*server, error) {
	s := &server{conns: map[net.Conn]bool{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, drills.Wrap(drills.Blocked, err, "the fault server cannot listen", "")
	}
	s.addr = l.Addr().String()
	s.listen(l)
	return s, nil
}

func (s *server) listen(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.l = l
	s.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.admit(c)
		}
	})
}

func (s *server) admit(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = true
	s.work.Go(func() { s.serve(c) })
}

func (s *server) serve(c net.Conn) {
	defer func() {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		_ = c.Close()
	}()
	in := bufio.NewReader(c)
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = in.ReadString('\n'); err != nil {
			return
		}
	}
	for {
		mode, release := s.answered(c)
		switch mode {
		case "":
			return
		case Blackhole:
			_, _ = in.ReadByte() // until the client gives up
			return
		case Slow:
			<-time.After(slowBy) // close waits for it
			_, _ = c.Write([]byte(answer))
			return
		default:
			<-release
		}
	}
}

// answered answers at once where the server is up; else it says why not, and what ends a freeze. Whether a request was
// answered and whether the server was up are decided under the same lock.
func (s *server) answered(c net.Conn) (Fault, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mode == "" {
		_, _ = c.Write([]byte(answer)) // a few bytes into an empty buffer: does not block
	}
	return s.mode, s.release
}

// down begins a fault and returns the instants around its beginning.
func (s *server) down(f Fault) drills.Span {
	if f == Refuse || f == Flap {
		return s.refuse()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from := drills.Monotonic()
	s.mode, s.release = f, make(chan struct{})
	return stamp(from)
}

// up ends a fault and returns the instants around its end.
func (s *server) up(f Fault) (drills.Span, error) {
	if f == Refuse || f == Flap {
		return s.accept()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from := drills.Monotonic()
	s.mode = ""
	close(s.release)
	return stamp(from), nil
}

func stamp(from int64) drills.Span {
	return drills.Span{Lo: drills.Duration(from), Hi: drills.Duration(drills.Monotonic())}
}

func (s *server) refuse() drills.Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := drills.Monotonic()
	_ = s.l.Close()
	for c := range s.conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
	return stamp(from)
}

func (s *server) accept() (drills.Span, error) {
	from := drills.Monotonic()
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		return drills.Span{}, drills.Wrap(drills.Internal, err, "the fault server cannot come back", "")
	}
	out := stamp(from)
	s.listen(l)
	return out, nil
}

// outage takes the server down for so long and returns when that really was: the intervals of its beginning and end.
func (s *server) outage(ctx context.Context, f Fault, length time.Duration) (Truth, error) {
	t := Truth{Start: s.down(f)}
	end := time.Now().Add(length)
	var err error
	for f == Flap && ctx.Err() == nil && time.Until(end) > flapUp+flapDown {
		drills.Wait(ctx, flapDown)
		if _, err = s.up(f); err != nil {
			return t, err
		}
		drills.Wait(ctx, flapUp)
		s.down(f)
	}
	drills.Wait(ctx, max(time.Until(end), flapUp))
	t.End, err = s.up(f)
	return t, err
}

func (s *server) close() {
	s.mu.Lock()
	_ = s.l.Close()
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.work.Wait()
}

// url is what the probe asks.
func (s *server) url() string { return "http://" + s.addr + "/" }
