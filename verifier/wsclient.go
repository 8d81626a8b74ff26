package verifier

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/coder/websocket"
)

// wsClient is what publishing over HTTP and receiving over WebSocket share: who we are, and how a topic is asked for.
type wsClient struct {
	client  *http.Client
	dial    *dialer
	session *session // nil: no login
	headers map[string]string
	topic   string
}

// newMark begins every message of one sender, so that nobody else's is taken for it.
func newMark() string { return "smlcr-" + rand.Text()[:8] + "-" }

func (c *wsClient) token() (string, result) {
	if c.session == nil {
		return "", good()
	}
	return c.session.get()
}

// posting is the request that publishes a message.
func (c *wsClient) posting(url, token, body string) request {
	r := request{
		client: c.client, dial: c.dial, method: http.MethodPost, url: url, token: token,
		body: body, headers: map[string]string{"Content-Type": "application/json"},
	}
	for k, v := range c.headers {
		r.headers[k] = v
	}
	return r
}

// message is what is published: the template with {id} and {topic} filled in, else a small envelope with the id as content.
func (c *wsClient) message(template, id string) string {
	if template != "" {
		return strings.NewReplacer("{id}", id, "{topic}", c.topic).Replace(template)
	}
	msg := map[string]string{"title": "simulacro probe", "content": id, "level": "info"}
	if c.topic != "" {
		msg["topic"] = c.topic
	}
	b, _ := json.Marshal(msg)
	return string(b)
}

// connect opens a connection and asks for the topic.
func (c *wsClient) connect(ctx context.Context, url string) (*websocket.Conn, result) {
	token, why := c.token()
	if c.session != nil && token == "" {
		return nil, why
	}
	opts := &websocket.DialOptions{HTTPClient: c.client, HTTPHeader: http.Header{}}
	for k, v := range c.headers {
		opts.HTTPHeader.Set(k, v)
	}
	if token != "" {
		opts.HTTPHeader.Set("Authorization", "Bearer "+token)
	}
	conn, resp, err := websocket.Dial(ctx, address(url, token), opts) //nolint:bodyclose // the library closes it
	if err != nil {
		return nil, c.classify(url, resp, err)
	}
	conn.SetReadLimit(wsFrameMax)
	if hello := c.greeting(); hello != "" {
		if err := conn.Write(ctx, websocket.MessageText, []byte(hello)); err != nil {
			_ = conn.CloseNow()
			return nil, c.classify(url, nil, err)
		}
	}
	return conn, good()
}

// address is the subscription's URL; {token} in it is replaced by the token, for servers that want it there.
func address(url, token string) string { return strings.ReplaceAll(url, "{token}", token) }

// greeting is sent after connecting: a subscription to the topic.
func (c *wsClient) greeting() string {
	if c.topic == "" {
		return ""
	}
	b, _ := json.Marshal(map[string]any{"event_type": "subscribe", "data": map[string]any{"events": []string{c.topic}}})
	return string(b)
}

func (c *wsClient) classify(url string, resp *http.Response, err error) result {
	if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
		r := ofStatus(resp.StatusCode, resp.Header)
		r.text = clip(fmt.Sprintf("websocket: %s", r.text))
		if r.class == Unauthorised && c.session != nil {
			c.session.refused()
		}
		return r
	}
	r := transport(err, c.dial.known(hostOfURL(url)))
	r.text = clip("websocket: " + r.text)
	return r
}
