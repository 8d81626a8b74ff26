package verifier

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/eevans-d/simulacro/drills"
)

func TestTransportClasses(t *testing.T) {
	t.Parallel()
	op := func(e error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", e)}
	}
	gone := &net.DNSError{Err: "no such host", Name: "redis-1", IsNotFound: true}
	for _, c := range []struct {
		err   error
		known bool
		want  Class
	}{
		{op(syscall.ECONNREFUSED), true, Refused},
		{op(syscall.EHOSTUNREACH), true, Refused},
		{op(syscall.ETIMEDOUT), true, Timeout},
		{op(syscall.ECONNRESET), true, Failed},
		{io.EOF, true, Failed},
		{op(syscall.EMFILE), true, Observer},
		{op(syscall.EADDRNOTAVAIL), true, Observer},
		{op(syscall.ENETUNREACH), true, Observer},
		{context.DeadlineExceeded, true, Timeout},
		{os.ErrDeadlineExceeded, true, Timeout},
		{context.Canceled, true, Observer},
		{op(gone), true, Refused},
		{op(gone), false, Observer},
		{&net.DNSError{Err: "server misbehaving", IsTemporary: true}, true, Refused},
		{&net.DNSError{Err: "i/o timeout", IsTimeout: true}, true, Timeout},
		{errors.New("strange"), true, Failed},
		{nil, true, Good},
	} {
		if got := transport(c.err, c.known); got.class != c.want {
			t.Errorf("%v (known %v): %s, want %s", c.err, c.known, got.class, c.want)
		}
	}
	if a, b := transport(&net.OpError{Op: "read", Source: addr(1), Addr: addr(2), Err: syscall.ECONNRESET}, true),
		transport(&net.OpError{Op: "read", Source: addr(3), Addr: addr(4), Err: syscall.ECONNRESET}, true); a.text != b.text {
		t.Errorf("texts vary with ports: %q, %q", a.text, b.text)
	}
}

func addr(port int) net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} }

func TestReplyClasses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Class{
		"NOAUTH Authentication required.": Unauthorised, "WRONGPASS invalid": Unauthorised, "NOPERM no": Unauthorised,
		"READONLY You can't write against a read only replica.": Failed, "LOADING Redis is loading": Failed, "MASTERDOWN Link down": Failed,
		"NOREPLICAS Not enough good replicas to write.": Failed, "ERR unknown command 'X'": Malformed, "ERR max number of clients reached": Failed,
		"ERR wrong number of arguments for 'set' command": Malformed, "WRONGTYPE Operation": Malformed,
		"ERR AUTH <password> called without any password configured": Unauthorised,
	} {
		if got := redisReply(replyError(text)); got.class != want {
			t.Errorf("%s: %s, want %s", text, got.class, want)
		}
	}
	for code, want := range map[string]Class{
		"28P01": Unauthorised, "28000": Unauthorised, "42501": Unauthorised, "42601": Malformed, "42P01": Malformed,
		"57P03": Failed, "57P01": Failed, "25006": Failed, "53300": Failed, "XX000": Failed, "3D000": Malformed,
	} {
		if got := postgres(fmt.Errorf("x: %w", &pgconn.PgError{Code: code, Message: "m"}), true); got.class != want {
			t.Errorf("%s: %s, want %s", code, got.class, want)
		}
	}
}

func probeOnce(t *testing.T, c checker, timeout time.Duration) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return c.check(ctx, 1)
}

func TestHTTPCheck(t *testing.T) {
	t.Parallel()
	block := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			<-block
		case "/host":
			fmt.Fprint(w, r.Host)
		case "/echo":
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s", r.Method, r.Header.Get("X-A"), b)
		default:
			var code int
			_, _ = fmt.Sscanf(r.URL.Path, "/%d", &code)
			if r.URL.Query().Get("retry") != "" {
				w.Header().Set("Retry-After", "1")
			}
			w.WriteHeader(code)
		}
	}))
	t.Cleanup(func() { close(block); srv.Close() })
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	for name, c := range map[string]struct {
		spec drills.ProbeSpec
		want Class
	}{
		"200": {drills.ProbeSpec{URL: "/200"}, Good}, "204": {drills.ProbeSpec{URL: "/204"}, Good}, "500": {drills.ProbeSpec{URL: "/500"}, Failed},
		"302 is not followed": {drills.ProbeSpec{URL: "/302"}, Failed}, "302 expected": {drills.ProbeSpec{URL: "/302", Expect: drills.HTTPExpect{Status: []int{302}}}, Good},
		"401": {drills.ProbeSpec{URL: "/401"}, Unauthorised}, "403": {drills.ProbeSpec{URL: "/403"}, Unauthorised}, "404": {drills.ProbeSpec{URL: "/404"}, Malformed},
		"422": {drills.ProbeSpec{URL: "/422"}, Malformed}, "429": {drills.ProbeSpec{URL: "/429"}, Throttled}, "503 that says when": {drills.ProbeSpec{URL: "/503?retry=1"}, Failed},
		"409 that says when": {drills.ProbeSpec{URL: "/409?retry=1"}, Throttled}, "404 expected": {drills.ProbeSpec{URL: "/404", Expect: drills.HTTPExpect{Status: []int{404}}}, Good},
		"no answer": {drills.ProbeSpec{URL: "/slow"}, Timeout}, "host header": {drills.ProbeSpec{URL: "/host", Headers: map[string]string{"host": "gad.example"}, Expect: drills.HTTPExpect{Contains: "gad.example"}}, Good},
		"request":      {drills.ProbeSpec{URL: "/echo", Method: "PUT", Body: "b", Headers: map[string]string{"X-A": "1"}, Expect: drills.HTTPExpect{Contains: "PUT 1 b"}}, Good},
		"text missing": {drills.ProbeSpec{URL: "/echo", Expect: drills.HTTPExpect{Contains: "nowhere"}}, Failed},
		"nobody there": {drills.ProbeSpec{URL: dead.URL}, Refused}, "no such host": {drills.ProbeSpec{URL: "http://nowhere.invalid/"}, Observer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if strings.HasPrefix(c.spec.URL, "/") {
				c.spec.URL = srv.URL + c.spec.URL
			}
			chk, err := newHTTPCheck(c.spec)
			if err != nil {
				t.Fatal(err)
			}
			timeout := 2 * time.Second
			if c.want == Timeout {
				timeout = 50 * time.Millisecond
			}
			if got := probeOnce(t, chk, timeout); got.class != c.want {
				t.Errorf("%s (%s), want %s", got.class, got.text, c.want)
			}
		})
	}
}

// One connection per probe: a kept one would not notice that nobody can connect any more.
func TestHTTPCheckConnectsEachTime(t *testing.T) {
	t.Parallel()
	var conns atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	chk, _ := newHTTPCheck(drills.ProbeSpec{URL: srv.URL})
	for range 3 {
		if r := probeOnce(t, chk, time.Second); r.class != Good {
			t.Fatal(r)
		}
	}
	if conns.Load() != 3 {
		t.Errorf("%d connections for 3 probes", conns.Load())
	}
}

func TestTLSChecks(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // it will see a client that does not trust it
	srv.StartTLS()
	defer srv.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
	redis := newFakeRedis(t, &tls.Config{Certificates: srv.TLS.Certificates, MinVersion: tls.VersionTLS12})
	for name, c := range map[string]struct {
		tls  *drills.TLS
		want Class
	}{"own CA": {&drills.TLS{CA: ca, ServerName: "example.com"}, Good}, "unknown CA": {&drills.TLS{ServerName: "example.com"}, Failed}, "unchecked": {&drills.TLS{Insecure: true}, Good}} {
		h, err := newHTTPCheck(drills.ProbeSpec{URL: srv.URL, TLS: c.tls})
		if err != nil {
			t.Fatal(err)
		}
		r, err := newRedisCheck("p", drills.ProbeSpec{Address: redis.addr(), TLS: c.tls})
		if err != nil {
			t.Fatal(err)
		}
		if got := probeOnce(t, h, 2*time.Second); got.class != c.want {
			t.Errorf("https, %s: %s %s", name, got.class, got.text)
		}
		if got := probeOnce(t, r, 2*time.Second); got.class != c.want {
			t.Errorf("rediss, %s: %s %s", name, got.class, got.text)
		}
	}
	if _, err := (&drills.TLS{CA: "no PEM"}).Config(); err == nil {
		t.Error("a CA that is no PEM was taken")
	}
}

// A token is got before the first probe, sent with each, renewed after a 401, and a server that refuses the login makes
// the probe unauthorised, not failed.
func TestLogin(t *testing.T) {
	t.Parallel()
	var logins atomic.Int32
	var valid atomic.Value
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/login" {
			if r.FormValue("username") != "u" || r.FormValue("password") != "p" {
				w.WriteHeader(401)
				return
			}
			tok := fmt.Sprintf("t%d", logins.Add(1))
			valid.Store(tok)
			fmt.Fprintf(w, `{"access_token":%q,"expires_in":3600}`, tok)
			return
		}
		if r.Header.Get("Authorization") != "Bearer "+valid.Load().(string) {
			w.WriteHeader(401)
		}
	}))
	defer srv.Close()
	start := func(password string) *httpCheck {
		c, err := newHTTPCheck(drills.ProbeSpec{URL: srv.URL, Login: &drills.Login{URL: srv.URL + "/login", Username: "u", Password: password}})
		if err != nil {
			t.Fatal(err)
		}
		opened := make(chan struct{}, 10)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); c.keep(ctx, func() { opened <- struct{}{} }) }()
		t.Cleanup(func() { cancel(); <-done })
		<-opened
		return c
	}
	c := start("p")
	if r := probeOnce(t, c, time.Second); r.class != Good {
		t.Fatal(r)
	}
	valid.Store("another") // the server forgets our token
	if r := probeOnce(t, c, time.Second); r.class != Unauthorised {
		t.Fatal(r)
	}
	eventually(t, "a new token", func() bool { return probeOnce(t, c, time.Second).class == Good })
	if n := logins.Load(); n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
	if r := probeOnce(t, start("wrong"), time.Second); r.class != Unauthorised || !strings.HasPrefix(r.text, "login:") {
		t.Errorf("wrong password: %v", r)
	}
}

func TestTokenLife(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	jwt := "e30.eyJleHAiOjE3MDAwMDA2MDB9.x" // {"exp":1700000600}
	for _, c := range []struct {
		token string
		body  map[string]any
		want  time.Duration
	}{{"x", map[string]any{"expires_in": 60.0}, time.Minute}, {jwt, nil, 10 * time.Minute}, {"opaque", nil, loginDefault}, {"a.b.c", nil, loginDefault}, {"x", map[string]any{"expires_in": 0.01}, earliestRenew}} {
		if got := lifeOf(c.token, c.body, now); got != c.want {
			t.Errorf("%s %v: %v, want %v", c.token, c.body, got, c.want)
		}
	}
}

func TestTCPCheck(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := newTCPCheck(drills.ProbeSpec{Address: l.Addr().String()})
	if r := probeOnce(t, c, time.Second); r.class != Good {
		t.Error(r)
	}
	_ = l.Close()
	if r := probeOnce(t, c, time.Second); r.class != Refused {
		t.Error(r)
	}
}

func TestCommandCheck(t *testing.T) {
	t.Parallel()
	for want, argv := range map[Class][]string{Good: {"true"}, Failed: {"sh", "-c", "echo one; echo two >&2; exit 3"}, Timeout: {"sh", "-c", "sleep 30 & wait"}, Observer: {"/no/such/command"}} {
		c, err := newCommandCheck(drills.ProbeSpec{Command: argv})
		if err != nil {
			t.Fatal(err)
		}
		timeout := 5 * time.Second
		if want == Timeout {
			timeout = 50 * time.Millisecond
		}
		began := time.Now()
		r := probeOnce(t, c, timeout)
		if r.class != want || time.Since(began) > 3*time.Second {
			t.Errorf("%v: %v after %v, want %s", argv, r, time.Since(began), want)
		}
		if want == Failed && r.text != "exit 3: two" {
			t.Errorf("text %q", r.text)
		}
	}
}

func TestRedisCheck(t *testing.T) {
	t.Parallel()
	f := newFakeRedis(t, nil)
	f.set(func() { f.password = "secret" })
	check := func(change func(*drills.ProbeSpec)) *redisCheck {
		s := drills.ProbeSpec{Address: f.addr(), Password: "secret"}
		change(&s)
		c, err := newRedisCheck("p", s)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for name, c := range map[string]struct {
		change func(*drills.ProbeSpec)
		want   Class
	}{
		"write": {func(*drills.ProbeSpec) {}, Good}, "read": {func(s *drills.ProbeSpec) { s.Operation = "read" }, Good}, "ping": {func(s *drills.ProbeSpec) { s.Operation = "ping" }, Good},
		"no password": {func(s *drills.ProbeSpec) { s.Password = "" }, Unauthorised}, "wrong password": {func(s *drills.ProbeSpec) { s.Password = "x" }, Unauthorised},
	} {
		if r := probeOnce(t, check(c.change), time.Second); r.class != c.want {
			t.Errorf("%s: %v, want %s", name, r, c.want)
		}
	}
	if k := f.keys(); len(k) != 1 || k[0] != "simulacro:probe:p" {
		t.Errorf("keys %v", k)
	}
	c := check(func(*drills.ProbeSpec) {})
	f.set(func() { f.refuse = "READONLY You can't write against a read only replica." })
	if r := probeOnce(t, c, time.Second); r.class != Failed {
		t.Errorf("read-only: %v", r)
	}
	held := make(chan struct{})
	f.set(func() { f.held = held })
	if r := probeOnce(t, c, 50*time.Millisecond); r.class != Timeout {
		t.Errorf("frozen: %v", r)
	}
	close(held)
	f.stop()
	if r := probeOnce(t, c, time.Second); r.class != Refused {
		t.Errorf("stopped: %v", r)
	}
}

// The probe goes where the sentinels say, asks again within the same probe when the old primary refuses, and passes over
// a dead sentinel.
func TestRedisCheckFollowsSentinels(t *testing.T) {
	t.Parallel()
	one, two, sentinel, dead := newFakeRedis(t, nil), newFakeRedis(t, nil), newFakeRedis(t, nil), newFakeRedis(t, nil)
	dead.stop()
	var primary atomic.Value
	primary.Store(one.addr())
	sentinel.set(func() { sentinel.primary = func() string { return primary.Load().(string) } })
	c, err := newRedisCheck("p", drills.ProbeSpec{Via: "sentinel", Sentinels: []string{dead.addr(), sentinel.addr()}, Master: "m"})
	if err != nil {
		t.Fatal(err)
	}
	if r := probeOnce(t, c, time.Second); r.class != Good || len(one.keys()) != 1 {
		t.Fatalf("%v, keys %v", r, one.keys())
	}
	primary.Store(two.addr())
	one.set(func() { one.refuse = "READONLY no" })
	if r := probeOnce(t, c, time.Second); r.class != Good || len(two.keys()) != 1 {
		t.Errorf("after the failover: %v, keys %v", r, two.keys())
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); c.keep(ctx, func() {}) }()
	primary.Store(one.addr())
	one.set(func() { one.refuse = "" })
	eventually(t, "the kept address to follow", func() bool { a, _ := c.via.primary(ctx); return a == one.addr() })
	cancel()
	<-done
	sentinel.stop()
	c.via.forget(one.addr())
	if r := probeOnce(t, c, time.Second); r.class != Refused || !strings.HasPrefix(r.text, "sentinel") {
		t.Errorf("without sentinels: %v", r)
	}
}

func TestSentinelThatDoesNotKnowTheMaster(t *testing.T) {
	t.Parallel()
	sentinel := newFakeRedis(t, nil)
	c, _ := newRedisCheck("p", drills.ProbeSpec{Via: "sentinel", Sentinels: []string{sentinel.addr()}, Master: "other"})
	if r := probeOnce(t, c, time.Second); r.class == Good || !strings.Contains(r.text, "other") {
		t.Errorf("%v", r)
	}
}

func TestUnknownKind(t *testing.T) {
	t.Parallel()
	if _, err := newChecker("p", drills.ProbeSpec{Kind: "carrier pigeon"}); err == nil {
		t.Error("no error")
	}
}
