package experiments

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/drilltest"
)

const commandWith = `"do":["a"],"undo":["b"],"query":["c"]`

func TestCommandPlans(t *testing.T) {
	f, err := build(t, "command", `{`+commandWith+`}`)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := f.Plan(scene("redis-1", "redis-2"))
	if err != nil || len(changes) != 2 {
		t.Fatalf("%d changes, %v", len(changes), err)
	}
	x := changes[0]
	if d := cmp.Diff(`{"do":["a"],"undo":["b"],"query":["c"],"timeout":"10s"}`, string(x.Do.Args)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(`{"undo":["b"],"query":["c"],"timeout":"10s"}`, string(x.Undo.Args)); d != "" {
		t.Error(d)
	}
	if x.Do.Verb != "command.exec" || x.Undo.Verb != "command.unexec" || x.Class != drills.ClassUndo || x.Note != "" {
		t.Errorf("%+v", x)
	}
}

func TestUnguardedMustBeSaid(t *testing.T) {
	const call = `"do":{"url":"http://a"},"undo":{"url":"http://b"},"query":{"url":"http://c","expect":{"contains":"x"}}`
	for _, c := range []struct {
		kind, with string
		production bool
		hosts      bool
		want       string // in the error; empty: planned
	}{
		{"command", commandWith, false, false, ""},
		{"command", commandWith, true, false, ""},
		{"command", commandWith + `,"in":"host"`, false, true, "no access to the host's commands"},
		{"command", commandWith + `,"in":"host","unguarded":true`, false, false, "may not run commands on the host"},
		{"command", commandWith + `,"in":"host","unguarded":true`, false, true, ""},
		{"command", commandWith + `,"in":"host","unguarded":true`, true, true, "nothing unguarded is done in production"},
		{"command", commandWith + `,"env":{"P":"${env:P}"}`, false, false, "given no secrets"},
		{"command", commandWith + `,"env":{"P":"${env:P}"},"unguarded":true`, false, false, ""},
		{"http", call, false, false, "no network"},
		{"http", call + `,"unguarded":true`, false, false, ""},
		{"http", call + `,"unguarded":true`, true, false, "nothing unguarded is done in production"},
	} {
		f, err := build(t, c.kind, `{`+c.with+`}`)
		var changes []drills.Change
		if err == nil {
			s := scene("redis-1")
			s.System.Limits.HostCommands = c.hosts
			if c.production {
				s.System.Environment = "production"
			}
			changes, err = f.Plan(s)
		}
		if c.want == "" {
			if err != nil || len(changes) != 1 || strings.HasPrefix(changes[0].Note, "unguarded: ") != strings.Contains(c.with, "unguarded") {
				t.Errorf("%s: %+v, %v", c.with, changes, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.with, err, c.want)
		}
	}
}

func TestBadActs(t *testing.T) {
	for _, c := range []struct{ kind, with, want string }{
		{"command", `{}`, "is required"},
		{"command", `{"do":["a"],"undo":["b"]}`, "query: is required"},
		{"command", `{` + commandWith + `,"in":"pod"}`, "in:"},
		{"command", `{` + commandWith + `,"timeout":"2m"}`, "timeout"},
		{"http", `{"do":{"url":"a"}}`, "url"},
		{"http", `{"do":{"url":"http://a"},"undo":{"url":"http://b"},"query":{"url":"http://c"},"unguarded":true}`, "query: expect:"},
		{"http", `{"do":{"url":"http://a"},"undo":{"url":"http://b"},"query":{"url":"http://c","method":"POST","expect":{"status":200}},"unguarded":true}`, "must only read"},
	} {
		if f, err := build(t, c.kind, c.with); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, error %v, want one with %q", c.with, f, err, c.want)
		}
	}
}

// switchboard is a service with one switch.
type switchboard struct {
	mu    sync.Mutex
	on    bool
	stuck bool // it says yes and does nothing
	ill   bool // it answers 500
	seen  []string
}

func (s *switchboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization"))
	switch {
	case s.ill:
		w.WriteHeader(http.StatusInternalServerError)
	case r.Method == http.MethodPost && !s.stuck:
		s.on = r.URL.Path == "/on"
	case r.Method == http.MethodGet:
		fmt.Fprintf(w, "switch=%v", s.on)
	}
}

func (s *switchboard) change(t *testing.T) (drills.Change, *HTTP) {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	f, err := build(t, "http", `{"do":{"url":"http://{address}/on","headers":{"Authorization":"${env:T}"}},"undo":{"url":"http://{address}/off"},"query":{"url":"http://{address}/","expect":{"contains":"switch=true"}},"timeout":"1s","unguarded":true}`)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := f.Plan(scene("redis-1"))
	if err != nil {
		t.Fatal(err)
	}
	c := changes[0]
	c.Do.ID, c.Undo.ID = "x.do", "x.undo"
	if strings.Contains(string(c.Do.Args), "secret") || !strings.Contains(string(c.Do.Args), "http://10.0.0.1/on") {
		t.Errorf("arguments %s", c.Do.Args)
	}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr != "10.0.0.1:80" {
			t.Errorf("dialled %s", addr)
		}
		return (&net.Dialer{}).DialContext(ctx, network, srv.Listener.Addr().String())
	}
	return c, NewHTTP(dial, func(string) (string, error) { return "secret", nil })
}

func TestHTTPActsConform(t *testing.T) {
	s := &switchboard{}
	c, h := s.change(t)
	drilltest.Actuator(t, drilltest.ActuatorCase{Name: "http", Change: c, Actuator: h})
	if !strings.Contains(strings.Join(s.seen, "\n"), "POST /on secret") {
		t.Errorf("asked %q", s.seen)
	}
}

func TestHTTPActsThatDoNotProveThemselves(t *testing.T) {
	stuck := &switchboard{stuck: true}
	c, h := stuck.change(t)
	if e, err := h.Apply(t.Context(), c.Do); err != nil || e.Proven {
		t.Errorf("a switch that does nothing: %+v, %v", e, err)
	}
	before := &switchboard{on: true}
	c, h = before.change(t)
	if _, err := h.Apply(t.Context(), c.Do); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("on before: %v", err)
	}
	ill := &switchboard{ill: true}
	c, h = ill.change(t)
	if there, err := h.Present(t.Context(), c.Do); err == nil {
		t.Errorf("a server that fails: %v, want that nobody knows", there)
	}
	if _, err := h.Apply(t.Context(), c.Undo); err == nil {
		t.Error("an undo that cannot be looked for must not seem done")
	}
}
