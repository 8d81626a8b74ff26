package server

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/hub"
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier/load"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// TestExpiredTokensEndTheirSockets: the fault expired-tokens, against this service: all of its sockets end with the token, and with
// the defect sockets-outlive-token none does.
func TestExpiredTokensEndTheirSockets(t *testing.T) {
	t.Parallel()
	for name, outlive := range map[string]bool{"sound": false, "sockets-outlive-token": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const n = 6
			sv := newService(t, func(d *Deps) {
				d.Hub = hub.New(hub.Options{
					Origin: "api-1/x", Queue: 8, MaxConns: n + 1, WriteTimeout: time.Second, Heartbeat: time.Hour, Silence: 20 * time.Second,
					Register: prometheus.NewRegistry(), Log: zap.NewNop(), Outlive: func() bool { return outlive },
				})
			})
			ctx, cancel := context.WithCancel(t.Context())
			ran := make(chan error, 1)
			go func() { ran <- sv.s.Hub.Run(ctx) }()
			defer func() { cancel(); <-ran }()
			q := expire(t, sv, n)
			t.Log(q.String(), q.Ends)
			want := map[bool]int{false: n, true: 0}[outlive]
			if q.Silent != n || q.Ended != want || q.Held != n-want {
				t.Errorf("%s", q)
			}
			if !outlive && (q.Last.Hi.D() > 3*time.Second || len(q.Ends) != 1 || q.Ends[0].Text != "closed with 1008 token expired") {
				t.Errorf("ended late, or otherwise: %s %v", q, q.Ends)
			}
		})
	}
}

// expire runs the clients until their silence is proven and a little longer.
func expire(t *testing.T, sv *service, n int) drills.QuietClients {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := load.QuietMain(t.Context(), inR, outW)
		_ = outW.Close()
		ended <- err
	}()
	pipe := drills.NewPipe(nil, inW)
	if err := pipe.Send("spec", load.QuietArgs{
		Kind: drills.ExpiredClients, Connections: n, Targets: []string{strings.TrimPrefix(sv.http.URL, "http://")}, Path: "/ws/connect",
		Login: &drills.Login{URL: sv.http.URL + "/auth/login?life=3s", Username: "admin@gad.example", Password: "right"},
		Life:  drills.Duration(10 * time.Second), Prove: drills.Duration(15 * time.Second), // tokens are let in for five seconds more
	}); err != nil {
		t.Fatal(err)
	}
	var m drills.LoadMeasured
	for lines := bufio.NewScanner(outR); lines.Scan(); {
		var f drills.Frame
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			t.Fatal(err)
		}
		switch f.Type {
		case "ready":
			if err := pipe.Send("stop", nil); err != nil {
				t.Fatal(err)
			}
		case "done":
			if err := json.Unmarshal(f.Data, &m); err != nil {
				t.Fatal(err)
			}
		case "error":
			t.Fatalf("%s", f.Data)
		}
	}
	if err := <-ended; err != nil || m.Quiet == nil {
		t.Fatalf("%+v %v", m, err)
	}
	return *m.Quiet
}
