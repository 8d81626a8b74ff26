package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

const firing = `{"version":"4","status":"firing","receiver":"sink","groupKey":"{}:{alertname=\"RedisDown\"}","received_unix_ns":1,
	"alerts":[{"status":"firing","labels":{"alertname":"RedisDown","n":"%d"},"startsAt":"2026-01-02T03:04:05Z"}]}`

func post(t *testing.T, h http.Handler, body string) int {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhook", strings.NewReader(body)))
	return w.Code
}

func list(t *testing.T, h http.Handler, query string) []notification {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/notifications"+query, nil))
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), "[") {
		t.Fatalf("notifications%s = %d %s", query, w.Code, w.Body)
	}
	var out []notification
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRecordsWhenAndWhat(t *testing.T) {
	t.Parallel()
	h := handler(newRecorder(10, "", zap.NewNop()))
	if got := list(t, h, ""); len(got) != 0 {
		t.Fatalf("an unused sink has %v", got)
	}
	before := time.Now().UnixNano()
	if code := post(t, h, fmt.Sprintf(firing, 1)); code != http.StatusOK {
		t.Fatalf("webhook = %d", code)
	}
	got := list(t, h, "")
	if len(got) != 1 || got[0].Status != "firing" || got[0].Receiver != "sink" || !strings.Contains(string(got[0].Alerts), `"startsAt":"2026-01-02T03:04:05Z"`) {
		t.Fatalf("recorded %+v", got)
	}
	if ns := got[0].ReceivedUnixNs; ns < before || ns > time.Now().UnixNano() || got[0].ReceivedAt.UnixNano() != ns {
		t.Errorf("received at %v (%d): the payload's own claim or no time at all", got[0].ReceivedAt, ns)
	}
	if n := len(list(t, h, fmt.Sprint("?since=", got[0].ReceivedUnixNs-1))); n != 1 {
		t.Errorf("%d since just before", n)
	}
	if n := len(list(t, h, fmt.Sprint("?since=", got[0].ReceivedUnixNs))); n != 0 {
		t.Errorf("%d since itself", n)
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	h := handler(newRecorder(10, "", zap.NewNop()))
	for name, body := range map[string]string{"not JSON": "hello", "no alerts": `{"status":"firing"}`, "too large": `{"alerts":["` + strings.Repeat("x", maxPayload) + `"]}`} {
		if code := post(t, h, body); code != http.StatusBadRequest {
			t.Errorf("%s: %d", name, code)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/notifications?since=yesterday", nil))
	if w.Code != http.StatusBadRequest {
		t.Errorf("since=yesterday: %d", w.Code)
	}
	if got := list(t, h, ""); len(got) != 0 {
		t.Errorf("recorded %v", got)
	}
}

func TestKeepsOnlyTheLast(t *testing.T) {
	t.Parallel()
	r := newRecorder(10, "", zap.NewNop())
	for i := range 100 {
		r.add(notification{ReceivedUnixNs: int64(i + 1)})
		if len(r.list) > 13 {
			t.Fatalf("%d in memory after %d", len(r.list), i)
		}
	}
	got := r.since(0)
	if len(got) != 10 || got[0].ReceivedUnixNs != 91 || got[9].ReceivedUnixNs != 100 {
		t.Errorf("kept %d, from %+v", len(got), got[0])
	}
}

func TestSurvivesARestartAndATornLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newRecorder(10, dir, zap.NewNop())
	for i := range 3 {
		if code := post(t, handler(r), fmt.Sprintf(firing, i)); code != http.StatusOK {
			t.Fatal(code)
		}
	}
	r.close()
	f, err := os.OpenFile(filepath.Join(dir, fileName), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteString(`{"status":"fir`)
	_ = f.Close()
	again := newRecorder(10, dir, zap.NewNop())
	defer again.close()
	if got := list(t, handler(again), ""); len(got) != 3 || !strings.Contains(string(got[2].Alerts), `"n":"2"`) {
		t.Errorf("after a restart: %+v", got)
	}
}

func TestADiskThatFailsCostsNothingInMemory(t *testing.T) {
	t.Parallel()
	r := newRecorder(10, filepath.Join(t.TempDir(), "not", "there"), zap.NewNop())
	if code := post(t, handler(r), fmt.Sprintf(firing, 1)); code != http.StatusOK || len(r.since(0)) != 1 {
		t.Errorf("webhook = %d, kept %d", code, len(r.since(0)))
	}
}

func TestTheFileIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newRecorder(1, dir, zap.NewNop())
	defer r.close()
	r.max = 4096
	for range 12 {
		r.add(notification{Alerts: json.RawMessage(`["` + strings.Repeat("x", 1024) + `"]`)})
	}
	var total int64
	for _, name := range []string{fileName, fileName + ".1"} {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		total += st.Size()
	}
	if total > 2*(4096+1500) {
		t.Errorf("%d bytes on disk", total)
	}
}

func TestRunServesAndStops(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	env := func(k string) string { return map[string]string{"LISTEN": addr}[k] }
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	done := make(chan int, 1)
	go func() { done <- run(ctx, nil, env, &out) }()
	healthy := func() bool {
		res, err := http.Get("http://" + addr + "/health")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	}
	for end := time.Now().Add(5 * time.Second); !healthy(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never healthy")
		}
	}
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("stopped with %d: %s", code, &out)
	}
	if healthy() {
		t.Error("still answers")
	}
	if code := run(t.Context(), []string{"nonsense"}, env, &out); code != 2 {
		t.Errorf("nonsense = %d", code)
	}
}
