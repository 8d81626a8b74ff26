package compose

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
)

// eventSlack is how far back the engine is asked for events, so that none is lost while we subscribe.
const eventSlack = 2 * time.Second

// watch collects a container's engine events from before an act on. Its goroutine ends with close.
type watch struct {
	cancel context.CancelFunc
	ended  chan struct{}
	mu     sync.Mutex
	seen   []engineEvent
	news   chan struct{} // holds a token when something was seen
}

// watchUnit subscribes and returns when the subscription stands.
func watchUnit(ctx context.Context, api eventSource, id string) *watch {
	ctx, cancel := context.WithCancel(ctx)
	since := time.Now().Add(-eventSlack)
	msgs, errs := api.Events(ctx, events.ListOptions{
		Since:   strconv.FormatInt(since.Unix(), 10) + "." + fmt.Sprintf("%09d", since.Nanosecond()),
		Filters: filters.NewArgs(filters.Arg("type", string(events.ContainerEventType)), filters.Arg("container", id)),
	})
	w := &watch{cancel: cancel, ended: make(chan struct{}), news: make(chan struct{}, 1)}
	go w.collect(ctx, msgs, errs)
	return w
}

func (w *watch) collect(ctx context.Context, msgs <-chan events.Message, errs <-chan error) {
	defer close(w.ended)
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-errs:
			_ = err // whatever broke it, the engine's answer counts then
			return
		case m := <-msgs:
			w.add(m)
		}
	}
}

func (w *watch) add(m events.Message) {
	e := engineEvent{
		Action: string(m.Action), Time: time.Unix(0, m.TimeNano).UTC(), received: time.Now().UTC(),
		Exit: m.Actor.Attributes["exitCode"], Signal: m.Actor.Attributes["signal"],
	}
	w.mu.Lock()
	w.seen = append(w.seen, e)
	w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// since lists the events that cannot be older than asked.
func (w *watch) since(asked time.Time, off *offset) []engineEvent {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []engineEvent
	for _, e := range w.seen {
		newest := e.Time // without a measured offset: a local engine's clock is ours, and a proof missed is better than a wrong one
		if off != nil {
			newest = off.ours(e.Time).To
		}
		if !newest.Before(asked) {
			out = append(out, e)
		}
	}
	return out
}

// await returns the first event of that action since asked; false when none comes in time or the subscription broke.
func (w *watch) await(ctx context.Context, action events.Action, asked time.Time, off *offset) (engineEvent, bool) {
	limit := time.NewTimer(proofWait)
	defer limit.Stop()
	for broken := false; ; {
		for _, e := range w.since(asked, off) {
			if e.Action == string(action) {
				return e, true
			}
		}
		if broken {
			return engineEvent{}, false
		}
		select {
		case <-w.news:
		case <-w.ended:
			broken = true
		case <-limit.C:
			return engineEvent{}, false
		case <-ctx.Done():
			return engineEvent{}, false
		}
	}
}

// close ends the subscription and waits for the collector.
func (w *watch) close() {
	w.cancel()
	<-w.ended
}
