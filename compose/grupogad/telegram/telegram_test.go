package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

const token = "123:secret"

type standIn struct {
	t    *testing.T
	s    *server
	http *httptest.Server
}

func newStandIn(t *testing.T) *standIn {
	t.Helper()
	s := newServer(token, 100, zap.NewNop())
	h := httptest.NewServer(s.handler())
	t.Cleanup(h.Close)
	return &standIn{t, s, h}
}

func (i *standIn) ask(ctx context.Context, method, path, body string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, i.http.URL+path, strings.NewReader(body))
	if err != nil {
		i.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, b, err
}

func (i *standIn) want(status int, method, path, body string) []byte {
	i.t.Helper()
	got, b, err := i.ask(i.t.Context(), method, path, body)
	if err != nil || got != status {
		i.t.Fatalf("%s %s = %d %s %v, want %d", method, path, got, b, err, status)
	}
	return b
}

func (i *standIn) call(status int, method, body string) []byte {
	i.t.Helper()
	return i.want(status, "POST", "/bot"+token+"/"+method, body)
}

func (i *standIn) updates(body string) (out []update) {
	i.t.Helper()
	var a struct{ Result []update }
	if err := json.Unmarshal(i.call(200, "getUpdates", body), &a); err != nil {
		i.t.Fatal(err)
	}
	return a.Result
}

func (i *standIn) listed(query string) (out []delivered) {
	i.t.Helper()
	if err := json.Unmarshal(i.want(200, "GET", "/_reference/messages"+query, ""), &out); err != nil {
		i.t.Fatal(err)
	}
	return out
}

// An update comes again until an offset beyond it confirms it; numbers only grow.
func TestOffsets(t *testing.T) {
	t.Parallel()
	i := newStandIn(t)
	for n := range 3 {
		i.want(202, "POST", "/_reference/commands", fmt.Sprintf(`{"text": "/t%d", "no_wait": true}`, n))
	}
	all := i.updates(`{}`)
	if len(all) != 3 || all[0].Message.Text != "/t0" || all[2].UpdateID != all[0].UpdateID+2 {
		t.Fatalf("%+v", all)
	}
	if again := i.updates(`{"limit": 2}`); len(again) != 2 || again[0].UpdateID != all[0].UpdateID {
		t.Errorf("not confirmed, but it gave %+v", again)
	}
	if rest := i.updates(fmt.Sprintf(`{"offset": %d}`, all[1].UpdateID)); len(rest) != 2 {
		t.Errorf("from the second on: %+v", rest)
	}
	if back := i.updates(`{"offset": 0}`); len(back) != 2 {
		t.Errorf("what was confirmed is there again: %+v", back)
	}
}

// A poll waits for news, gives up empty after its timeout, and is ended with 409 by a newer one.
func TestLongPoll(t *testing.T) {
	t.Parallel()
	i := newStandIn(t)
	if got := i.updates(`{"timeout": 1}`); got == nil || len(got) != 0 {
		t.Errorf("nothing happened, and it gave %v", got)
	}
	first := make(chan int, 1)
	go func() {
		status, _, _ := i.ask(t.Context(), "POST", "/bot"+token+"/getUpdates", `{"timeout": 30}`)
		first <- status
	}()
	for taken := false; !taken; time.Sleep(time.Millisecond) {
		i.s.in.mu.Lock()
		taken = i.s.in.poller != nil
		i.s.in.mu.Unlock()
	}
	second := make(chan []update, 1)
	go func() { second <- i.updates(`{"timeout": 30}`) }()
	if status := <-first; status != http.StatusConflict {
		t.Errorf("the earlier poll ended with %d", status)
	}
	i.want(202, "POST", "/_reference/callbacks", `{"data": "n-1", "user": 5}`)
	if got := <-second; len(got) != 1 || got[0].Callback.Data != "n-1" {
		t.Errorf("%+v", got)
	}
}

// The round trip measures the reply to that very message, and says when it is another one or none.
func TestCommandRoundTrip(t *testing.T) {
	t.Parallel()
	i := newStandIn(t)
	answer := func(text string) {
		go func() {
			up := i.updates(`{"timeout": 5}`)
			m := up[len(up)-1].Message
			i.call(200, "sendMessage", fmt.Sprintf(`{"chat_id": %d, "text": "to nobody"}`, m.Chat.ID))
			i.call(200, "sendMessage", fmt.Sprintf(`{"chat_id": %d, "text": %q, "reply_parameters": {"message_id": %d}}`, m.Chat.ID, text, m.MessageID))
			i.updates(fmt.Sprintf(`{"offset": %d}`, up[len(up)-1].UpdateID+1))
		}()
	}
	answer("Tarea A creada (n.º 17).")
	var got map[string]any
	body := i.want(200, "POST", "/_reference/commands", `{"text": "/crear A x", "within": "5s", "expect": "creada", "capture": "n.º ([0-9]+)"}`)
	if err := json.Unmarshal(body, &got); err != nil || got["captured"] != "17" || got["reply"] != "Tarea A creada (n.º 17)." || got["took_ms"] == nil {
		t.Errorf("%s", body)
	}
	answer("No está disponible")
	i.want(502, "POST", "/_reference/commands", `{"text": "/crear B x", "within": "5s", "expect": "creada"}`)
	i.want(504, "POST", "/_reference/commands", `{"text": "/crear C x", "within": "50ms"}`)
	i.want(422, "POST", "/_reference/commands", `{"text": ""}`)
	i.want(422, "POST", "/_reference/commands", `{"text": "x", "capture": "("}`)
}

// Messages are listed by chat and page; what is removed before it comes is not kept.
func TestMessages(t *testing.T) {
	t.Parallel()
	i := newStandIn(t)
	send := func(chatID int, text, data string) {
		i.call(200, "sendMessage", fmt.Sprintf(`{"chat_id": %d, "text": %q, "reply_markup": {"inline_keyboard": [[{"text": "b", "callback_data": %q}]]}}`, chatID, text, data))
	}
	for n := range 5 {
		send(7, fmt.Sprint("m", n), fmt.Sprint("n-", n))
	}
	send(7, "m1", "n-1")
	send(8, "other", "o-1")
	i.want(200, "DELETE", "/_reference/messages/n-9", "")
	send(7, "late", "n-9")
	if got := i.listed("?chat=7&settled=true"); len(got) != 6 || got[1].Data != "n-1" || got[5].Data != "n-1" {
		t.Errorf("%+v", got)
	}
	if got := i.listed("?chat=7&skip=4&limit=1"); len(got) != 1 || got[0].Text != "m4" {
		t.Errorf("page: %+v", got)
	}
	if b := i.want(200, "DELETE", "/_reference/messages/n-1", ""); !bytes.Contains(b, []byte(`"removed":2`)) {
		t.Errorf("%s", b)
	}
	i.want(422, "DELETE", "/_reference/messages", "")
	i.want(200, "DELETE", "/_reference/messages?chat=7", "")
	if got := i.listed(""); len(got) != 1 || got[0].ChatID != 8 {
		t.Errorf("left: %+v", got)
	}
}

func TestErrorsAreTelegrams(t *testing.T) {
	t.Parallel()
	i := newStandIn(t)
	if b := i.want(401, "POST", "/botwrong/getMe", ""); !bytes.Contains(b, []byte(`"error_code":401`)) {
		t.Errorf("%s", b)
	}
	i.want(404, "POST", "/something/getMe", "")
	i.call(404, "launchRockets", `{}`)
	i.call(400, "sendMessage", `{"chat_id": 0, "text": "x"}`)
	i.call(400, "sendMessage", `{"chat_id": 1, "text": ""}`)
	i.call(400, "sendMessage", `{"chat_id": 1`)
	i.call(400, "editMessageText", `{"chat_id": 1, "message_id": 1, "text": "x"}`)
	i.call(200, "getMe", `{}`)
	i.call(200, "deleteWebhook", `{}`)
	res, err := http.PostForm(i.http.URL+"/bot"+token+"/sendMessage", map[string][]string{"chat_id": {"3"}, "text": {"by form"}})
	if err != nil || res.StatusCode != 200 || i.listed("?chat=3")[0].Text != "by form" {
		t.Errorf("%v", err)
	}
	_ = res.Body.Close()
}

// Each fault does what it says to the methods that it names, and nothing to others.
func TestFaults(t *testing.T) {
	t.Parallel()
	send := `{"chat_id": 7, "text": "x"}`
	for name, c := range map[string]struct {
		fault  string
		status int // 0: no answer
		kept   int
	}{
		"429":                      {`{"status": 429, "retry_after": 3, "methods": ["sendMessage"]}`, 429, 0},
		"502":                      {`{"status": 502}`, 502, 0},
		"502 after it was done":    {`{"status": 502, "done": true}`, 502, 1},
		"reset":                    {`{"reset": true}`, 0, 0},
		"hang":                     {`{"hang": true}`, 0, 0},
		"hang after it was done":   {`{"hang": true, "done": true}`, 0, 1},
		"latency":                  {`{"latency": "30ms"}`, 200, 1},
		"another method":           {`{"status": 502, "methods": ["getUpdates"]}`, 200, 1},
		"over by itself":           {`{"status": 502, "for": "1ns"}`, 200, 1},
		"only the share of nobody": {`{"status": 502, "share": 0.0000001}`, 200, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newStandIn(t)
			i.want(200, "PUT", "/_reference/faults", c.fault)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			began := time.Now()
			status, body, err := i.ask(ctx, "POST", "/bot"+token+"/sendMessage", send)
			if status != c.status || (c.status == 0) != (err != nil) || len(i.listed("")) != c.kept {
				t.Errorf("%d %s %v, kept %d", status, body, err, len(i.listed("")))
			}
			switch name {
			case "429":
				if !bytes.Contains(body, []byte(`"retry_after":3`)) {
					t.Errorf("%s", body)
				}
			case "reset":
				if took := time.Since(began); took > 250*time.Millisecond {
					t.Errorf("a reset took %s", took)
				}
			case "latency":
				if took := time.Since(began); took < 30*time.Millisecond {
					t.Errorf("only %s", took)
				}
			}
			i.want(200, "DELETE", "/_reference/faults", "")
			i.call(200, "sendMessage", send)
		})
	}
	i := newStandIn(t)
	for _, bad := range []string{`{}`, `{"status": 200}`, `{"status": 500, "hang": true}`, `{"explode": true}`, `{"hang": true, "share": 2}`, `{"latency": "soon"}`} {
		i.want(422, "PUT", "/_reference/faults", bad)
	}
}

func TestOnlyTheLastAreKept(t *testing.T) {
	t.Parallel()
	o := newOutbox(10)
	for range 100 {
		o.add(delivered{ChatID: 1, Text: "x"})
	}
	if n := o.count(1); n < 10 || n > 13 {
		t.Errorf("%d kept", n)
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
	env := func(k string) string { return map[string]string{"LISTEN": addr, "TELEGRAM_TOKEN": token}[k] }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() { done <- run(ctx, nil, env, t.Output()) }()
	up := func() bool {
		res, err := http.Get("http://" + addr + "/_reference/health")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == 200
	}
	for end := time.Now().Add(5 * time.Second); !up(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never healthy")
		}
	}
	go http.Post("http://"+addr+"/bot"+token+"/getUpdates", "application/json", strings.NewReader(`{"timeout": 50}`)) // must not hold the stop up
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("stopped with %d", code)
	}
	for _, none := range []map[string]string{{}, {"TELEGRAM_TOKEN": "x", "TELEGRAM_KEEP": "0"}} {
		if code := run(t.Context(), nil, func(k string) string { return none[k] }, t.Output()); code != 2 {
			t.Errorf("%v: %d", none, code)
		}
	}
}
