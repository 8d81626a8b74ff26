package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// TestBotDrills: the drills of the bot and of the Streams pass on the sound system, and each defect is found by the expectation
// that it breaks.
func TestBotDrills(t *testing.T) {
	e2e(t, true)
	for _, v := range []struct {
		drill, of, defect string
		slow              string // latency of Telegram, where a defect needs messages under way
		broken            string // the expectation that is not met; empty: pass
	}{
		{"bot-kill", "", "", "", ""},
		{"bot-kill", "bot", "never-reclaims", "220ms", "loss:bot-notifications"},
		{"bot-kill", "bot", "create-never-calls", "", "loss:bot-tasks"},
		{"bot-down", "", "", "", ""},
		{"bot-telegram-down", "", "", "", ""},
		{"bot-telegram-down", "bot", "send-once", "", "loss:bot-notifications"},
		{"bot-telegram-down", "bot", "no-dedupe", "", "duplicated:bot-notifications"},
		{"bot-telegram-down", "bot", "breaker-disabled", "", "breaker:bot/telegram:opens"},
		{"bot-telegram-down", "bot", "breaker-never-closes", "", "loss:bot-notifications"},
		{"bot-api-down", "", "", "", ""},
		{"bot-api-down", "bot", "breaker-disabled", "", "breaker:bot/api:opens"},
		{"streams-replay", "", "", "", ""},
		{"streams-replay", "api", "stream-never-replays", "", "loss:broadcasts-stream"},
		{"streams-replay", "api", "notification-acks-early", "", "loss:bot-notifications"},
	} {
		t.Run(strings.TrimSpace(v.drill+" "+v.defect), func(t *testing.T) {
			whole(t)
			switch v.of {
			case "api":
				withDefects(t, v.defect)
			case "bot":
				botDefects(t, v.defect)
			}
			if v.slow != "" {
				telegramFault(t, `{"latency": "`+v.slow+`", "methods": ["sendMessage"]}`)
			}
			rec, code := runDrill(t, t.TempDir(), refSystem, v.drill)
			nothingLeft(t)
			if v.broken == "" {
				if rec.Outcome != drills.Pass || code != drills.ExitPass || rec.Dirty {
					t.Errorf("%s (%s), exit %d: %s", rec.Outcome, rec.Cause, code, rec.Sentence)
				}
				return
			}
			failedBy(t, rec, code, v.broken, "") // for whatever reason
		})
	}
}

// TestTelegramFaults: whatever Telegram does for a while, every notification that the API acknowledged meanwhile arrives once, and
// the retries are counted under what was wrong.
func TestTelegramFaults(t *testing.T) {
	e2e(t, true)
	whole(t)
	api := "http://" + address(t, "api-1") + ":8000"
	key := token(t, api)
	for reason, fault := range map[string]string{
		"429":        `{"status": 429, "retry_after": 1, "methods": ["sendMessage"]}`,
		"5xx":        `{"status": 502, "methods": ["sendMessage"]}`,
		"timeout":    `{"hang": true, "methods": ["sendMessage"]}`,
		"connection": `{"reset": true, "methods": ["sendMessage"]}`,
	} {
		t.Run(reason, func(t *testing.T) {
			before := series(t, "bot_retries_total", "reason="+reason)
			telegramFault(t, fault)
			var issued []string
			for n := range 10 {
				id := fmt.Sprintf("fault-%s-%d-%d", reason, time.Now().UnixNano(), n)
				call(t, http.MethodPost, api+"/notifications", key, []byte(fmt.Sprintf(`{"chat_id": 777002, "key": %q, "text": "x"}`, id)))
				issued = append(issued, id)
			}
			eventually(t, 30*time.Second, "a retry counted for "+reason, func() bool { return series(t, "bot_retries_total", "reason="+reason) > before })
			if n := len(delivered(t, 777002, "fault-"+reason)); n != 0 {
				t.Errorf("%d arrived although every call fails", n)
			}
			telegram(t, http.MethodDelete, "/_reference/faults", "")
			eventually(t, 60*time.Second, "everything delivered", func() bool { return len(delivered(t, 777002, "fault-"+reason)) >= len(issued) })
			if got := delivered(t, 777002, "fault-"+reason); len(got) != len(issued) {
				t.Errorf("%d issued, %d delivered: %v", len(issued), len(got), got)
			}
		})
	}
	telegram(t, http.MethodDelete, "/_reference/messages?chat=777002", "")
}

func address(t *testing.T, name string) string {
	t.Helper()
	return docker(t, "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", service(t, name))
}

// telegram asks the stand-in's own interface for drills.
func telegram(t *testing.T, method, path, body string) {
	t.Helper()
	call(t, method, "http://"+address(t, "telegram")+":8081"+path, "", []byte(body))
}

func telegramFault(t *testing.T, fault string) {
	t.Helper()
	t.Cleanup(func() { telegram(t, http.MethodDelete, "/_reference/faults", "") })
	telegram(t, http.MethodPut, "/_reference/faults", fault)
}

// botDefects switches the bot's defects; one that keeps a breaker open or leaves entries behind ends with a restart.
func botDefects(t *testing.T, names ...string) {
	t.Helper()
	put := func(names ...string) {
		body, _ := json.Marshal(map[string]any{"defects": append([]string{}, names...)})
		call(t, http.MethodPut, "http://"+address(t, "bot")+":8000/_reference/defects", "", body)
	}
	t.Cleanup(func() {
		id := service(t, "bot")
		docker(t, "restart", "-t", "1", id) // a crash in the drill has put DEFECTS of the start in force again
		eventually(t, 30*time.Second, "the bot answers", func() bool { return get("http://"+address(t, "bot")+":8000/health") == http.StatusOK })
		put()
	})
	put(names...)
}

func get(url string) int {
	res, err := (&http.Client{Timeout: 2 * time.Second}).Get(url)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	return res.StatusCode
}

// delivered are the notifications of a chat whose id begins with prefix.
func delivered(t *testing.T, chat int, prefix string) (ids []string) {
	t.Helper()
	res, err := http.Get(fmt.Sprintf("http://%s:8081/_reference/messages?chat=%d&limit=10000", address(t, "telegram"), chat))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var list []struct{ Data string }
	if err := json.NewDecoder(res.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if strings.HasPrefix(m.Data, prefix) {
			ids = append(ids, m.Data)
		}
	}
	return ids
}

// series reads one number of the bot's metrics, as text: no library of ours.
func series(t *testing.T, name, label string) float64 {
	t.Helper()
	k, v, _ := strings.Cut(label, "=")
	res, err := http.Get("http://" + address(t, "bot") + ":8000/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var b bytes.Buffer
	_, _ = b.ReadFrom(res.Body)
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(line, name+"{") && strings.Contains(line, k+`="`+v+`"`) {
			var n float64
			_, _ = fmt.Sscan(line[strings.LastIndex(line, " ")+1:], &n)
			return n
		}
	}
	t.Fatalf("the bot has no series %s %s", name, label)
	return 0
}

// promValues asks Prometheus and returns the values that are numbers.
func promValues(t *testing.T, query string) (out []float64) {
	t.Helper()
	res, err := http.Get("http://" + address(t, "prometheus") + ":9090/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var a struct {
		Status, Error string
		Data          struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil || a.Status != "success" {
		t.Fatalf("%s: %v %s", query, err, a.Error)
	}
	for _, r := range a.Data.Result {
		var v float64
		if text, ok := r.Value[1].(string); ok {
			if _, err := fmt.Sscan(text, &v); err == nil && v == v { //nolint:gocritic // not NaN
				out = append(out, v)
			}
		}
	}
	return out
}
