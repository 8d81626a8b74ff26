package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

const dashboardsDir = "../../compose/grupogad/dashboards"

// panel is what a Grafana panel asks.
type panel struct {
	board, title string
	queries      []string
}

func panels(t *testing.T) (out []panel, boards []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dashboardsDir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var d struct {
			UID, Title string
			Panels     []struct {
				ID      int
				Title   string
				Targets []struct{ Expr string }
			}
		}
		if err := json.Unmarshal(b, &d); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if d.UID+".json" != filepath.Base(f) || d.Title == "" || len(d.Panels) == 0 {
			t.Errorf("%s: uid %q, title %q, %d panels", f, d.UID, d.Title, len(d.Panels))
		}
		boards = append(boards, d.UID)
		ids := map[int]bool{}
		for _, p := range d.Panels {
			if ids[p.ID] || p.Title == "" || len(p.Targets) == 0 {
				t.Errorf("%s: panel %d %q asks nothing or is there twice", d.UID, p.ID, p.Title)
			}
			ids[p.ID] = true
			one := panel{board: d.UID, title: p.Title}
			for _, q := range p.Targets {
				if q.Expr == "" {
					t.Errorf("%s, %q: an empty query", d.UID, p.Title)
				}
				one.queries = append(one.queries, q.Expr)
			}
			out = append(out, one)
		}
	}
	return out, boards
}

// TestDashboards: there is one for every domain of Tabla 4 and one for those who decide.
func TestDashboards(t *testing.T) {
	_, boards := panels(t)
	if want := []string{"api", "bot", "executive", "postgis", "proxy", "redis", "websocket"}; !slices.Equal(boards, want) {
		t.Errorf("dashboards %v, want %v", boards, want)
	}
}

// TestDashboardsHaveData: while users do what users do, every query of every panel has a number to show.
func TestDashboardsHaveData(t *testing.T) {
	e2e(t, true)
	whole(t)
	all, _ := panels(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); useEverything(ctx, t) }()
	defer func() { cancel(); <-done }()
	empty := map[string]bool{}
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(2 * time.Second) {
		clear(empty)
		for _, p := range all {
			for _, q := range p.queries {
				if len(promValues(t, q)) == 0 {
					empty[fmt.Sprintf("%s, %q: %s", p.board, p.title, q)] = true
				}
			}
		}
		if len(empty) == 0 {
			return
		}
		if time.Now().After(deadline) {
			for q := range empty {
				t.Error("no data: " + q)
			}
			return
		}
	}
}

// useEverything keeps a WebSocket open and asks one of each until ctx ends. What fails is tried again: the queries judge.
func useEverything(ctx context.Context, t *testing.T) {
	base := "http://" + address(t, "api-1") + ":8000"
	key := token(t, base)
	conn, _, _, err := ws.Dial(ctx, "ws://"+address(t, "api-2")+":8000/ws/connect?token="+key)
	if err != nil {
		t.Errorf("no WebSocket: %v", err)
		return
	}
	go func() {
		buf := make([]byte, 4096)
		for {
			if _, err := conn.Read(buf); err != nil {
				return
			}
		}
	}()
	defer conn.Close()
	caddy, standIn := "http://"+address(t, "caddy")+":8080", "http://"+address(t, "telegram")+":8081"
	post := func(method, url, body string) {
		req, _ := http.NewRequestWithContext(ctx, method, url, bytes.NewReader([]byte(body)))
		req.Header.Set("Authorization", "Bearer "+key)
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
		}
	}
	for tick := time.NewTicker(300 * time.Millisecond); ctx.Err() == nil; <-tick.C {
		post(http.MethodGet, caddy+"/tasks/?limit=1", "")
		post(http.MethodPost, base+"/ws/_test/broadcast", `{"content": "x"}`)
		post(http.MethodPost, base+"/ws/_test/broadcast", `{"content": "x", "via": "stream"}`)
		post(http.MethodPost, caddy+"/notifications", `{"chat_id": 777003, "text": "x"}`)
		post(http.MethodPost, standIn+"/_reference/commands", `{"text": "/estadisticas"}`)
	}
}
