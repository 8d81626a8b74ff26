package hub

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

func TestShutdownClosesWith1012AndRefusesNewOnes(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, nil)
	p := connect(t, h, "1", "LEVEL_1")
	done := make(chan struct{})
	go func() { h.Shutdown(t.Context()); close(done) }()
	f, err := ws.ReadFrame(p.conn)
	if err != nil || f.Header.OpCode != ws.OpClose {
		t.Fatalf("got %v %v, want a close frame", f.Header, err)
	}
	if code, _ := ws.ParseCloseFrameData(f.Payload); code != 1012 {
		t.Errorf("closed with %d, want 1012", code)
	}
	if err := ws.WriteFrame(p.conn, ws.MaskFrame(ws.NewCloseFrame(f.Payload))); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("Shutdown still waits though the peer answered")
	}
	if _, err := dial(t, h, Identity{}); err == nil {
		t.Error("a connection was accepted after the shutdown")
	}
}

func TestPeersCloseAndPingAreAnswered(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, nil)
	p := connect(t, h, "1", "LEVEL_1")
	for _, f := range []ws.Frame{ws.NewPingFrame([]byte("are you there")), ws.NewCloseFrame(ws.NewCloseFrameBody(1000, ""))} {
		if err := ws.WriteFrame(p.conn, ws.MaskFrame(f)); err != nil {
			t.Fatal(err)
		}
	}
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	pong, err := ws.ReadFrame(p.conn)
	if err != nil || pong.Header.OpCode != ws.OpPong || string(pong.Payload) != "are you there" {
		t.Fatalf("ping was answered by %v %q %v", pong.Header.OpCode, pong.Payload, err)
	}
	end, err := ws.ReadFrame(p.conn)
	if err != nil || end.Header.OpCode != ws.OpClose {
		t.Fatalf("close was answered by %v %v", end.Header.OpCode, err)
	}
	if _, err := p.conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the close: %v, want the connection ended", err)
	}
	eventually(t, "the connection is forgotten", func() bool { return h.Stats().Connections == 0 })
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, nil)
	p := connect(t, h, "1", "LEVEL_1")
	p.say("{not json")
	if e := p.next(); e.EventType != EventError || !strings.Contains(string(e.Data), "Invalid JSON format") {
		t.Errorf("bad JSON was answered by %s %s", e.EventType, e.Data)
	}
	p.say(`{"event_type":"nobody knows"}`) // no answer; the connection stays
	p.subscribe("still here")
	_ = wsutil.WriteClientText(p.conn, make([]byte, maxInbound+1)) // may be cut while writing
	eventually(t, "the sender of a giant message is dropped", func() bool { return h.Stats().Connections == 0 })
}
