package epoll

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/gorilla/websocket"
	"pgregory.net/rapid"
)

const testLimit = 1 << 20

// fed is what the parser makes of parts: the messages as text, and its error.
func fed(parts ...[]byte) ([]string, error) {
	var p Parser
	var got []string
	for _, part := range parts {
		err := p.Feed(bytes.Clone(part), testLimit, func(op byte, payload []byte) error {
			got = append(got, fmt.Sprintf("%d:%s", op, payload))
			return nil
		})
		if err != nil {
			return got, err
		}
	}
	return got, nil
}

func frames(list ...ws.Frame) []byte {
	var wire []byte
	for _, f := range list {
		wire = append(wire, ws.MustCompileFrame(f)...)
	}
	return wire
}

var aConversation = frames(
	ws.NewTextFrame([]byte("one")), ws.NewFrame(ws.OpText, false, []byte("two-")), ws.NewPingFrame([]byte("p")),
	ws.NewFrame(ws.OpContinuation, false, []byte("\xc3")), ws.NewPongFrame(nil), ws.NewFrame(ws.OpContinuation, true, []byte("\xb1")),
	ws.NewBinaryFrame(bytes.Repeat([]byte{0xff}, 300)), ws.NewFrame(ws.OpBinary, false, nil), ws.NewFrame(ws.OpContinuation, true, bytes.Repeat([]byte("y"), 70000)),
	ws.NewCloseFrame(ws.NewCloseFrameBody(1012, "service restart")),
)

// Any split of a stream into reads gives the same messages and the same end.
func TestParserDoesNotCareHowItIsRead(t *testing.T) {
	want, wantErr := fed(aConversation)
	if len(want) != 7 || wantErr == nil || want[2] != "10:" || want[3] != "1:two-ñ" {
		t.Fatalf("%.60q, %v", want, wantErr)
	}
	rapid.Check(t, func(t *rapid.T) {
		cuts := rapid.SliceOfN(rapid.IntRange(0, len(aConversation)), 0, 12).Draw(t, "cuts")
		cuts = append(cuts, rapid.SliceOfN(rapid.IntRange(0, 40), 0, 40).Draw(t, "early")...)
		slices.Sort(cuts)
		var parts [][]byte
		at := 0
		for _, c := range append(cuts, len(aConversation)) {
			parts = append(parts, aConversation[at:c])
			at = c
		}
		got, err := fed(parts...)
		if !slices.Equal(got, want) || !errors.Is(err, wantErr) {
			t.Fatalf("cut at %v: %.60q, %v", cuts, got, err)
		}
	})
}

func TestParserRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		wire []byte
		code uint16
	}{
		"masked":                       {ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte("x")))), codeProtocol},
		"reserved bits":                {[]byte{0xC1, 0x01, 'x'}, codeProtocol},
		"reserved opcode":              {[]byte{0x83, 0x00}, codeProtocol},
		"fragmented ping":              {[]byte{0x09, 0x00}, codeProtocol},
		"long ping":                    {[]byte{0x89, 126, 0, 126}, codeProtocol},
		"continuation of nothing":      {[]byte{0x80, 0x00}, codeProtocol},
		"a message inside another":     {[]byte{0x01, 0x00, 0x81, 0x00}, codeProtocol},
		"huge":                         {[]byte{0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0}, codeTooBig},
		"negative":                     {[]byte{0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0}, codeProtocol},
		"many parts":                   {frames(ws.NewFrame(ws.OpBinary, false, make([]byte, testLimit)), ws.NewFrame(ws.OpContinuation, false, make([]byte, 1))), codeTooBig},
		"text that is not UTF-8":       {frames(ws.NewTextFrame([]byte{0xff})), codeText},
		"close of one byte":            {[]byte{0x88, 1, 3}, codeProtocol},
		"close code 1005":              {frames(ws.NewCloseFrame([]byte{3, 0xED})), codeProtocol},
		"close reason that isn't text": {frames(ws.NewCloseFrame([]byte{3, 0xE8, 0xff})), codeText},
	} {
		_, err := fed(c.wire)
		var p ProtocolError
		if !errors.As(err, &p) || p.Code != c.code {
			t.Errorf("%s: %v, want code %d", name, err, c.code)
		}
	}
	if _, err := fed(frames(ws.NewCloseFrame(nil))); err != (CloseError{Code: 1005}) {
		t.Errorf("an empty close: %v", err)
	}
}

// gobwasSees is what gobwas/ws makes of the same bytes.
func gobwasSees(wire []byte) (got []string) {
	note := func(h ws.Header, r io.Reader) error {
		b, err := io.ReadAll(r)
		if h.OpCode.IsControl() && int64(len(b)) < h.Length {
			err = io.ErrUnexpectedEOF // it was cut off, which gobwas does not say
		}
		if h.OpCode == ws.OpText && !utf8.Valid(b) {
			err = wsutil.ErrInvalidUTF8 // checked at the end, as we do: gobwas stops at the first wrong byte
		}
		if err == nil {
			got = append(got, fmt.Sprintf("%d:%s", h.OpCode, b))
		}
		if h.OpCode == ws.OpClose {
			err = io.EOF // nothing after it counts
		}
		return err
	}
	src := bytes.NewReader(wire)
	r := wsutil.Reader{Source: src, State: ws.StateClientSide, OnIntermediate: note}
	for {
		h, err := r.NextFrame()
		if err != nil || h.Length > testLimit || note(h, &r) != nil || h.OpCode == ws.OpClose {
			return got
		}
	}
}

// gorillaSees is what gorilla/websocket makes of the same bytes; it does not check UTF-8 by itself.
func gorillaSees(wire []byte) (got []string) {
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		req := make([]byte, 4096)
		n, _ := far.Read(req)
		_, key, _ := strings.Cut(string(req[:n]), "Sec-WebSocket-Key: ")
		key, _, _ = strings.Cut(key, "\r\n")
		_, _ = fmt.Fprintf(far, "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", acceptOf(key))
		go func() { _, _ = io.Copy(io.Discard, far) }()
		_, _ = far.Write(wire)
	}()
	d := websocket.Dialer{NetDial: func(string, string) (net.Conn, error) { return near, nil }}
	c, _, err := d.Dial("ws://x/", nil)
	if err != nil {
		return nil
	}
	defer c.Close()
	note := func(op int) func(string) error {
		return func(s string) error { got = append(got, fmt.Sprintf("%d:%s", op, s)); return nil }
	}
	c.SetPingHandler(note(9))
	c.SetPongHandler(note(10))
	for {
		op, b, err := c.ReadMessage()
		if err != nil {
			return got
		}
		got = append(got, fmt.Sprintf("%d:%s", op, b))
	}
}

// FuzzParser: whatever comes, the same messages as gobwas and gorilla see, up to where one of them stops.
func FuzzParser(f *testing.F) {
	f.Add(aConversation, 7)
	f.Add(frames(ws.NewTextFrame([]byte("hello"))), 1)
	f.Add([]byte{0x81, 126, 0, 1, 'x', 0x89, 0, 0x01, 1, 'a', 0x80, 1, 'b'}, 3)
	f.Fuzz(func(t *testing.T, wire []byte, cut int) {
		if len(wire) > 4096 {
			return
		}
		got, err := fed(wire)
		cut = min(max(cut, 0), len(wire))
		again, errAgain := fed(wire[:cut], wire[cut:])
		if !slices.Equal(got, again) || fmt.Sprint(err) != fmt.Sprint(errAgain) {
			t.Fatalf("cut at %d: %q %v, in one read %q %v", cut, again, errAgain, got, err)
		}
		var p ProtocolError
		whole := !errors.As(err, &p)
		theirs := gobwasSees(wire)
		lax := theirs
		if i := slices.IndexFunc(theirs, func(s string) bool { return strings.HasPrefix(s, "8:") }); i >= 0 {
			lax = theirs[:i] // it reads on after a close frame; nothing may follow one (RFC 6455, 5.5.1)
		}
		if whole && len(lax) != len(dataOf(got)) || !prefix(dataOf(got), lax) {
			t.Fatalf("gobwas sees %q, we %q (%v)", theirs, got, err)
		}
		if g := gorillaSees(wire); !prefix(dataOf(got), g) {
			t.Fatalf("gorilla sees %q, we %q (%v)", g, got, err)
		}
	})
}

// dataOf is all but the close frame, which libraries treat apart.
func dataOf(got []string) []string {
	return slices.DeleteFunc(slices.Clone(got), func(s string) bool { return strings.HasPrefix(s, "8:") })
}

func prefix(a, b []string) bool { return len(a) <= len(b) && slices.Equal(a, b[:len(a)]) }

// What we write is what gobwas reads as a client's frame.
func TestFramesOutAreMasked(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536} {
		want := bytes.Repeat([]byte("z"), n)
		f, err := ws.ReadFrame(bytes.NewReader(appendFrame(nil, OpText, want, [4]byte{1, 2, 3, 4})))
		if err != nil || !f.Header.Masked || !f.Header.Fin || !bytes.Equal(ws.UnmaskFrame(f).Payload, want) {
			t.Errorf("%d bytes: %+v, %v", n, f.Header, err)
		}
	}
}

func TestHandshakeAnswers(t *testing.T) {
	key := nonce([2]uint64{1, 2}, 3, 4)
	if again := nonce([2]uint64{1, 2}, 3, 4); again != key || nonce([2]uint64{1, 2}, 3, 5) == key || len(key) != 24 {
		t.Errorf("keys %q and %q", key, again)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _, _, _ = ws.UpgradeHTTP(r, w)
	}))
	defer s.Close()
	c, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = c.Write(appendRequest(nil, "/a?b=c", "host", key, "X-More: 1\r\n"))
	buf := make([]byte, 4096)
	n, _ := c.Read(buf)
	good := buf[:n]
	for cut := range n {
		if size, err := parseAnswer(good[:cut], key); size != 0 || err != nil {
			t.Fatalf("%d bytes of the answer: %d, %v", cut, size, err)
		}
	}
	if size, err := parseAnswer(append(good, 0x81, 0), key); size != n || err != nil {
		t.Errorf("a real answer: %d of %d, %v", size, n, err)
	}
	if _, err := parseAnswer(good, "another"); err == nil {
		t.Error("an answer to another key was taken")
	}
	for answer, want := range map[string]string{
		"HTTP/1.1 503 no\r\n\r\n": "503", "SSH-2.0\r\n\r\n": "not HTTP", strings.Repeat("x", maxAnswer+1): "more than",
		"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: keep-alive\r\nSec-WebSocket-Accept: " + acceptOf(key) + "\r\n\r\n": "connection false",
		"HTTP/1.1 101 x\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n":                                                "extension",
	} {
		if _, err := parseAnswer([]byte(answer), key); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", answer, err, want)
		}
	}
}
