package verifier

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/eevans-d/simulacro/drills"
)

// hub is a WebSocket server with a publishing address: what is posted goes to every subscriber of its topic.
type hub struct {
	*httptest.Server
	mu    sync.Mutex
	conns map[*websocket.Conn]string // topic
	mute  atomic.Bool                // accept posts, deliver nothing
	deny  atomic.Bool                // refuse everybody
	posts atomic.Int32
}

func newHub(t *testing.T) *hub { return startHub(t, httptest.NewServer) }

func startHub(t *testing.T, start func(http.Handler) *httptest.Server) *hub {
	h := &hub{conns: map[*websocket.Conn]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", h.subscribe)
	mux.HandleFunc("/publish", h.publish)
	h.Server = start(mux)
	t.Cleanup(func() { h.cut(); h.Close() })
	return h
}

func (h *hub) subscribe(w http.ResponseWriter, r *http.Request) {
	if h.deny.Load() {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { h.mu.Lock(); delete(h.conns, c); h.mu.Unlock() }()
	for {
		_, b, err := c.Read(context.Background())
		if err != nil {
			return
		}
		var m struct {
			Type string                    `json:"event_type"`
			Data struct{ Events []string } `json:"data"`
		}
		if json.Unmarshal(b, &m) == nil && m.Type == "subscribe" {
			h.mu.Lock()
			h.conns[c] = m.Data.Events[0]
			h.mu.Unlock()
		}
	}
}

func (h *hub) publish(w http.ResponseWriter, r *http.Request) {
	h.posts.Add(1)
	if h.deny.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	b, _ := io.ReadAll(r.Body)
	var m struct{ Topic string }
	_ = json.Unmarshal(b, &m)
	if h.mute.Load() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for c, topic := range h.conns {
		if topic == m.Topic {
			_ = c.Write(r.Context(), websocket.MessageText, []byte(`{"event_type":"notification","data":`+string(b)+`}`))
			_ = c.Write(r.Context(), websocket.MessageText, []byte(`{"event_type":"notification","data":`+string(b)+`}`)) // twice, as some do
		}
	}
}

// cut breaks every connection without a close frame.
func (h *hub) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.conns {
		_ = c.CloseNow()
	}
}

func (h *hub) subscribers() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns)
}

func startWS(t *testing.T, h *hub) *wsCheck { return startWSOver(t, h, nil) }

func startWSOver(t *testing.T, h *hub, over *drills.TLS) *wsCheck {
	t.Helper()
	c, err := newWebSocketCheck(drills.ProbeSpec{TLS: over, URL: strings.Replace(h.URL, "http", "ws", 1) + "/ws", PublishURL: h.URL + "/publish", Topic: "drill", Timeout: ms(300)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	opened, done := make(chan struct{}, 100), make(chan struct{})
	go func() { defer close(done); c.keep(ctx, func() { opened <- struct{}{} }) }()
	t.Cleanup(func() { cancel(); <-done })
	<-opened
	return c
}

func TestWebSocketDelivery(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c := startWS(t, h)
	if r := probeOnce(t, c, time.Second); r.class != Good {
		t.Fatal(r)
	}
	var wg sync.WaitGroup
	for seq := range int64(10) { // overlapping probes do not take each other's messages
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if r := c.check(ctx, 100+seq); r.class != Good {
				t.Error(r)
			}
		})
	}
	wg.Wait()
	h.mute.Store(true)
	if r := probeOnce(t, c, 100*time.Millisecond); r.class != Timeout || !strings.Contains(r.text, "not delivered") {
		t.Errorf("published, not delivered: %v", r)
	}
	h.mute.Store(false)
	h.deny.Store(true)
	if r := probeOnce(t, c, time.Second); r.class != Failed || r.text != "HTTP 503" {
		t.Errorf("publishing refused: %v", r)
	}
}

// A broken subscription is an outage of those who watch it, until it stands again.
// Subscribing and publishing both go over TLS; who does not trust the server's certificate gets nothing.
func TestWebSocketOverTLS(t *testing.T) {
	t.Parallel()
	h := startHub(t, httptest.NewTLSServer)
	h.Config.ErrorLog = log.New(io.Discard, "", 0)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}))
	c := startWSOver(t, h, &drills.TLS{CA: ca, ServerName: "example.com"})
	eventually(t, "a delivery over wss", func() bool { return probeOnce(t, c, time.Second).class == Good })
	if r := probeOnce(t, startWSOver(t, h, &drills.TLS{ServerName: "example.com"}), time.Second); r.class != Failed {
		t.Errorf("a certificate that nobody vouches for: %s (%s)", r.class, r.text)
	}
}

func TestWebSocketReconnects(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c := startWS(t, h)
	h.deny.Store(true)
	h.cut()
	eventually(t, "the loss to be noticed", func() bool { up, _ := c.sub.state(); return !up })
	eventually(t, "the refusal", func() bool { return probeOnce(t, c, time.Second).class == Unauthorised })
	posts := h.posts.Load()
	if probeOnce(t, c, time.Second); h.posts.Load() != posts {
		t.Error("published although nobody could receive it")
	}
	h.deny.Store(false)
	eventually(t, "the subscription", func() bool { return h.subscribers() == 1 })
	eventually(t, "delivery", func() bool { return probeOnce(t, c, time.Second).class == Good })
}

// A probe that waits for its message while the connection breaks fails at once, not at its timeout.
func TestWebSocketBreaksWhileWaiting(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c := startWS(t, h)
	h.mute.Store(true)
	got := make(chan result, 1)
	go func() { got <- c.check(t.Context(), 1) }()
	eventually(t, "the post", func() bool { return h.posts.Load() > 0 })
	h.cut()
	select {
	case r := <-got:
		if !r.class.Bad() || r.class == Timeout {
			t.Errorf("%v", r)
		}
	case <-time.After(3 * time.Second):
		t.Error("still waiting")
	}
}

func TestWebSocketNobodyThere(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.Close()
	c := startWS(t, h)
	if r := probeOnce(t, c, time.Second); r.class != Refused {
		t.Errorf("%v", r)
	}
}

func TestWebSocketBody(t *testing.T) {
	t.Parallel()
	c, err := newWebSocketCheck(drills.ProbeSpec{Body: `{"text":"{id}","to":"{topic}"}`, Topic: "a"})
	if err != nil {
		t.Fatal(err)
	}
	body := c.body(7)
	if body != `{"text":"`+c.mark+`7.","to":"a"}` {
		t.Error(body)
	}
	back := c.await(7)
	c.arrived([]byte("noise"))
	c.arrived([]byte(c.mark + "x."))
	c.arrived([]byte(c.mark + "8."))
	if len(back) != 0 {
		t.Error("took a message that was not its own")
	}
	c.arrived([]byte("<" + body + ">"))
	if r := <-back; r.class != Good {
		t.Error(r)
	}
	if u := address("ws://h/ws?token={token}", "T"); u != "ws://h/ws?token=T" {
		t.Error(u)
	}
}
