package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	publishTimeout = 10 * time.Second
	// unanswered publications at once; a target that is further behind fails them.
	unanswered = 64
	// defaultSize of a message's content.
	defaultSize = 128
)

// publisher posts numbered messages on an absolute schedule, whether or not earlier ones are answered.
type publisher struct {
	spec    Publish
	account *account
	tokens  tokens
	client  *http.Client
	late    *timing // own lateness: dispatched after due
	sent    atomic.Int64
	failed  atomic.Int64
}

// run publishes until ctx ends; then it waits for the answers that are still out, at most for patience.
func (p *publisher) run(ctx context.Context, patience time.Duration) {
	posts, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	slots := make(chan struct{}, unanswered)
	var out sync.WaitGroup
	defer func() {
		timer := time.AfterFunc(patience, cancel)
		defer timer.Stop()
		out.Wait()
	}()
	start := time.Now()
	for k := 0; ; k++ {
		due := start.Add(time.Duration(float64(k) / p.spec.Rate * float64(time.Second)))
		if !pause(ctx, due) {
			return
		}
		p.late.add(time.Since(due))
		seq, at, ok := p.account.publish()
		if !ok {
			p.account.note(fmt.Sprintf("publish: %d messages are the most in one run", capacity))
			return
		}
		p.sent.Add(1)
		select {
		case slots <- struct{}{}:
			out.Go(func() { p.post(posts, seq, at, due); <-slots })
		default:
			p.fail(fmt.Sprintf("more than %d unanswered", unanswered))
		}
	}
}

func (p *publisher) fail(why string) {
	p.failed.Add(1)
	p.account.note("publish: " + why)
}

func (p *publisher) post(ctx context.Context, seq, at int64, due time.Time) {
	if err := p.try(ctx, seq, at, due); err != nil {
		p.fail(reason(err))
		return
	}
	p.account.accepted(seq)
}

func (p *publisher) try(ctx context.Context, seq, at int64, due time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	token, err := p.tokens.get(ctx)
	if err != nil {
		return tokenError{err}
	}
	size := p.spec.Size
	if size == 0 {
		size = defaultSize
	}
	msg := map[string]string{"title": "simulacro load", "content": p.account.content(seq, p.account.clock.of(due), at, size), "level": "info"}
	if p.spec.Topic != "" {
		msg["topic"] = p.spec.Topic
	}
	body, err := json.Marshal(msg)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.spec.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()                                      // only read from
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20)) // so that the connection can be used again
	if res.StatusCode == http.StatusUnauthorized {
		p.tokens.refused(token)
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("answered %s", res.Status)
	}
	return nil
}
