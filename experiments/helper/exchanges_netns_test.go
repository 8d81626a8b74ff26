package helper

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper/between"
)

// website answers with the path at an address of a namespace.
func (l *lab) website(ns, addr string) {
	l.t.Helper()
	var door net.Listener
	inside(l.t, ns, func() (err error) { door, err = net.Listen("tcp", addr); return err })
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s from %s", r.URL.Path, r.RemoteAddr)
	})}
	go func() { _ = s.Serve(door) }()
	l.t.Cleanup(func() { _ = s.Close() })
}

// browser asks from inside a namespace, over connections that it keeps.
func (l *lab) browser(ns string) *http.Client {
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: func(_ context.Context, _, addr string) (c net.Conn, err error) {
		inside(l.t, ns, func() error { c, err = net.DialTimeout("tcp", addr, 3*time.Second); return nil })
		return c, err
	}}}
}

func ask(c *http.Client, url string) string {
	r, err := c.Get(url)
	if err != nil {
		return err.Error()
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	return fmt.Sprintf("%d %s", r.StatusCode, b)
}

func (l *lab) exchanges(op string, s ExchangeSpec) (*process, Applied) {
	l.t.Helper()
	s.Kind, s.Op, s.Lease = KindExchange, op, drills.Duration(5*time.Second)
	if s.Exchange == "" {
		s.Exchange = between.HTTP
	}
	p := l.start(s)
	var a Applied
	p.next("ready", &a)
	return p, a
}

// nothingLeft looks at the namespace from outside: no table, no listener.
func (l *lab) nothingLeft(t *testing.T, listeners int) {
	t.Helper()
	if out := l.run("ip", "netns", "exec", l.target, "nft", "list", "ruleset"); out != "" {
		t.Errorf("left behind: %s", out)
	}
	if out := l.run("ip", "netns", "exec", l.target, "ss", "-Hltn"); strings.Count(out, "\n") != listeners {
		t.Errorf("listening: %s", out)
	}
}

func TestExchangesInANetworkNamespace(t *testing.T) {
	if testing.Short() {
		t.Skip("makes network namespaces: not with -short")
	}
	l := newLab(t)
	l.website(l.peer, "10.99.0.2:8080")
	l.website(l.peer, "[fd99::2]:8080")
	l.website(l.peer, "10.99.0.2:9090")
	l.website(l.target, "10.99.0.1:8000")
	refuse := []between.Rule{{Match: between.Match{Path: "/bot*"}, Share: 1, Status: &between.Status{Code: 429}}}
	out := ExchangeSpec{Path: Path{Peers: []string{"10.99.0.2", "fd99::2"}, Direction: Out, Ports: []int{8080}}, Rules: refuse}

	t.Run("out", func(t *testing.T) {
		before := l.browser(l.target)
		if got := ask(before, "http://10.99.0.2:8080/bot"); !strings.HasPrefix(got, "200 /bot from 10.99.0.1") {
			t.Fatal(got)
		}
		var held net.Conn // a connection that waits for its answer when the fault comes
		inside(t, l.target, func() (err error) { held, err = net.Dial("tcp", "10.99.0.2:8080"); return err })
		defer held.Close()
		p, a := l.exchanges("out", out)
		if a.Way != WayProxy || a.Table != "simulacro_out" {
			t.Errorf("%+v", a)
		}
		_ = held.SetDeadline(time.Now().Add(3 * time.Second))
		if _, err := held.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNABORTED) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("an older connection: %v, want its end", err)
		}
		for _, url := range []string{"http://10.99.0.2:8080/bot1", "http://[fd99::2]:8080/bot1"} {
			if got := ask(before, url); got != "429 " {
				t.Errorf("%s: %q", url, got)
			}
		}
		if got := ask(before, "http://10.99.0.2:8080/other"); !strings.HasPrefix(got, "200 /other from 10.99.0.1") {
			t.Errorf("what no rule means: %s", got)
		}
		if got := ask(before, "http://10.99.0.2:9090/bot"); !strings.HasPrefix(got, "200 /bot") {
			t.Errorf("another port: %s", got)
		}
		if got := ask(l.browser(l.peer), "http://10.99.0.1:8000/bot"); !strings.HasPrefix(got, "200 /bot from 10.99.0.2") {
			t.Errorf("what the target is asked: %s", got)
		}
		var b Beat
		for b.Affected() < 2 {
			p.next("beat", &b)
		}
		if e := b.Exchanges; e.Hit != 2 || e.Asked != 3 || e.By["status"] != 2 || e.Ended < 2 || b.Peers["10.99.0.2"] == 0 || b.Peers["fd99::2"] != 1 {
			t.Errorf("beat %+v %+v", b, b.Exchanges)
		}
		_ = p.in.Close()
		var d Done
		p.next("done", &d)
		if d.Why != "eof" || d.Exchanges.Broken != 0 {
			t.Errorf("done %+v %+v", d, d.Exchanges)
		}
		if got := ask(before, "http://10.99.0.2:8080/bot"); !strings.HasPrefix(got, "200 /bot") {
			t.Errorf("afterwards: %s", got)
		}
		l.nothingLeft(t, 1)
	})

	t.Run("in", func(t *testing.T) {
		user := l.browser(l.peer)
		if got := ask(user, "http://10.99.0.1:8000/bot"); !strings.HasPrefix(got, "200 /bot from 10.99.0.2") {
			t.Fatal(got)
		}
		p, _ := l.exchanges("in", ExchangeSpec{Path: Path{Direction: In, OwnPorts: []int{8000}}, Rules: refuse})
		if got := ask(user, "http://10.99.0.1:8000/bot"); got != "429 " {
			t.Errorf("%q", got)
		}
		if got := ask(user, "http://10.99.0.1:8000/other"); !strings.HasPrefix(got, "200 /other from 10.99.0.1") {
			t.Errorf("what no rule means: %s", got)
		}
		if got := ask(l.browser(l.target), "http://10.99.0.2:8080/bot"); !strings.HasPrefix(got, "200 /bot") {
			t.Errorf("what the target asks: %s", got)
		}
		var c net.Conn // of another protocol: it passes unread, and cannot outlive the proxy
		inside(t, l.peer, func() (err error) { c, err = net.Dial("tcp", "10.99.0.1:8000"); return err })
		defer c.Close()
		fmt.Fprint(c, "*1\r\n")
		for b := (Beat{}); b.Exchanges == nil || b.Exchanges.Foreign == 0; {
			p.next("beat", &b)
		}
		p.send(drills.Frame{Type: "stop"})
		var d Done
		if p.next("done", &d); d.Why != "stop" || d.Exchanges.Hit != 1 || d.Exchanges.Ended == 0 || d.Exchanges.Broken != 1 {
			t.Errorf("done %+v %+v", d, d.Exchanges)
		}
		if got := ask(user, "http://10.99.0.1:8000/bot"); !strings.HasPrefix(got, "200 /bot from 10.99.0.2") {
			t.Errorf("afterwards: %s", got)
		}
		l.nothingLeft(t, 1)
	})

	t.Run("turns", func(t *testing.T) {
		slow := ExchangeSpec{Exchange: between.TCP, Path: out.Path, Rules: []between.Rule{{Share: 1, Delay: ms(300)}}}
		p, _ := l.exchanges("turns", slow)
		began := time.Now()
		if got := ask(l.browser(l.target), "http://10.99.0.2:8080/x"); !strings.HasPrefix(got, "200 /x") || time.Since(began) < 300*time.Millisecond {
			t.Errorf("%s after %v", got, time.Since(began))
		}
		_ = p.in.Close()
		var d Done
		if p.next("done", &d); d.Exchanges.Hit != 1 {
			t.Errorf("done %+v", d.Exchanges)
		}
		l.nothingLeft(t, 1)
	})

	t.Run("nobody asks", func(t *testing.T) {
		p, _ := l.exchanges("idle", out)
		var b Beat
		for range 3 {
			p.next("beat", &b)
		}
		if b.Affected() != 0 {
			t.Errorf("beat %+v: a fault that met nothing must not be proven", b.Exchanges)
		}
		_ = p.in.Close()
		p.next("done", new(Done))
	})

	t.Run("killed in the middle", func(t *testing.T) {
		p, _ := l.exchanges("killed", out)
		var c net.Conn
		inside(t, l.target, func() (err error) { c, err = net.Dial("tcp", "10.99.0.2:8080"); return err })
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(3 * time.Second))
		fmt.Fprint(c, "GET /bot HTTP/1.1\r\nHost: x\r\n\r\n")
		in := bufio.NewReader(c)
		if r, err := http.ReadResponse(in, nil); err != nil || r.StatusCode != 429 {
			t.Fatalf("%+v %v", r, err)
		}
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if _, err := in.ReadByte(); err == nil {
			t.Error("a connection through the dead helper goes on")
		}
		l.until("the owner's table is gone", func() bool { return l.run("ip", "netns", "exec", l.target, "nft", "list", "tables") == "" })
		if got := ask(l.browser(l.target), "http://10.99.0.2:8080/bot"); !strings.HasPrefix(got, "200 /bot") {
			t.Errorf("afterwards: %s", got)
		}
		l.nothingLeft(t, 1)
	})
}
