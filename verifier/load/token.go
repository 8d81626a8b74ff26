package load

import (
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

	"github.com/eevans-d/simulacro/drills"
)

const (
	loginTimeout = 5 * time.Second
	loginRetry   = 500 * time.Millisecond
	tokenLife    = 5 * time.Minute // when the answer does not say
)

// session is one login shared by everything in this process. It renews the token at 80 % of its life, and when the
// target refuses it. The zero login gives no token.
type session struct {
	client *http.Client
	login  *drills.Login

	mu    sync.Mutex // held while logging in: everybody needs the answer
	token string
	renew time.Time
	ends  time.Time // of the token; not later than its real end
	tried time.Time
	err   error // of the last attempt
}

// get implements tokens.
func (s *session) get(ctx context.Context) (string, error) {
	if s.login == nil {
		return "", nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.token != "" && now.Before(s.renew) {
		return s.token, nil
	}
	if s.err != nil && now.Sub(s.tried) < loginRetry {
		return "", s.err
	}
	token, life, err := s.post(ctx)
	s.tried, s.err = now, err
	if err != nil {
		return "", err
	}
	s.token, s.renew, s.ends = token, now.Add(life*4/5), now.Add(life)
	return token, nil
}

// prove logs in before anything is sent; a target that starts up gets a few tries.
func (s *session) prove(ctx context.Context) error {
	for try := 1; ; try++ {
		_, err := s.get(ctx)
		if err == nil {
			return nil
		}
		if try == loginTries || !pause(ctx, time.Now().Add(loginPause)) {
			return fmt.Errorf("login at the target failed %d times: %w", try, err)
		}
	}
}

// refused implements tokens. A target that refuses every token is asked for a new one twice a second at most.
func (s *session) refused(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if token == s.token && time.Since(s.tried) >= loginRetry {
		s.token = ""
	}
}

func (s *session) post(ctx context.Context) (string, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	form := url.Values{"username": {s.login.Username}, "password": {s.login.Password}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.login.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", 0, errors.New("the login address is not valid") // its text may hold a secret
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := s.client.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer res.Body.Close() // only read from
	if res.StatusCode/100 != 2 {
		return "", 0, fmt.Errorf("answered %s", res.Status)
	}
	var body map[string]any
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&body); err != nil {
		return "", 0, fmt.Errorf("the answer is not JSON: %w", err)
	}
	field := s.login.Field
	if field == "" {
		field = "access_token"
	}
	token, _ := body[field].(string)
	if token == "" {
		return "", 0, fmt.Errorf("the answer has no %q", field)
	}
	life := tokenLife
	if in, ok := body["expires_in"].(float64); ok && in >= 1 {
		life = time.Duration(in * float64(time.Second))
	}
	return token, life, nil
}
