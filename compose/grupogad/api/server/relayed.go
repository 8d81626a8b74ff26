package server

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"

	"github.com/eevans-d/simulacro/compose/grupogad/api/hub"
)

const (
	// canaryTopics begin the topics whose messages are remembered.
	canaryTopics = "simulacro-"
	keepRelayed  = 20_000
)

// relayedMessage is a broadcast of another instance that reached this one.
type relayedMessage struct {
	ID      string `json:"id"`
	Content string `json:"content"`
	Via     string `json:"via"`
}

// RelayLog remembers which broadcasts of other instances arrived here, for drills that read them back. It exists in the reference
// environment only.
type RelayLog struct {
	own string // our own echo is no arrival

	mu   sync.Mutex
	list []relayedMessage
	gone map[string]bool // removed before they came
}

// NewRelayLog makes an empty log for the process with this origin.
func NewRelayLog(origin string) *RelayLog { return &RelayLog{own: origin, gone: map[string]bool{}} }

// Note wraps a function that delivers what came by way of via.
func (l *RelayLog) Note(via string, deliver func([]byte) error) func([]byte) error {
	return func(payload []byte) error {
		l.add(via, payload)
		return deliver(payload)
	}
}

func (l *RelayLog) add(via string, payload []byte) {
	var e hub.Envelope
	if json.Unmarshal(payload, &e) != nil || e.Topic == nil || !strings.HasPrefix(*e.Topic, canaryTopics) || e.RoutingMetadata.Origin == l.own {
		return
	}
	var data struct {
		Content string `json:"content"`
	}
	_ = json.Unmarshal(e.Data, &data) // anything but a text is kept as none
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone[e.MessageID] {
		return
	}
	l.list = append(l.list, relayedMessage{e.MessageID, data.Content, via})
	if len(l.list) > keepRelayed+keepRelayed/4 {
		l.list = append([]relayedMessage(nil), l.list[len(l.list)-keepRelayed:]...)
	}
}

func (l *RelayLog) page(via string, skip, limit int) []relayedMessage {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := []relayedMessage{}
	for _, m := range l.list {
		switch {
		case m.Via != via:
		case skip > 0:
			skip--
		case len(out) < limit:
			out = append(out, m)
		}
	}
	return out
}

// forget removes a message; one that comes later is not kept.
func (l *RelayLog) forget(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.list[:0]
	for _, m := range l.list {
		if m.ID != id {
			kept = append(kept, m)
		}
	}
	if len(kept) == len(l.list) {
		if len(l.gone) >= keepRelayed {
			clear(l.gone)
		}
		l.gone[id] = true
	}
	l.list = kept
}

func (s *Server) relayed(w http.ResponseWriter, r *http.Request) error {
	skip, err := queryInt(r, "skip", 0, 0, 1<<30)
	if err != nil {
		return err
	}
	limit, err := queryInt(r, "limit", 100, 1, 10_000)
	if err != nil {
		return err
	}
	return ok(w, s.Relayed.page(r.URL.Query().Get("via"), skip, limit))
}

func (s *Server) forgetRelayed(w http.ResponseWriter, r *http.Request) error {
	s.Relayed.forget(r.PathValue("id"))
	return ok(w, map[string]string{"status": "removed"})
}
