package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/eevans-d/simulacro/compose/grupogad/api/defects"
	"github.com/eevans-d/simulacro/compose/grupogad/api/hub"
)

// A notification is acknowledged when the stream has it and a replica too, and at no other time.
func TestNotificationIsAcknowledgedOnlyWhenItIsSafe(t *testing.T) {
	t.Parallel()
	sv := newService(t, nil)
	out := sv.status(200, "POST", "/notifications", `{"chat_id": 7, "text": "hola", "key": "k-1"}`)
	if out["id"] != "k-1" || len(sv.f.entries) != 1 || sv.f.entries[0]["text"] != "hola" || sv.f.entries[0]["chat_id"] != "7" || sv.f.entries[0]["stream"] != "gad:notifications" {
		t.Errorf("answered %v, added %v", out, sv.f.entries)
	}
	if out := sv.status(200, "POST", "/notifications", `{"chat_id": 7, "text": "hola"}`); !strings.HasPrefix(out["id"].(string), "n-") {
		t.Errorf("id %v", out["id"])
	}
	sv.f.replicas = 0
	sv.status(503, "POST", "/notifications", `{"chat_id": 7, "text": "hola"}`)
	sv.f.replicas = 1
	sv.f.fail(nil, errDown)
	sv.status(503, "POST", "/notifications", `{"chat_id": 7, "text": "hola"}`)
	sv.switchOn(string(defects.NotificationAcksEarly))
	sv.status(200, "POST", "/notifications", `{"chat_id": 7, "text": "hola"}`)
	sv.status(422, "POST", "/notifications", `{"chat_id": 0, "text": "hola"}`)
	sv.status(422, "POST", "/notifications", `{"chat_id": 7, "text": ""}`)
	sv.status(422, "POST", "/notifications", fmt.Sprintf(`{"chat_id": 7, "text": "x", "key": %q}`, strings.Repeat("k", 61)))
}

func TestBroadcastByStream(t *testing.T) {
	t.Parallel()
	sv := newService(t, nil)
	out := sv.status(200, "POST", "/ws/_test/broadcast", `{"content": "x", "via": "stream"}`)
	if out["published"] != true || len(sv.f.published) != 0 || len(sv.f.entries) != 1 || sv.f.entries[0]["stream"] != "gad:broadcasts" {
		t.Errorf("answered %v; published %d, added %v", out, len(sv.f.published), sv.f.entries)
	}
	sv.f.replicas = 0
	if out := sv.status(200, "POST", "/ws/_test/broadcast", `{"content": "x", "via": "stream"}`); out["published"] != false {
		t.Errorf("no replica has it, and it says %v", out)
	}
	sv.status(422, "POST", "/ws/_test/broadcast", `{"content": "x", "via": "pigeon"}`)
}

// What other instances sent is remembered per way, our own echo and ordinary topics are not, and what was removed stays away.
func TestRelayLog(t *testing.T) {
	t.Parallel()
	sv := newService(t, nil)
	passed := 0
	note := sv.s.Relayed.Note(ViaStream, func([]byte) error { passed++; return nil })
	send := func(id, origin, topic, content string) {
		e, err := hub.NewEnvelope(hub.EventNotification, map[string]string{"content": content})
		if err != nil {
			t.Fatal(err)
		}
		e.MessageID, e.Topic, e.RoutingMetadata.Origin = id, &topic, origin
		b, _ := e.Encode()
		if err := note(b); err != nil {
			t.Fatal(err)
		}
	}
	send("a", "api-2/y", "simulacro-canary", "1 run 2 ff")
	send("b", "api-1/x", "simulacro-canary", "our own")
	send("c", "api-2/y", "news", "somebody's")
	sv.status(200, "DELETE", "/_reference/relayed/d", "")
	send("d", "api-2/y", "simulacro-canary", "removed before it came")
	send("e", "api-2/y", "simulacro-canary", "later")
	list := func(query string) (out []relayedMessage) {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, sv.http.URL+"/_reference/relayed?"+query, nil)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := list("via=stream"); len(got) != 2 || got[0].ID != "a" || got[0].Content != "1 run 2 ff" || got[1].ID != "e" || passed != 5 {
		t.Errorf("%+v, %d delivered", got, passed)
	}
	if got := list("via=stream&skip=1&limit=1"); len(got) != 1 || got[0].ID != "e" {
		t.Errorf("second page %+v", got)
	}
	if got := list("via=pubsub"); len(got) != 0 {
		t.Errorf("by pub/sub came %+v", got)
	}
	sv.status(200, "DELETE", "/_reference/relayed/a", "")
	if got := list("via=stream"); len(got) != 1 {
		t.Errorf("after removing one: %+v", got)
	}
}

func TestTasksByCodeAndRecent(t *testing.T) {
	t.Parallel()
	sv := newService(t, nil)
	for _, c := range []string{"A-1", "A-2"} {
		sv.status(200, "POST", "/tasks/", fmt.Sprintf(`{"codigo": %q, "titulo": "t", "tipo": "ADMINISTRATIVA"}`, c))
	}
	if got := sv.status(200, "GET", "/tasks/code/A-2", ""); got["id"] != float64(2) {
		t.Errorf("%v", got)
	}
	sv.status(404, "GET", "/tasks/code/A-3", "")
	sv.status(200, "GET", "/tasks/recent?limit=1", "")
	sv.status(422, "GET", "/tasks/recent?limit=0", "")
}
