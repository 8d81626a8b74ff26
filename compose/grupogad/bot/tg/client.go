// Package tg is the bot's side of the Telegram Bot API: one call, and sending that does not give up.
package tg

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 4 << 20

// Error is an answer of Telegram that is no success.
type Error struct {
	Status      int
	Description string
	RetryAfter  time.Duration // when Telegram says so (429)
}

func (e *Error) Error() string { return fmt.Sprintf("telegram: %d %s", e.Status, e.Description) }

// Client makes calls. It never retries.
type Client struct {
	base  string // with the token, so never to be logged
	token string
	http  *http.Client
}

// New makes a client of the API at url, such as http://telegram:8081.
func New(url, token string) *Client {
	tr := &http.Transport{MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute, DisableCompression: true}
	return &Client{base: strings.TrimSuffix(url, "/") + "/bot" + token + "/", token: token, http: &http.Client{Transport: tr}}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Call makes one call; into may be nil.
func (c *Client) Call(ctx context.Context, method string, params, into any) error {
	body, err := json.Marshal(params)
	if err != nil {
		return fmt.Errorf("telegram %s: %w", method, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+method, bytes.NewReader(body))
	if err != nil {
		return errors.New("telegram " + method + ": the address cannot be used (not shown, it holds the token)")
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("telegram %s: %w", method, c.hidden(err))
	}
	defer res.Body.Close()
	return read(res, method, into)
}

func read(res *http.Response, method string, into any) error {
	var answer struct {
		OK          bool            `json:"ok"`
		Result      json.RawMessage `json:"result"`
		Description string          `json:"description"`
		Parameters  struct {
			RetryAfter int `json:"retry_after"`
		} `json:"parameters"`
	}
	err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&answer)
	switch {
	case res.StatusCode != http.StatusOK || (err == nil && !answer.OK):
		return &Error{Status: res.StatusCode, Description: answer.Description, RetryAfter: time.Duration(answer.Parameters.RetryAfter) * time.Second}
	case err != nil:
		return fmt.Errorf("telegram %s: the answer cannot be read: %w", method, err)
	case into == nil:
		return nil
	}
	if err := json.Unmarshal(answer.Result, into); err != nil {
		return fmt.Errorf("telegram %s: %w", method, err)
	}
	return nil
}

// hidden takes the token out of what net/http says: its errors carry the whole URL.
func (c *Client) hidden(err error) error { return &hiddenError{err, c.token} }

type hiddenError struct {
	err   error
	token string
}

func (h *hiddenError) Error() string { return strings.ReplaceAll(h.err.Error(), h.token, "…") }
func (h *hiddenError) Unwrap() error { return h.err }

// Message is one to send.
type Message struct {
	ChatID  int64
	Text    string
	ReplyTo int64  // 0: none
	Button  string // callback data of a button "Recibido"; empty: none
}

func (m Message) params() map[string]any {
	p := map[string]any{"chat_id": m.ChatID, "text": m.Text}
	if m.ReplyTo != 0 {
		p["reply_parameters"] = map[string]any{"message_id": m.ReplyTo}
	}
	if m.Button != "" {
		p["reply_markup"] = map[string]any{"inline_keyboard": [][]map[string]string{{{"text": "Recibido", "callback_data": m.Button}}}}
	}
	return p
}

// The parts of an update that the bot looks at.
type (
	// Update is one thing that a user did.
	Update struct {
		ID       int64     `json:"update_id"`
		Message  *Incoming `json:"message"`
		Callback *Callback `json:"callback_query"`
	}
	// Incoming is a message of a user.
	Incoming struct {
		ID   int64 `json:"message_id"`
		From struct {
			ID int64 `json:"id"`
		} `json:"from"`
		Chat struct {
			ID int64 `json:"id"`
		} `json:"chat"`
		Text string `json:"text"`
	}
	// Callback is a tap on a button.
	Callback struct {
		ID   string `json:"id"`
		Data string `json:"data"`
	}
)

// Updates waits up to wait for updates from offset on; asking for them confirms all before.
func (c *Client) Updates(ctx context.Context, offset int64, wait time.Duration) ([]Update, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+pollSlack)
	defer cancel()
	var out []Update
	err := c.Call(ctx, "getUpdates", map[string]any{"offset": offset, "timeout": int(wait.Seconds()), "limit": 100}, &out)
	return out, err
}

// pollSlack is how much longer than it was asked to a long poll may take before the connection counts as dead.
const pollSlack = 3 * time.Second
