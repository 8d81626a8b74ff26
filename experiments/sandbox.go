package experiments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// sandbox is an isolated instance of ours and the tasks under way in it.
type sandbox struct {
	stream drills.Stream
	read   sync.WaitGroup

	mu    sync.Mutex
	next  int
	waits map[int]chan helper.Answer
	over  error // why nothing is answered any more
}

// openSandbox starts one and waits for its first word.
func openSandbox(ctx context.Context, l drills.Launcher, place drills.Place) (*sandbox, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, sandboxReady, fmt.Errorf("the isolated instance did not answer within %s", sandboxReady))
	defer cancel()
	stream, err := l.Start(ctx, place, []string{"_agent", "helper"})
	if err != nil {
		return nil, err
	}
	s := &sandbox{stream: stream, waits: map[int]chan helper.Answer{}}
	spec, err := json.Marshal(helper.SandboxSpec{Kind: helper.KindSandbox, Lease: drills.Duration(helperLease)})
	if err == nil {
		err = stream.Send(drills.Frame{Type: "spec", Data: spec})
	}
	ready := make(chan error, 1)
	s.read.Go(func() { s.listen(ready) })
	if err == nil {
		select {
		case err = <-ready:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the isolated instance: %w", err), s.close(ctx))
	}
	return s, nil
}

// listen hands every answer to who asked.
func (s *sandbox) listen(ready chan<- error) {
	for {
		f, err := s.stream.Recv()
		switch {
		case err != nil:
			err = fmt.Errorf("it ended: %w", err)
		case f.Type == "ready":
			ready <- nil
		case f.Type == "error":
			err = fmt.Errorf("it says: %s", f.Data)
		case f.Type == "result":
			var a helper.Answer
			if err = json.Unmarshal(f.Data, &a); err == nil {
				s.hand(a)
			}
		}
		if err != nil {
			s.end(err)
			select {
			case ready <- err:
			default:
			}
			return
		}
	}
}

func (s *sandbox) hand(a helper.Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.waits[a.ID]; ok {
		delete(s.waits, a.ID)
		c <- a
	}
}

func (s *sandbox) end(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over == nil {
		s.over = why
	}
	for id, c := range s.waits {
		delete(s.waits, id)
		close(c)
	}
}

// ask has one task done. The error is about the instance, not about what the task found.
func (s *sandbox) ask(ctx context.Context, t helper.Task) (helper.Answer, error) {
	c := make(chan helper.Answer, 1)
	s.mu.Lock()
	if s.over != nil {
		defer s.mu.Unlock()
		return helper.Answer{}, s.over
	}
	s.next++
	t.ID = s.next
	s.waits[t.ID] = c
	s.mu.Unlock()
	b, err := json.Marshal(t)
	if err == nil {
		err = s.stream.Send(drills.Frame{Type: "task", Data: b})
	}
	if err != nil {
		return helper.Answer{}, fmt.Errorf("the isolated instance: %w", err)
	}
	select {
	case a, ok := <-c:
		switch {
		case !ok:
			s.mu.Lock()
			defer s.mu.Unlock()
			return a, fmt.Errorf("the isolated instance: %w", s.over)
		case a.Error != "":
			return a, errors.New(a.Error)
		}
		return a, nil
	case <-ctx.Done():
		return helper.Answer{}, context.Cause(ctx)
	}
}

// close ends the instance and waits until it is gone.
func (s *sandbox) close(ctx context.Context) error {
	err := s.stream.Close(ctx)
	s.read.Wait()
	return err
}

func helperDial(d Dial) pgconn.DialFunc { return pgconn.DialFunc(d) }
