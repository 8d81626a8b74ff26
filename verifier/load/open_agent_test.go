package load

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"go.uber.org/zap/zaptest"

	"github.com/eevans-d/simulacro/drills"
)

// service answers requests, with faults of exactly known size by path.
type service struct {
	*httptest.Server
	seen    atomic.Int64
	created atomic.Int64
}

func newService(t *testing.T) *service {
	t.Helper()
	s := new(service)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"access_token":"tok","expires_in":3600}`)
	})
	mux.HandleFunc("GET /items/{id}", func(w http.ResponseWriter, r *http.Request) {
		s.seen.Add(1)
		if r.Header.Get("Authorization") != "Bearer tok" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	mux.HandleFunc("POST /items", func(_ http.ResponseWriter, r *http.Request) {
		var in struct{ Name string }
		if json.NewDecoder(r.Body).Decode(&in) == nil && strings.HasPrefix(in.Name, "load r1 ") {
			s.created.Add(1)
		}
	})
	mux.HandleFunc("GET /broken", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	mux.HandleFunc("GET /limited", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) })
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func openArgs(s *service, rate float64, ops ...drills.HTTPOp) OpenArgs {
	return OpenArgs{Run: "r1", Ramp: drills.Duration(100 * time.Millisecond), Flows: []drills.LoadFlow{{
		Name: "people", Users: 7, Rate: rate, Connections: 4, Timeout: drills.Duration(2 * time.Second),
		HTTP: &drills.HTTPLoad{URLs: []string{s.URL}, Login: &drills.Login{URL: s.URL + "/login", Username: "u", Password: "${env:PW}"}, Operations: ops},
	}}}
}

func openChange(t *testing.T, a OpenArgs) drills.Change {
	t.Helper()
	c := changeFor(t, "s.1", Args{})
	var err error
	if c.Do, err = drills.NewOp("load.open", "abc", a); err != nil {
		t.Fatal(err)
	}
	c.Do.ID = "s.1.do"
	return c
}

// openProcess runs OpenMain as a goroutine.
type openProcess struct{ inProcess }

func (l *openProcess) Start(ctx context.Context, p drills.Place, argv []string) (drills.Stream, error) {
	if strings.Join(argv, " ") != "_agent open-load" {
		return nil, fmt.Errorf("no such agent: %v", argv)
	}
	l.main = OpenMain
	return l.inProcess.Start(ctx, p, []string{"_agent", "ws-load"})
}

func TestOpenLoadFromDoToResult(t *testing.T) {
	t.Parallel()
	s := newService(t)
	a := openArgs(s, 200, drills.HTTPOp{Name: "read", Path: "/items/{int:1:9}", Weight: 8},
		drills.HTTPOp{Name: "create", Method: "POST", Path: "/items", Body: `{"name":"load {run} {n}"}`},
		drills.HTTPOp{Name: "limited", Path: "/limited"}, drills.HTTPOp{Name: "broken", Path: "/broken"})
	a.Network = "gad"
	l := new(openProcess)
	act := NewActuator(l, nil, secrets, zaptest.NewLogger(t))
	c := openChange(t, a)
	e, err := act.Apply(t.Context(), c.Do)
	if err != nil || !e.Proven || !strings.HasSuffix(string(e.Evidence), `"wanted":4}`) || e.To.Before(e.From) {
		t.Fatalf("do: %+v %s, %v", e, e.Evidence, err)
	}
	if l.places[0] != (drills.Place{Kind: drills.PlaceNetwork, Network: "gad", Name: "open-load"}) {
		t.Errorf("place %+v", l.places[0])
	}
	if !strings.Contains(l.specs[0], password) || strings.Contains(string(c.Do.Args), password) {
		t.Error("the password must be in the spec, and only there")
	}
	for s.seen.Load() < 200 {
		pause(t.Context(), time.Now().Add(10*time.Millisecond))
	}
	u, err := act.Apply(t.Context(), c.Undo)
	var m drills.LoadMeasured
	if err != nil || !u.Proven || json.Unmarshal(u.Evidence, &m) != nil || len(m.Flows) != 1 {
		t.Fatalf("undo: %+v, %v", u, err)
	}
	f := m.Flows[0]
	if f.Due < 200 || f.Count.Good+f.Count.Bad()+f.Count.Ours()+f.Unserved != f.Due || f.Users != 7 || m.Received != int64(f.Count.Good) {
		t.Errorf("%+v", f)
	}
	ops := map[string]drills.Classes{}
	for _, o := range f.Ops {
		ops[o.Name] = o.Count
	}
	if ops["read"].Good == 0 || ops["read"].Bad() > 0 || ops["create"].Good == 0 || ops["limited"].Throttled == 0 || ops["limited"].Good+ops["limited"].Bad() > 0 ||
		ops["broken"].Failed == 0 || ops["broken"].Good > 0 || s.created.Load() < int64(ops["create"].Good) {
		t.Errorf("%+v, %d created", ops, s.created.Load())
	}
	h, err := hdrhistogram.Decode([]byte(f.Histogram))
	if err != nil || at(h, 95) != f.P95 || int(h.TotalCount()) != f.Count.Good+f.Count.Bad()+f.Unserved {
		t.Errorf("the histogram says p95 %s of %d, %v; the result %s", at(h, 95), h.TotalCount(), err, f.P95)
	}
	if u, err := act.Apply(t.Context(), c.Undo); err != nil || u.Skipped == "" {
		t.Errorf("a second undo: %+v, %v; its result would count twice", u, err)
	}
}

// The rules of every agent: the end of the input, a stop and the end of the lease end the load, with a result.
func TestOpenLoadEnds(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"eof", "stop", "lease"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			a := openArgs(s, 100, drills.HTTPOp{Name: "read", Path: "/items/1"})
			if how == "lease" {
				a.Lease = drills.Duration(700 * time.Millisecond)
			}
			inR, inW := io.Pipe()
			outR, outW := io.Pipe()
			ended := make(chan error, 1)
			go func() { ended <- OpenMain(context.WithoutCancel(t.Context()), inR, outW); _ = outW.Close() }()
			me := drills.NewPipe(outR, inW)
			if err := me.Send("spec", a); err != nil {
				t.Fatal(err)
			}
			var last drills.Frame
			for {
				f, err := me.Recv()
				if err != nil {
					break
				}
				last = f
				switch {
				case f.Type == "ready" && how == "eof":
					_ = inW.Close()
				case f.Type == "ready" && how == "stop":
					_ = me.Send("stop", nil)
				}
			}
			if err := <-ended; err != nil || last.Type != "done" {
				t.Errorf("ended with %v, last frame %s %s", err, last.Type, last.Data)
			}
			_ = inW.Close()
			before := s.seen.Load()
			pause(t.Context(), time.Now().Add(50*time.Millisecond))
			if now := s.seen.Load(); now != before {
				t.Errorf("%d requests after the end", now-before)
			}
		})
	}
}

func TestOpenLoadThatCannotBegin(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, c := range []struct {
		name   string
		change func(*OpenArgs)
		says   string
	}{
		{"nothing to do", func(a *OpenArgs) { a.Flows = nil }, "flows"},
		{"two kinds", func(a *OpenArgs) { a.Flows[0].Redis = new(drills.RedisLoad) }, "exactly one"},
		{"a place that is none", func(a *OpenArgs) { a.Flows[0].HTTP.Operations[0].Path = "/{int:9:1}" }, "lower first"},
		{"a secret is missing", func(a *OpenArgs) { a.Flows[0].HTTP.Login.Password = "${env:NONE}" }, "NONE is not set"},
		{"a dsn", func(a *OpenArgs) {
			a.Flows[0].HTTP = nil
			a.Flows[0].Postgres = &drills.PostgresLoad{DSN: "postgres://u:secret@[", Statements: []drills.Statement{{Name: "q", SQL: "select 1"}}}
		}, "dsn is not valid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := openArgs(s, 10, drills.HTTPOp{Name: "read", Path: "/items/1"})
			c.change(&a)
			act := NewActuator(new(openProcess), nil, secrets, nil)
			_, err := act.Apply(t.Context(), openChange(t, a).Do)
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret@") {
				t.Errorf("err = %v, want %q", err, c.says)
			}
		})
	}
}

// Nothing answers: that is no proof of a load.
func TestOpenLoadWithoutAnAnswerIsNoProof(t *testing.T) {
	t.Parallel()
	s := newService(t)
	a := openArgs(s, 50, drills.HTTPOp{Name: "read", Path: "/broken"})
	act := NewActuator(new(openProcess), nil, secrets, nil)
	c := openChange(t, a)
	e, err := act.Apply(t.Context(), c.Do)
	if err != nil || e.Proven {
		t.Errorf("do: %+v, %v", e, err)
	}
	if u, err := act.Apply(t.Context(), c.Undo); err != nil || !u.Proven {
		t.Errorf("undo: %+v, %v", u, err)
	}
}
