package verifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

const (
	witnessPoll  = 20 * time.Millisecond
	witnessDrain = 3 * time.Second // for messages that are late
	witnessQuiet = 300 * time.Millisecond
)

// witnessJob is the spec of a witness agent. Secrets are in it; it travels on stdin only.
type witnessJob struct {
	Spec        drills.CanarySpec `json:"spec"`
	Connections int               `json:"connections"` // at each address
	Messages    int               `json:"messages"`
}

// WitnessMain is the agent that does what numbers are compared with: it reads its spec (a witnessJob), writes "ready" and
// answers every "do" frame with a "tally" frame once the deed is done. It ends, with all of its connections, at end of input,
// at a "stop" frame or with ctx.
func WitnessMain(ctx context.Context, in io.Reader, out io.Writer) error {
	pipe := drills.NewPipe(in, out)
	var job witnessJob
	err := pipe.Spec(&job)
	var w *witnessing
	if err == nil {
		w, err = newWitnessing(job)
	}
	if err != nil {
		return errors.Join(err, pipe.Send("error", trouble{Text: err.Error()}))
	}
	if err := pipe.Send("ready", readiness{}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	deeds := make(chan drills.Deed, 8)
	var worker sync.WaitGroup
	worker.Go(func() {
		for deed := range deeds {
			tally, err := w.do(ctx, deed)
			if err != nil {
				_ = pipe.Send("error", trouble{Text: err.Error()}) // a stream that is gone has nobody to tell
				continue
			}
			_ = pipe.Send("tally", tally)
		}
	})
	pipe.Watch(ctx, 0, func(f drills.Frame) {
		var deed drills.Deed
		if json.Unmarshal(f.Data, &deed) == nil && f.Type == "do" {
			deeds <- deed
		}
	})
	cancel()
	close(deeds)
	worker.Wait()
	w.cut()
	return pipe.Send("done", nil)
}

// witnessing is the agent's connections and what came of them.
type witnessing struct {
	wsClient
	job  witnessJob
	mark string

	mu    sync.Mutex
	tally drills.Tally
	last  int64 // CLOCK_MONOTONIC of the newest frame
	held  []*heldConn
	sent  int
}

func newWitnessing(job witnessJob) (*witnessing, error) {
	client, d, err := newHTTPClient(job.Spec.TLS)
	if err != nil {
		return nil, err
	}
	w := &witnessing{
		wsClient: wsClient{client: client, dial: d, headers: job.Spec.Headers, topic: job.Spec.Topic},
		job:      job, mark: newMark(),
	}
	w.tally.Places = len(job.Spec.Receive)
	if job.Spec.Login != nil {
		w.session = newSession(client, d, *job.Spec.Login)
	}
	return w, nil
}

// do does one deed and waits until what it set off has arrived.
func (w *witnessing) do(ctx context.Context, deed drills.Deed) (drills.Tally, error) {
	var err error
	switch deed {
	case drills.DeedOpen:
		err = w.open(ctx)
	case drills.DeedPublish:
		err = w.publish(ctx)
	case drills.DeedReopen:
		err = w.reopen(ctx)
	case drills.DeedShut:
		w.shut(w.take(len(w.job.Spec.Receive) * w.job.Connections))
	default:
		err = fmt.Errorf("there is no deed %q", deed)
	}
	w.settle(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tally.Held = len(w.held)
	return w.tally, err
}

func (w *witnessing) open(ctx context.Context) error {
	if w.session != nil {
		if _, err := w.session.attempt(ctx); err != nil {
			return fmt.Errorf("login: %w", err)
		}
	}
	for range w.job.Connections {
		for _, url := range w.job.Spec.Receive {
			if err := w.hold(ctx, url); err != nil {
				return err
			}
		}
	}
	return nil
}

// reopen ends the older half of the connections, one at least, and makes as many again at the same addresses.
func (w *witnessing) reopen(ctx context.Context) error {
	old := w.take(max(1, len(w.job.Spec.Receive)*w.job.Connections/2))
	w.shut(old)
	for _, c := range old {
		if err := w.hold(ctx, c.url); err != nil {
			return err
		}
	}
	return nil
}

// publish sends the messages one after the other and waits until every connection has them all.
func (w *witnessing) publish(ctx context.Context) error {
	token, why := w.token()
	if w.session != nil && token == "" {
		return errors.New(why.text)
	}
	w.mu.Lock()
	before, receivers := w.tally, len(w.held)
	w.mu.Unlock()
	for range w.job.Messages {
		w.sent++
		one, cancel := context.WithTimeout(ctx, w.job.Spec.Timeout.D())
		_, out := posted(one, w.posting(w.job.Spec.PublishURL, token, w.message(w.job.Spec.Body, w.mark+itoa(int64(w.sent))+".")), w.job.Spec.Expect)
		cancel()
		w.mu.Lock()
		if out.class == Good {
			w.tally.Published++
		} else {
			w.tally.Refused++
		}
		w.mu.Unlock()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	for end := time.Now().Add(witnessDrain); time.Now().Before(end); {
		w.mu.Lock()
		done := w.tally.Delivered-before.Delivered >= receivers*(w.tally.Published-before.Published)
		w.mu.Unlock()
		if done || !drills.Wait(ctx, witnessPoll) {
			break
		}
	}
	return nil
}

// settle waits until nothing has arrived for a moment, so that what is counted here and there is the same; not for long, since
// servers may send something of their own all the time.
func (w *witnessing) settle(ctx context.Context) {
	for end := time.Now().Add(witnessDrain); time.Now().Before(end) && drills.Wait(ctx, witnessPoll); {
		w.mu.Lock()
		quiet := drills.Monotonic()-w.last > int64(witnessQuiet)
		w.mu.Unlock()
		if quiet {
			return
		}
	}
}
