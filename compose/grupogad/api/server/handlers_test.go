package server

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/auth"
	"github.com/eevans-d/simulacro/compose/grupogad/api/defects"
	"github.com/eevans-d/simulacro/compose/grupogad/api/metricstest"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

func TestReadinessIsTrueUnlessItLies(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		db, redis, schema error
		draining          bool
		says              string
		want              int
	}{
		"all well":         {nil, nil, nil, false, "", http.StatusOK},
		"database down":    {errDown, nil, nil, false, "database error: connection refused", 503},
		"redis down":       {nil, errDown, nil, false, "redis error: connection refused", 503},
		"both down":        {errDown, errDown, nil, false, "database error: connection refused; redis error: connection refused", 503},
		"schema not there": {nil, nil, errDown, false, "database error: connection refused", 503},
		"shutting down":    {nil, nil, nil, true, "shutting down", 503},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sv := newService(t, func(d *Deps) { d.Subscribed = func() bool { return false } }) // reported, does not count
			sv.f.fail(tc.db, tc.redis)
			sv.schema = tc.schema
			if tc.draining {
				sv.s.Drain()
			}
			body := sv.status(tc.want, "GET", "/api/v1/health/ready", "")
			if detail, _ := body["detail"].(string); detail != tc.says {
				t.Errorf("detail = %q, want %q", detail, tc.says)
			}
			if got := body["checks"].(map[string]any)["ws_pubsub"]; got != "not subscribed" {
				t.Errorf("ws_pubsub = %v", got)
			}
			sv.status(http.StatusOK, "GET", "/health", "")
			sv.switchOn(string(defects.ReadinessLies))
			if body := sv.status(http.StatusOK, "GET", "/api/v1/health/ready", ""); body["status"] != "ready" {
				t.Errorf("with the defect: %v", body)
			}
		})
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	sv := newService(t, nil)
	post := func(user, password string) (int, map[string]any) {
		form := url.Values{"username": {user}, "password": {password}}.Encode()
		got, _, body := sv.do("POST", "/auth/login", form, "Content-Type", "application/x-www-form-urlencoded")
		return got, body
	}
	got, body := post("admin@gad.example", "right")
	if got != http.StatusOK || body["token_type"] != "bearer" || body["expires_in"] != 3600.0 {
		t.Fatalf("login = %d %v", got, body)
	}
	id, err := sv.s.Tokens.Verify(body["access_token"].(string))
	if err != nil || id != (auth.Identity{UserID: "1", Role: auth.RoleAdmin}) {
		t.Errorf("token is for %+v, %v", id, err)
	}
	for _, bad := range [][2]string{{"admin@gad.example", "wrong"}, {"nobody@gad.example", "right"}} {
		if got, body := post(bad[0], bad[1]); got != http.StatusUnauthorized || body["detail"] != "Incorrect email or password" {
			t.Errorf("%v: %d %v", bad, got, body)
		}
	}
	form := url.Values{"username": {"admin@gad.example"}, "password": {"right"}}.Encode()
	for asked, want := range map[string]any{"20s": 20.0, "3h": 3600.0, "soon": nil, "10ms": nil} {
		_, _, body := sv.do("POST", "/auth/login?life="+asked, form, "Content-Type", "application/x-www-form-urlencoded")
		if body["expires_in"] != want {
			t.Errorf("asked for %s: %v", asked, body)
		}
	}
	if got, _ := post("", "right"); got != http.StatusUnprocessableEntity {
		t.Errorf("no user name: %d", got)
	}
	sv.f.fail(errDown, nil)
	if got, _ := post("admin@gad.example", "right"); got != http.StatusServiceUnavailable {
		t.Errorf("database down: %d", got)
	}
}

func TestPrivateRoutesAskForAToken(t *testing.T) {
	t.Parallel()
	sv := newService(t, nil)
	for _, route := range []string{
		"GET /tasks/", "POST /tasks/", "GET /tasks/1", "PUT /tasks/1", "DELETE /tasks/1", "POST /tasks/emergency",
		"GET /stats/user/1", "POST /ws/_test/broadcast", "POST /notifications", "GET /tasks/recent", "GET /tasks/code/x", "GET /_reference/defects", "PUT /_reference/defects",
	} {
		method, path, _ := strings.Cut(route, " ")
		if got, _, _ := sv.do(method, path, "{}", "Authorization", ""); got != http.StatusUnauthorized {
			t.Errorf("%s without a token: %d", route, got)
		}
		if got, _, _ := sv.do(method, path, "{}", "Authorization", "Bearer x.y.z"); got != http.StatusForbidden {
			t.Errorf("%s with a bad token: %d", route, got)
		}
	}
}

func TestTasksAndValidation(t *testing.T) {
	t.Parallel()
	sv := newService(t, nil)
	sv.f.cache["gad:stats:user:1:days:30"] = "{}"
	made := sv.status(200, "POST", "/tasks/", `{"codigo":"T-1","titulo":"x","tipo":"patrullaje"}`)
	if made["tipo"] != "PATRULLAJE" || made["creado_por_usuario_id"] != 1.0 {
		t.Errorf("created %v", made)
	}
	if len(sv.f.cache) != 0 {
		t.Error("the delegate's cached statistics outlived a write")
	}
	sv.status(200, "GET", "/tasks/1", "")
	sv.status(200, "GET", "/tasks/?skip=0&limit=10", "")
	if got := sv.status(200, "PUT", "/tasks/1", `{"estado":"FINALIZADA"}`); got["estado"] != "finalizada" {
		t.Errorf("updated %v", got)
	}
	sv.status(404, "GET", "/tasks/99", "")
	for path, body := range map[string]string{
		"POST /tasks/": `{"titulo":"no codigo"}`, "POST /tasks/ ": `{not json`, "GET /tasks/x": "", "GET /tasks/0": "",
		"GET /tasks/?limit=501": "", "POST /tasks/emergency": `{"telegram_id":1,"lat":91,"lng":0}`, "POST /tasks/emergency ": `{"lat":1,"lng":0}`,
		"GET /stats/user/1?days=31": "",
	} {
		method, p, _ := strings.Cut(strings.TrimSpace(path), " ")
		sv.status(422, method, p, body)
	}
	if got := sv.status(200, "POST", "/tasks/emergency", `{"telegram_id":1,"lat":1,"lng":2}`); got["assigned_efectivo_id"] != 42.0 || got["distance_m"] != 3.0 || got["status"] != "assigned" {
		t.Errorf("emergency = %v", got)
	}
	sv.status(404, "GET", "/nowhere", "")
}

func TestStatsCache(t *testing.T) {
	t.Parallel()
	sv := newService(t, nil)
	expect := func(hit bool, source string, total float64) {
		t.Helper()
		got := sv.status(200, "GET", "/stats/user/1", "")
		c := got["_cache"].(map[string]any)
		if c["hit"] != hit || c["source"] != source || got["total"] != total {
			t.Errorf("stats = %v, want hit %v from %s, total %v", got, hit, source, total)
		}
	}
	expect(false, "database", 1)
	expect(true, "redis", 1)
	sv.f.fail(nil, errDown)
	expect(false, "database", 2) // a Redis that is down costs the cache, not the answer
	sv.f.fail(errDown, nil)
	expect(true, "redis", 1) // and the cache carries over a database that is down

	other, err := sv.s.Tokens.Issue(auth.Identity{UserID: "2", Role: auth.RoleUnit})
	if err != nil {
		t.Fatal(err)
	}
	if got, _, _ := sv.do("GET", "/stats/user/1", "", "Authorization", "Bearer "+other); got != http.StatusForbidden {
		t.Errorf("another unit's statistics: %d", got)
	}
}

func TestBreakersAreSeparateAndClientErrorsDoNotCount(t *testing.T) {
	t.Parallel()
	sv := newService(t, nil)
	for range 20 {
		sv.status(404, "GET", "/tasks/99", "")
	}
	sv.f.fail(errDown, nil)
	for range 5 {
		sv.status(503, "GET", "/tasks/1", "")
	}
	sv.f.fail(nil, nil)
	got, header, body := sv.do("GET", "/tasks/", "")
	if got != 503 || body["detail"] != "postgres circuit open" || header.Get("Retry-After") == "" {
		t.Errorf("open breaker: %d %v", got, body)
	}
	if got := sv.status(200, "POST", "/ws/_test/broadcast", `{"content":"x"}`); got["published"] != true {
		t.Errorf("the redis breaker opened too: %v", got)
	}
	ready := sv.status(503, "GET", "/api/v1/health/ready", "")
	if !strings.Contains(ready["detail"].(string), "postgres circuit open") {
		t.Errorf("readiness = %v", ready)
	}
}

func TestDefectBreakerCounts4xx(t *testing.T) {
	t.Parallel()
	sv := newService(t, nil)
	sv.switchOn(string(defects.BreakerCounts4xx))
	for range 5 {
		sv.status(404, "GET", "/tasks/99", "")
	}
	sv.status(503, "GET", "/tasks/", "")
}

func TestDefectRateLimit100(t *testing.T) {
	t.Parallel()
	sv := newService(t, nil)
	sv.switchOn(string(defects.RateLimit100))
	for range 100 {
		sv.status(200, "GET", "/tasks/", "")
	}
	got, header, body := sv.do("GET", "/tasks/", "")
	if got != http.StatusTooManyRequests || header.Get("Retry-After") == "" || header.Get("X-RateLimit-Limit") != "100" || body["error"] != "rate_limit_exceeded" {
		t.Errorf("101st request: %d %v %v", got, header, body)
	}
	if got, _, _ := sv.do("GET", "/tasks/", "", "X-Real-IP", "192.0.2.7"); got != 200 {
		t.Errorf("another client: %d", got)
	}
	sv.status(200, "GET", "/api/v1/health/ready", "")
	sv.switchOn()
	sv.status(200, "GET", "/tasks/", "")
}

func TestReferenceSwitches(t *testing.T) {
	t.Parallel()
	sv := newService(t, nil)
	if got := sv.status(422, "PUT", "/_reference/defects", `{"defects":["nope"]}`); !strings.Contains(got["detail"].(string), "nope") {
		t.Errorf("unknown defect: %v", got)
	}
	sv.switchOn("readiness-lies")
	if got := sv.status(200, "GET", "/_reference/defects", ""); got["defects"].([]any)[0] != "readiness-lies" {
		t.Errorf("defects = %v", got)
	}
	unit, err := sv.s.Tokens.Issue(auth.Identity{UserID: "2", Role: auth.RoleUnit})
	if err != nil {
		t.Fatal(err)
	}
	if got, _, _ := sv.do("PUT", "/_reference/defects", `{"defects":[]}`, "Authorization", "Bearer "+unit); got != http.StatusForbidden {
		t.Errorf("a unit changed the defects: %d", got)
	}
	real := newService(t, func(d *Deps) { d.Environment = "production" })
	real.status(404, "PUT", "/_reference/defects", `{"defects":["readiness-lies"]}`)
}

func TestBroadcastReachesOwnClientsWhileRedisIsDown(t *testing.T) {
	t.Parallel()
	sv := newService(t, nil)
	conn := sv.websocket(sv.token)
	read := func() hubEnvelope {
		t.Helper()
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		raw, err := wsutil.ReadServerText(conn)
		if err != nil {
			t.Fatal(err)
		}
		var e hubEnvelope
		if err := json.Unmarshal(raw, &e); err != nil {
			t.Fatal(err)
		}
		return e
	}
	if e := read(); e.EventType != "connection_ack" {
		t.Fatalf("first frame: %+v", e)
	}
	for _, redis := range []error{nil, errDown} {
		sv.f.fail(nil, redis)
		got := sv.status(200, "POST", "/ws/_test/broadcast", `{"title":"t","content":{"seq":7,"sent":"<1>"},"level":"info"}`)
		if got["status"] != "ok" || got["sent"] != 1.0 || got["published"] != (redis == nil) {
			t.Errorf("answer with redis %v: %v", redis, got)
		}
		if e := read(); string(e.Data) != `{"content":{"seq":7,"sent":"<1>"},"level":"info","title":"t"}` || e.EventType != "notification" {
			t.Errorf("received %s %s", e.EventType, e.Data)
		}
	}
	if len(sv.f.published) != 1 || !strings.Contains(string(sv.f.published[0]), `"seq":7`) {
		t.Errorf("published %q", sv.f.published)
	}
	sv.status(422, "POST", "/ws/_test/broadcast", `{"title":"nothing to say"}`)
	if got := sv.status(200, "GET", "/ws/stats", "")["stats"].(map[string]any); got["total_connections"] != 1.0 {
		t.Errorf("stats = %v", got)
	}
}

type hubEnvelope struct {
	EventType string          `json:"event_type"`
	Data      json.RawMessage `json:"data"`
}

func (sv *service) dial(token string) (net.Conn, error) {
	conn, early, _, err := ws.Dial(sv.t.Context(), "ws"+strings.TrimPrefix(sv.http.URL, "http")+"/ws/connect?token="+token)
	if err != nil {
		return nil, err
	}
	sv.t.Cleanup(func() { _ = conn.Close() })
	if early == nil {
		return conn, nil
	}
	return readAhead{conn, io.MultiReader(io.LimitReader(early, int64(early.Buffered())), conn)}, nil // the ack came with the handshake
}

func (sv *service) websocket(token string) net.Conn {
	sv.t.Helper()
	conn, err := sv.dial(token)
	if err != nil {
		sv.t.Fatal(err)
	}
	return conn
}

type readAhead struct {
	net.Conn
	r io.Reader
}

func (c readAhead) Read(b []byte) (int, error) { return c.r.Read(b) }

func TestHandshakeIsRefused(t *testing.T) {
	t.Parallel()
	sv := newService(t, nil)
	for _, token := range []string{"", "x.y.z"} {
		if got, _, _ := sv.do("GET", "/ws/connect?token="+token, "", "Authorization", ""); got != http.StatusForbidden {
			t.Errorf("token %q: %d, want 403", token, got)
		}
	}
	for range 10 {
		if _, err := ws.ReadFrame(sv.websocket(sv.token)); err != nil { // the hub counts it before it says the first word
			t.Fatal(err)
		}
	}
	if _, err := sv.dial(sv.token); err == nil {
		t.Error("an eleventh connection was accepted by a hub for ten")
	}
}

func TestHTTPMetrics(t *testing.T) {
	t.Parallel()
	sv := newService(t, nil)
	sv.status(404, "GET", "/tasks/98", "")
	sv.status(404, "GET", "/tasks/99", "")
	sv.status(404, "BREW", "/coffee", "")
	sv.websocket(sv.token)
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) { // counted after the handshake was answered
		if _, there := metricstest.Lookup(t, sv.reg, "http_requests_total", "endpoint=/ws/connect"); there {
			break
		}
	}
	for _, want := range []struct {
		value  float64
		labels []string
	}{
		{2, []string{"method=GET", "endpoint=/tasks/{id}", "status=404", "env=test"}},
		{1, []string{"method=other", "endpoint=unknown", "status=404"}},
		{1, []string{"method=GET", "endpoint=/ws/connect", "status=101"}},
	} {
		if got := metricstest.Value(t, sv.reg, "http_requests_total", want.labels...); got != want.value {
			t.Errorf("http_requests_total%v = %v, want %v", want.labels, got, want.value)
		}
	}
	if got := metricstest.Value(t, sv.reg, "http_request_duration_seconds", "endpoint=/tasks/{id}"); got != 2 {
		t.Errorf("%v durations, want 2", got)
	}
}

func TestAPanicCostsOneRequest(t *testing.T) {
	t.Parallel()
	sv := newService(t, func(d *Deps) { d.Tasks = nil })
	if got, _, _ := sv.do("GET", "/tasks/1", ""); got != http.StatusInternalServerError {
		t.Errorf("a panic was answered by %d", got)
	}
	sv.status(200, "GET", "/health", "")
}
