// Package backend is what the bot asks of the API.
package backend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/apierr"
	"github.com/eevans-d/simulacro/compose/grupogad/api/breaker"
)

const (
	timeout   = 2 * time.Second
	maxAnswer = 1 << 20
	// A command may take 2 s at p95, so there is time for one more try and no more.
	tries   = 2
	between = 150 * time.Millisecond
)

// Options says where the API is and who asks.
type Options struct {
	URL, User, Password string
	Circuit             *breaker.Breaker
	Retried             func()
}

// Client asks the API, with a token that it keeps.
type Client struct {
	o    Options
	http *http.Client

	mu    sync.Mutex
	token string
}

// New connects to nothing yet.
func New(o Options) *Client {
	o.URL = strings.TrimSuffix(o.URL, "/")
	return &Client{o: o, http: &http.Client{Timeout: timeout, Transport: &http.Transport{MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute}}}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Task is what the bot shows of a task.
type Task struct {
	ID          int     `json:"id"`
	Codigo      string  `json:"codigo"`
	Titulo      string  `json:"titulo"`
	Descripcion *string `json:"descripcion"`
	Estado      string  `json:"estado"`
}

// Stats are the counters of one user.
type Stats struct {
	Total     int `json:"total"`
	Open      int `json:"open"`
	Completed int `json:"completed"`
}

// Create makes a task. mark tells a request that is made again from somebody else's task with the same code: whoever gets
// "exists already" looks whose it is.
func (c *Client) Create(ctx context.Context, codigo, titulo, mark string) (Task, error) {
	var t Task
	body := map[string]any{"codigo": codigo, "titulo": titulo, "descripcion": mark, "tipo": "ADMINISTRATIVA"}
	err := c.do(ctx, http.MethodPost, "/tasks/", body, &t)
	if !clientSays(err, http.StatusBadRequest) {
		return t, err
	}
	there, ferr := c.ByCode(ctx, codigo)
	if ferr == nil && there.Descripcion != nil && *there.Descripcion == mark {
		return there, nil
	}
	return t, err
}

// ByCode finds a task by its code.
func (c *Client) ByCode(ctx context.Context, codigo string) (Task, error) {
	var t Task
	err := c.do(ctx, http.MethodGet, "/tasks/code/"+url.PathEscape(codigo), nil, &t)
	return t, err
}

// Finish ends a task.
func (c *Client) Finish(ctx context.Context, codigo string) (Task, error) {
	t, err := c.ByCode(ctx, codigo)
	if err != nil {
		return t, err
	}
	err = c.do(ctx, http.MethodPut, fmt.Sprint("/tasks/", t.ID), map[string]any{"estado": "finalizada"}, &t)
	return t, err
}

// Recent are the newest tasks, newest first.
func (c *Client) Recent(ctx context.Context, n int) ([]Task, error) {
	var out []Task
	err := c.do(ctx, http.MethodGet, fmt.Sprint("/tasks/recent?limit=", n), nil, &out)
	return out, err
}

// Stats counts the bot's user's tasks of the last 30 days.
func (c *Client) Stats(ctx context.Context) (Stats, error) {
	var s Stats
	err := c.do(ctx, http.MethodGet, "/stats/user/1?days=30&use_cache=false", nil, &s)
	return s, err
}

// do asks through the breaker, and once more when the API did not answer or answered 5xx.
func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	var err error
	for try := range tries {
		if try > 0 {
			c.o.Retried()
			if !wait(ctx) {
				return err
			}
		}
		err = c.o.Circuit.Do(ctx, func(ctx context.Context) error { return c.authorised(ctx, method, path, in, out) })
		if err == nil || apierr.IsClient(err) || errors.Is(err, breaker.ErrOpen) || ctx.Err() != nil {
			return err
		}
	}
	return err
}

func wait(ctx context.Context) bool {
	t := time.NewTimer(between)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// authorised logs in when there is no token or it is not taken any more.
func (c *Client) authorised(ctx context.Context, method, path string, in, out any) error {
	token, err := c.login(ctx, "")
	if err != nil {
		return err
	}
	err = c.once(ctx, method, path, token, in, out)
	if clientSays(err, http.StatusUnauthorized) || clientSays(err, http.StatusForbidden) {
		if token, err = c.login(ctx, token); err == nil {
			err = c.once(ctx, method, path, token, in, out)
		}
	}
	return err
}

// login returns the token; stale is one that is not to be used any more.
func (c *Client) login(ctx context.Context, stale string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != "" && c.token != stale {
		return c.token, nil
	}
	form := url.Values{"username": {c.o.User}, "password": {c.o.Password}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.o.URL+"/auth/login", strings.NewReader(form.Encode()))
	if err != nil {
		return "", fmt.Errorf("api login: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var got struct {
		Token string `json:"access_token"`
	}
	if err := c.send(req, &got); err != nil {
		return "", err
	}
	c.token = got.Token
	return c.token, nil
}

func (c *Client) once(ctx context.Context, method, path, token string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("api: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.o.URL+path, body)
	if err != nil {
		return fmt.Errorf("api: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	return c.send(req, out)
}

func (c *Client) send(req *http.Request, out any) error {
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("api: %w", err)
	}
	defer res.Body.Close()
	body := io.LimitReader(res.Body, maxAnswer)
	if res.StatusCode/100 != 2 {
		var said struct {
			Detail string `json:"detail"`
		}
		_ = json.NewDecoder(body).Decode(&said) // the status says enough
		return &apierr.Error{Status: res.StatusCode, Detail: said.Detail}
	}
	if err := json.NewDecoder(body).Decode(out); err != nil {
		return fmt.Errorf("api: the answer cannot be read: %w", err)
	}
	return nil
}

func clientSays(err error, status int) bool {
	var e *apierr.Error
	return errors.As(err, &e) && e.Status == status
}
