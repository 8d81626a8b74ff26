package verifier

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

const (
	loginTimeout  = 3 * time.Second
	loginRetry    = 500 * time.Millisecond
	loginDefault  = 5 * time.Minute // renewal when the server does not say how long a token lives
	loginLongest  = 12 * time.Hour
	answerAtMost  = 1 << 20
	earliestRenew = time.Second
)

// session holds a bearer token, renewed at 80 % of its life and after a 401.
type session struct {
	client *http.Client
	dial   *dialer
	login  drills.Login
	renew  chan struct{}

	mu    sync.Mutex
	token string
	last  result // of the last attempt, when there is no token
}

func newSession(client *http.Client, d *dialer, l drills.Login) *session {
	return &session{
		client: client, dial: d, login: l, renew: make(chan struct{}, 1),
		last: result{Observer, "not logged in yet"},
	}
}

// get returns the token, or why there is none.
func (s *session) get() (string, result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token, s.last
}

// refused asks for a new token after a 401 for this one; the old one stays in use meanwhile.
func (s *session) refused() {
	select {
	case s.renew <- struct{}{}:
	default:
	}
}

// keep logs in and renews until ctx is done.
func (s *session) keep(ctx context.Context, opened func()) {
	for {
		life, err := s.attempt(ctx)
		opened()
		wait := max(life*4/5, earliestRenew)
		if err != nil {
			wait = loginRetry
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		case <-s.renew:
			t.Stop()
			if !drills.Wait(ctx, loginRetry) { // a server that refuses every token must not be hammered
				return
			}
		}
	}
}

func (s *session) attempt(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	token, life, err := s.post(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.token = token
		return life, nil
	}
	var st statusError
	if errors.As(err, &st) {
		s.last = ofStatus(int(st), nil)
	} else {
		s.last = transport(err, s.dial.known(hostOfURL(s.login.URL)))
	}
	s.last.text = clip("login: " + s.last.text)
	return 0, err
}

type statusError int

func (e statusError) Error() string { return fmt.Sprintf("HTTP %d", int(e)) }

func (s *session) post(ctx context.Context) (string, time.Duration, error) {
	form := url.Values{"username": {s.login.Username}, "password": {s.login.Password}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.login.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := s.client.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return "", 0, statusError(resp.StatusCode)
	}
	var body map[string]any
	if err := json.NewDecoder(io.LimitReader(resp.Body, answerAtMost)).Decode(&body); err != nil {
		return "", 0, fmt.Errorf("login answer is not JSON: %w", err)
	}
	field := s.login.Field
	if field == "" {
		field = "access_token"
	}
	token, _ := body[field].(string)
	if token == "" {
		return "", 0, fmt.Errorf("login answer has no %q", field)
	}
	return token, lifeOf(token, body, time.Now()), nil
}

// lifeOf is how long a token lives: expires_in (seconds) if the server said so, else the exp claim of a JWT.
func lifeOf(token string, body map[string]any, now time.Time) time.Duration {
	life := loginDefault
	if in, ok := body["expires_in"].(float64); ok && in > 0 {
		life = time.Duration(in * float64(time.Second))
	} else if exp, ok := expiry(token); ok {
		life = exp.Sub(now)
	}
	return min(max(life, earliestRenew), loginLongest)
}

// expiry reads the exp claim without checking the signature: the token is the server's own.
func expiry(token string) (time.Time, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return time.Time{}, false
	}
	var claims struct {
		Exp float64 `json:"exp"`
	}
	if json.Unmarshal(raw, &claims) != nil || claims.Exp <= 0 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(claims.Exp * 1000)), true
}
