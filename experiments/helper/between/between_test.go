package between

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// between puts a proxy before an address and returns its own.
func put(t *testing.T, backend string, cfg Config) (*Proxy, string) {
	t.Helper()
	if cfg.Protocol == "" {
		cfg.Protocol = HTTP
	}
	if err := Validate(cfg.Protocol, cfg.Rules); err != nil {
		t.Fatal(err)
	}
	to := netip.MustParseAddrPort(backend)
	cfg.Original = func(net.Conn) (netip.AddrPort, error) { return to, nil }
	cfg.Dial = func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", a.String())
	}
	p := New(cfg)
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.Serve(door)
	t.Cleanup(func() { _ = p.Close() })
	return p, door.Addr().String()
}

// script is a server that reads exactly what it should get and answers as it is told, byte by byte.
type turn struct{ gets, says string }

func script(t *testing.T, turns []turn, thenClose bool) string {
	t.Helper()
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { door.Close() })
	go func() {
		c, err := door.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		for _, x := range turns {
			b := make([]byte, len(x.gets))
			if n, err := io.ReadFull(c, b); err != nil || string(b) != x.gets {
				t.Errorf("the server got %q (%v), want %q", b[:n], err, x.gets)
				return
			}
			if _, err := io.WriteString(c, x.says); err != nil {
				t.Error(err)
			}
		}
		if !thenClose {
			_, _ = io.Copy(io.Discard, c)
		}
	}()
	return door.Addr().String()
}

func never() []Rule {
	return []Rule{{Match: Match{Path: "/never"}, Share: 1, Abort: Reset}}
}

func TestWhatIsNotHitPassesByteByByte(t *testing.T) {
	for _, c := range []struct {
		name  string
		turns []turn
		close bool
	}{
		{"odd heads", []turn{{"GET /a?b=%2F HTTP/1.1\r\nhOsT: x\r\nX-A:  1 \r\nX-A: 2\r\n\r\n", "HTTP/1.1 200 Fine\r\ncontent-LENGTH: 2\r\nx: y\r\n\r\nok"}}, false},
		{"keep-alive", []turn{
			{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 201 C\r\nContent-Length: 0\r\n\r\n"},
			{"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"},
			{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 304 N\r\nContent-Length: 99\r\n\r\n"},
			{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 204 N\r\n\r\n"},
			{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nz"},
		}, false},
		{"chunks and trailers", []turn{
			{"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: 1\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n02\r\nhi\r\n0\r\nT: u\r\n\r\n"},
			{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		}, false},
		{"until it closes", []turn{{"GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nall the rest"}}, true},
		{"provisional", []turn{{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nq"}}, false},
		{"another protocol", []turn{{"*1\r\n$4\r\nPING\r\n", "+PONG\r\n"}, {"*1\r\n$4\r\nPING\r\n", "+PONG\r\n"}}, false},
		{"another version", []turn{{"PRI * HTTP/2.0\r\n\r\n", "SM"}}, false},
		{"after an upgrade", []turn{
			{"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x02hi"},
			{"\x81\x85abcdefghi", "\x88\x00"},
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, at := put(t, script(t, c.turns, c.close), Config{Rules: never()})
			conn, err := net.Dial("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			for _, x := range c.turns {
				for _, piece := range []string{x.gets[:len(x.gets)/2], x.gets[len(x.gets)/2:]} {
					if _, err := io.WriteString(conn, piece); err != nil {
						t.Fatal(err)
					}
				}
				b := make([]byte, len(x.says))
				if n, err := io.ReadFull(conn, b); err != nil || string(b) != x.says {
					t.Fatalf("got %q (%v), want %q", b[:n], err, x.says)
				}
			}
			if c.close {
				if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Errorf("%d, %v, want the end", n, err)
				}
			}
			if got := p.Counts(); got.Hit != 0 || got.Connections != 1 {
				t.Errorf("counted %+v", got)
			}
		})
	}
}

func TestAServerThatWantsTheBodyFirstAsksForIt(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body) // sends 100 Continue
		fmt.Fprintf(w, "%d %v", len(b), err)
	}))
	defer s.Close()
	_, at := put(t, s.Listener.Addr().String(), Config{Rules: never()})
	req, _ := http.NewRequest(http.MethodPost, "http://"+at, bytes.NewReader(make([]byte, 3<<20)))
	req.Header.Set("Expect", "100-continue")
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: 4 * time.Second}, Timeout: 10 * time.Second}
	began := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(resp.Body); string(b) != "3145728 <nil>" || time.Since(began) > 3*time.Second {
		t.Errorf("%q after %v", b, time.Since(began))
	}
}

func TestLargeBodiesStream(t *testing.T) {
	sent := make([]byte, 8<<20)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(sent)
	first := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(sent[:10])
		w.(http.Flusher).Flush()
		select { // the client has the first bytes while the rest does not exist yet
		case <-first:
		case <-time.After(5 * time.Second):
			t.Error("the first bytes were held back")
		}
		_, _ = w.Write(sent[10:])
	}))
	defer s.Close()
	_, at := put(t, s.Listener.Addr().String(), Config{Rules: never()})
	resp, err := http.Get("http://" + at)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got := make([]byte, 10, len(sent))
	if _, err := io.ReadFull(resp.Body, got); err != nil {
		t.Fatal(err)
	}
	close(first)
	rest, err := io.ReadAll(resp.Body)
	if err != nil || sha256.Sum256(append(got, rest...)) != sha256.Sum256(sent) {
		t.Errorf("%d bytes, %v: not what was sent", len(rest), err)
	}
}

// api answers what it was asked, and counts.
func api(t *testing.T) (*httptest.Server, *atomic.Int32) {
	n := new(atomic.Int32)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, b)
	}))
	t.Cleanup(s.Close)
	return s, n
}

func text(s string) *string { return &s }

func count(n int64) *int64 { return &n }

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		rule  Rule
		asked int // how often the dependency was
		want  func(t *testing.T, r *http.Response, body string, err error, took time.Duration)
	}{
		{"status", Rule{Status: &Status{Code: 429, RetryAfter: drills.Duration(3 * time.Second), Body: `{"ok":false}`}}, 0, func(t *testing.T, r *http.Response, body string, err error, _ time.Duration) {
			if err != nil || r.StatusCode != 429 || r.Header.Get("Retry-After") != "3" || body != `{"ok":false}` || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%+v %q %v", r, body, err)
			}
		}},
		{"delay", Rule{Delay: drills.Duration(300 * time.Millisecond)}, 1, func(t *testing.T, r *http.Response, body string, err error, took time.Duration) {
			if err != nil || body != "POST /x hello" || took < 300*time.Millisecond {
				t.Errorf("%q %v after %v", body, err, took)
			}
		}},
		{"late status", Rule{Delay: drills.Duration(200 * time.Millisecond), Status: &Status{Code: 503}}, 0, func(t *testing.T, r *http.Response, _ string, err error, took time.Duration) {
			if err != nil || r.StatusCode != 503 || took < 200*time.Millisecond {
				t.Errorf("%+v %v after %v", r, err, took)
			}
		}},
		{"reset", Rule{Abort: Reset}, 0, func(t *testing.T, _ *http.Response, _ string, err error, _ time.Duration) {
			if !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%v, want a reset", err)
			}
		}},
		{"close", Rule{Abort: Close}, 0, func(t *testing.T, _ *http.Response, _ string, err error, _ time.Duration) {
			if !errors.Is(err, io.EOF) {
				t.Errorf("%v, want the end of the connection", err)
			}
		}},
		{"lost answer", Rule{Abort: LoseAnswer}, 1, func(t *testing.T, _ *http.Response, _ string, err error, _ time.Duration) {
			if !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%v, want a reset", err)
			}
		}},
		{"replace", Rule{Body: &Body{Replace: text("{not json")}}, 1, func(t *testing.T, r *http.Response, body string, err error, _ time.Duration) {
			if err != nil || r.StatusCode != 200 || body != "{not json" || r.ContentLength != 9 {
				t.Errorf("%+v %q %v", r, body, err)
			}
		}},
		{"truncate", Rule{Body: &Body{Truncate: count(4)}}, 1, func(t *testing.T, r *http.Response, body string, err error, _ time.Duration) {
			if !errors.Is(err, io.ErrUnexpectedEOF) || body != "POST" {
				t.Errorf("%q %v, want the first four bytes and no end", body, err)
			}
		}},
		{"corrupt", Rule{Body: &Body{Corrupt: 0.01}}, 1, func(t *testing.T, r *http.Response, body string, err error, _ time.Duration) {
			if err != nil || len(body) != len("POST /x hello") || body[0] == 'P' {
				t.Errorf("%q %v", body, err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, asked := api(t)
			c.rule.Share, c.rule.Match = 1, Match{Method: "POST", Path: "/x"}
			p, at := put(t, s.Listener.Addr().String(), Config{Rules: []Rule{c.rule}})
			client := &http.Client{Transport: &http.Transport{}, Timeout: 5 * time.Second}
			post := func(path string) (*http.Response, string, error, time.Duration) {
				began := time.Now()
				r, err := client.Post("http://"+at+path, "text/plain", strings.NewReader("hello"))
				if err != nil {
					return nil, "", err, time.Since(began)
				}
				defer r.Body.Close()
				b, err := io.ReadAll(r.Body)
				return r, string(b), err, time.Since(began)
			}
			r, body, err, took := post("/x")
			c.want(t, r, body, err, took)
			if got := int(asked.Load()); got != c.asked {
				t.Errorf("the dependency was asked %d times, want %d", got, c.asked)
			}
			if _, body, err, _ := post("/other"); err != nil || body != "POST /other hello" {
				t.Errorf("what does not match: %q %v", body, err)
			}
			if got := p.Counts(); got.Hit != 1 || got.Matched != 1 || got.Asked != 2 || len(got.By) != 1 {
				t.Errorf("counted %+v", got)
			}
		})
	}
}

func TestAnAnswerThatIsNotSpoiledIsNotCounted(t *testing.T) {
	s, _ := api(t)
	p, at := put(t, s.Listener.Addr().String(), Config{Rules: []Rule{{Share: 1, Body: &Body{Truncate: count(1000)}}}})
	r, err := http.Get("http://" + at + "/short")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r.Body); err != nil || string(b) != "GET /short " {
		t.Errorf("%q %v", b, err)
	}
	if got := p.Counts(); got.Hit != 0 || got.Matched != 1 {
		t.Errorf("counted %+v: a body shorter than what would be cut is not hit", got)
	}
}

func TestShareIsThatOfTheExchanges(t *testing.T) {
	s, _ := api(t)
	p, at := put(t, s.Listener.Addr().String(), Config{Rules: []Rule{{Share: 0.25, Status: &Status{Code: 500}}}, Seed: 3})
	client := &http.Client{Transport: &http.Transport{}}
	const n = 2000
	failed := 0
	for range n {
		r, err := client.Get("http://" + at)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		r.Body.Close()
		if r.StatusCode == 500 {
			failed++
		}
	}
	if got := p.Counts(); failed < 400 || failed > 600 || got.Hit != uint64(failed) || got.Asked != n || got.Connections > 20 { // a client may connect anew before it has put the last connection back
		t.Errorf("%d of %d failed, counted %+v", failed, n, got) // 5 standard deviations are 97
	}
}

func TestTheFirstRuleThatMatchesDecides(t *testing.T) {
	s, _ := api(t)
	_, at := put(t, s.Listener.Addr().String(), Config{Rules: []Rule{
		{Match: Match{Path: "/bot*/sendMessage", Host: "*.example"}, Share: 1, Status: &Status{Code: 429}},
		{Match: Match{Path: "/bot*", Headers: map[string]string{"X-Kind": "a*"}}, Share: 1, Status: &Status{Code: 502}},
	}})
	ask := func(path, host, kind string) int {
		req, _ := http.NewRequest(http.MethodGet, "http://"+at+path, nil)
		req.Host = host
		req.Header.Set("X-Kind", kind)
		r, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		return r.StatusCode
	}
	for _, c := range []struct {
		path, host, kind string
		want             int
	}{
		{"/bot1:x/sendMessage", "API.example:8080", "abc", 429},
		{"/bot1:x/sendMessage", "api.other", "abc", 502},
		{"/bot1:x/sendMessage", "api.other", "b", 200},
		{"/bo", "api.example", "abc", 200},
		{"/bot1/sendMessages", "api.example", "abc", 502},
	} {
		if got := ask(c.path, c.host, c.kind); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

func TestLiftingLetsGoWhatIsHeldAndLeavesNothing(t *testing.T) {
	s, _ := api(t)
	p, at := put(t, s.Listener.Addr().String(), Config{Rules: []Rule{{Match: Match{Path: "/slow"}, Share: 1, Delay: drills.Duration(time.Minute)}}})
	idle, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	_ = idle.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(idle, "GET /quick HTTP/1.1\r\nHost: x\r\n\r\n")
	in := bufio.NewReader(idle)
	if r, err := http.ReadResponse(in, nil); err != nil {
		t.Fatal(err)
	} else if _, err := io.ReadAll(r.Body); err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	go func() {
		r, err := http.Get("http://" + at + "/slow")
		if err != nil {
			got <- err.Error()
			return
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		got <- fmt.Sprint(string(b), err)
	}()
	for end := time.Now().Add(5 * time.Second); p.Counts().Hit == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	began := time.Now()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 800*time.Millisecond {
		t.Errorf("lifting took %v", took)
	}
	if text := <-got; text != "GET /slow <nil>" {
		t.Errorf("the request that was held: %s", text)
	}
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the idle connection: %v, want its end", err)
	}
	if c := p.Counts(); c.Broken != 0 {
		t.Errorf("counted %+v", c)
	}
	if _, err := net.Dial("tcp", at); err == nil {
		t.Error("the door is still open")
	}
}

func TestLiftingCutsWhatDoesNotEnd(t *testing.T) {
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer s.Close()
	defer close(hang)
	p, at := put(t, s.Listener.Addr().String(), Config{Rules: never()})
	failed := make(chan error, 1)
	go func() { _, err := http.Get("http://" + at); failed <- err }()
	for end := time.Now().Add(5 * time.Second); p.Counts().Asked == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	began := time.Now()
	_ = p.Close()
	if took := time.Since(began); took < drain || took > drain+2*time.Second {
		t.Errorf("lifting took %v", took)
	}
	if err := <-failed; err == nil || p.Counts().Broken != 1 {
		t.Errorf("%v, counted %+v", err, p.Counts())
	}
}

func TestAConnectionThatTheDependencyClosesIsClosed(t *testing.T) {
	_, at := put(t, script(t, []turn{{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nz"}}, true), Config{Rules: never()})
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	b, err := io.ReadAll(c) // ends only because the proxy hands the end on
	if err != nil || !strings.HasSuffix(string(b), "z") {
		t.Errorf("%q %v", b, err)
	}
}

func TestADependencyThatIsNotThereIsAReset(t *testing.T) {
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	l.Close()
	p, at := put(t, l.Addr().String(), Config{Rules: never()})
	if _, err := http.Get("http://" + at); err == nil || p.Counts().Unreached != 1 {
		t.Errorf("%v, counted %+v", err, p.Counts())
	}
}

// echo answers each line with itself, after a greeting: a protocol in which the server speaks first.
func echo(t *testing.T) string {
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { door.Close() })
	go func() {
		for {
			c, err := door.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				fmt.Fprint(c, "hello\n")
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return door.Addr().String()
}

func TestTurnsOfAnyProtocol(t *testing.T) {
	for _, c := range []struct {
		name string
		rule Rule
		want func(t *testing.T, line string, err error, took time.Duration)
	}{
		{"delay", Rule{Share: 1, Delay: drills.Duration(150 * time.Millisecond)}, func(t *testing.T, line string, err error, took time.Duration) {
			if err != nil || line != "ping\n" || took < 150*time.Millisecond {
				t.Errorf("%q %v after %v", line, err, took)
			}
		}},
		{"reset", Rule{Share: 1, Abort: Reset}, func(t *testing.T, line string, err error, _ time.Duration) {
			if !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%q %v, want a reset", line, err)
			}
		}},
		{"close", Rule{Share: 1, Abort: Close}, func(t *testing.T, line string, err error, _ time.Duration) {
			if !errors.Is(err, io.EOF) {
				t.Errorf("%q %v, want the end", line, err)
			}
		}},
		{"lost answer", Rule{Share: 1, Abort: LoseAnswer}, func(t *testing.T, line string, err error, _ time.Duration) {
			if !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%q %v, want a reset", line, err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, at := put(t, echo(t), Config{Protocol: TCP, Rules: []Rule{c.rule}})
			conn, err := net.Dial("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			in := bufio.NewReader(conn)
			if s, err := in.ReadString('\n'); err != nil || s != "hello\n" {
				t.Fatalf("greeting %q %v", s, err)
			}
			began := time.Now()
			fmt.Fprint(conn, "ping\n")
			s, err := in.ReadString('\n')
			c.want(t, s, err, time.Since(began))
			if got := p.Counts(); got.Hit != 1 || got.Asked != 1 {
				t.Errorf("counted %+v", got)
			}
		})
	}
}

func TestRulesThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		protocol string
		rule     Rule
		want     string
	}{
		{"udp", Rule{Share: 1, Abort: Reset}, "not http or tcp"},
		{HTTP, Rule{Share: 0, Abort: Reset}, "share"},
		{HTTP, Rule{Share: 1.5, Abort: Reset}, "share"},
		{HTTP, Rule{Share: 1}, "give a delay"},
		{HTTP, Rule{Share: 1, Abort: Reset, Status: &Status{Code: 500}}, "one of"},
		{HTTP, Rule{Share: 1, Abort: "hang"}, "abort"},
		{HTTP, Rule{Share: 1, Delay: -1}, "delay"},
		{HTTP, Rule{Share: 1, Status: &Status{Code: 100}}, "final answer"},
		{HTTP, Rule{Share: 1, Status: &Status{Code: 204, Body: "x"}}, "no body"},
		{HTTP, Rule{Share: 1, Status: &Status{Code: 429, RetryAfter: 1}}, "whole seconds"},
		{HTTP, Rule{Share: 1, Status: &Status{Code: 429, Headers: map[string]string{"A": "b\r\nc: d"}}}, "header"},
		{HTTP, Rule{Share: 1, Body: &Body{}}, "one of replace"},
		{HTTP, Rule{Share: 1, Body: &Body{Truncate: count(-1)}}, "negative"},
		{HTTP, Rule{Share: 1, Body: &Body{Corrupt: 2}}, "corrupt"},
		{HTTP, Rule{Share: 1, Abort: Reset, Match: Match{Path: "/[a"}}, "pattern"},
		{TCP, Rule{Share: 1, Status: &Status{Code: 500}}, "HTTP that can be read"},
		{TCP, Rule{Share: 1, Abort: Reset, Match: Match{Path: "/a"}}, "HTTP that can be read"},
	} {
		if err := Validate(c.protocol, []Rule{c.rule}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.rule, err, c.want)
		}
	}
}

// FuzzBodiesPass: whatever body net/http can read, our copy of it is the same bytes, and ends where it ends.
func FuzzBodiesPass(f *testing.F) {
	f.Add([]byte("3\r\nabc\r\n0\r\n\r\nNEXT"), true)
	f.Add([]byte("3;x\r\nabc\r\n1\r\nz\r\n0\r\nT: 1\r\n\r\nNEXT"), true)
	f.Add([]byte("abcdefghij"), false)
	f.Fuzz(func(t *testing.T, in []byte, chunks bool) {
		head := "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
		fr := framing{length: 3}
		if chunks {
			head, fr = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", framing{chunked: true}
		}
		r, err := http.ReadResponse(bufio.NewReader(io.MultiReader(strings.NewReader(head), bytes.NewReader(in))), nil)
		if err != nil {
			t.Fatal(err)
		}
		want, werr := io.ReadAll(r.Body)
		var out, body bytes.Buffer
		src := bufio.NewReader(bytes.NewReader(in))
		err = copyBody(&out, src, fr, func(b []byte) (int, error) { body.Write(b); return len(b), nil })
		if !bytes.HasPrefix(in, out.Bytes()) {
			t.Fatalf("%q became %q", in, out.Bytes())
		}
		if werr != nil {
			return // what net/http does not read may pass or not, but never changed
		}
		if err == nil && !bytes.Equal(body.Bytes(), want) && !chunks {
			t.Fatalf("body %q, want %q", body.Bytes(), want)
		}
	})
}
