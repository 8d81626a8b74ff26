package load

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/gobwas/ws/wsutil"
)

// target is a small WebSocket service with the reference API's manners, and faults of exactly known size.
type target struct {
	*httptest.Server
	refuse      int           // so many handshakes are answered 503: every second one
	twice       int           // every message reaches this many connections twice
	lose        int           // every message misses this many connections
	delay       time.Duration // before a message is delivered
	failPublish bool          // answered 500
	forget      bool          // never confirms a subscription
	secure      bool          // speaks TLS
	deflate     bool          // compresses what it sends
	life        time.Duration // of a token, which is refused afterwards; zero: an hour

	mu        sync.Mutex
	conns     map[net.Conn]bool // value: subscribed
	shakes    int
	refused   int
	issued    time.Time // the newest token
	published atomic.Int64
	pongs     atomic.Int64
	logins    atomic.Int64
	readers   sync.WaitGroup
}

const password = "s3cret"

func newTarget(t *testing.T, change func(*target)) *target {
	t.Helper()
	s := &target{conns: map[net.Conn]bool{}}
	if change != nil {
		change(s)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /auth/login", s.login)
	mux.HandleFunc("GET /ws/connect", s.connect)
	mux.HandleFunc("POST /publish", s.publish)
	s.Server = httptest.NewUnstartedServer(mux)
	if s.secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(func() {
		s.drop(1 << 30)
		s.readers.Wait()
		s.Close()
	})
	return s
}

func (s *target) addr() string { return s.Listener.Addr().String() }

func (s *target) login(w http.ResponseWriter, r *http.Request) {
	s.logins.Add(1)
	if r.FormValue("username") != "u" || r.FormValue("password") != password {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.issued = time.Now()
	_, _ = fmt.Fprintf(w, `{"access_token":"tok","expires_in":%d}`, int(cmp.Or(s.life, time.Hour).Seconds()))
}

func (s *target) connect(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.shakes++
	expired := !s.issued.IsZero() && time.Since(s.issued) > cmp.Or(s.life, time.Hour)
	refuse := s.shakes%2 == 0 && s.refused < s.refuse
	if refuse {
		s.refused++
	}
	s.mu.Unlock()
	switch {
	case r.URL.Query().Get("token") != "tok" || expired:
		w.WriteHeader(http.StatusForbidden)
		return
	case refuse:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	up := ws.HTTPUpgrader{}
	if s.deflate {
		up.Negotiate = (&wsflate.Extension{Parameters: wsflate.Parameters{ServerNoContextTakeover: true, ClientNoContextTakeover: true}}).Negotiate
	}
	conn, _, shake, err := up.Upgrade(r, w)
	if err != nil {
		return
	}
	if s.deflate && len(shake.Extensions) == 0 {
		_ = conn.Close() // nobody asked for compression
		return
	}
	s.mu.Lock()
	s.conns[conn] = false
	s.mu.Unlock()
	_ = wsutil.WriteServerText(conn, []byte(`{"event_type":"connection_ack","data":{}}`))
	s.readers.Go(func() { s.read(conn) })
}

func (s *target) read(conn net.Conn) {
	defer func() {
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
		_ = conn.Close()
	}()
	for {
		b, _, err := wsutil.ReadClientData(conn)
		if err != nil {
			return
		}
		switch text := string(b); {
		case strings.Contains(text, `"pong"`):
			s.pongs.Add(1)
		case strings.Contains(text, `"subscribe"`) && strings.Contains(text, `"t1"`) && !s.forget:
			s.mu.Lock()
			s.conns[conn] = true
			_ = wsutil.WriteServerText(conn, []byte(`{"event_type": "notification","data":{"content":"ok"}}`))
			s.mu.Unlock()
		}
	}
}

func (s *target) publish(w http.ResponseWriter, r *http.Request) {
	var in struct{ Content, Topic string }
	if r.Header.Get("Authorization") != "Bearer tok" || json.NewDecoder(r.Body).Decode(&in) != nil || in.Topic != "t1" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if s.failPublish {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	s.published.Add(1)
	time.Sleep(s.delay)
	body, _ := json.Marshal(map[string]any{"event_type": "notification", "data": map[string]string{"content": in.Content}})
	f := ws.NewTextFrame(body)
	if s.deflate {
		f, _ = wsflate.CompressFrame(f)
	}
	frame := ws.MustCompileFrame(f)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for c, subscribed := range s.conns {
		if !subscribed {
			continue
		}
		n++
		if n <= s.lose {
			continue
		}
		_, _ = c.Write(frame)
		if n <= s.lose+s.twice {
			_, _ = c.Write(frame)
		}
	}
}

// drop closes up to n connections without a word, and returns how many.
func (s *target) drop(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	done := 0
	for c := range s.conns {
		if done == n {
			break
		}
		_ = c.Close()
		done++
	}
	return done
}

// everybody writes a frame to all connections.
func (s *target) everybody(f ws.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := ws.MustCompileFrame(f)
	for c := range s.conns {
		_, _ = c.Write(b)
	}
}
