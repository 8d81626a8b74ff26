package store

import (
	"context"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

const (
	// grabEvery is how often a connection that somebody gave back is reached for.
	grabEvery = 200 * time.Millisecond
	// openPatience is how long a server may take to let one more in; a proxy that is full keeps it waiting.
	openPatience = 2 * time.Second
	openAtOnce   = 8
)

// held is one connection that we keep.
type held interface{ close() }

// holder opens connections until it is refused, and keeps reaching for those that others give back.
type holder struct {
	most    int
	open    func(ctx context.Context) (held, error)
	refused func(error) bool // the server's own word, not a failure on the way

	crew    crew
	mu      sync.Mutex
	all     []held
	denials int
	word    string // what the last refusal said
}

func (c Connections) most() int {
	if c.Count > 0 {
		return min(c.Count, c.AtMost)
	}
	return c.AtMost
}

// begin returns when the first refusal came or all are held; an error that is not the server's word means that it cannot be done.
func (h *holder) begin(ctx context.Context) error {
	for {
		n, err := h.more(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil && !h.full() {
			return err
		}
		if n == 0 || h.full() {
			break
		}
	}
	life := h.crew.start(ctx)
	h.crew.work.Go(func() {
		for drills.Wait(life, grabEvery) {
			_, _ = h.more(life) // refused is what is expected
		}
	})
	return nil
}

// more opens some side by side and returns how many it got.
func (h *holder) more(ctx context.Context) (got int, failed error) {
	h.mu.Lock()
	n := min(openAtOnce, h.most-len(h.all))
	h.mu.Unlock()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			one, cancel := context.WithTimeout(ctx, openPatience)
			defer cancel()
			c, err := h.open(one)
			h.mu.Lock()
			defer h.mu.Unlock()
			switch {
			case err == nil:
				h.all = append(h.all, c)
				got++
			case ctx.Err() != nil:
			case h.refused(err):
				h.denials++
				h.word = err.Error()
			case one.Err() != nil && len(h.all) > 0:
				h.denials++
				h.word = "no answer to a new connection in " + openPatience.String()
			default:
				failed = err
			}
		})
	}
	wg.Wait()
	return got, failed
}

// full tells whether there was a refusal, or all are held.
func (h *holder) full() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.denials > 0 || len(h.all) >= h.most
}

// beat: proof is a refusal, or as many as were asked for.
func (h *holder) beat(asked int) Beat {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := Beat{Facts: map[string]any{"held": len(h.all), "refused": h.denials}}
	if h.word != "" {
		b.Facts["refusal"] = h.word
	}
	b.Proven = len(h.all) > 0 && (h.denials > 0 || asked > 0 && len(h.all) >= asked)
	return b
}

// end lets go of all and returns how many they were.
func (h *holder) end() int {
	h.crew.stop()
	h.mu.Lock()
	all := h.all
	h.all = nil
	h.mu.Unlock()
	var wg sync.WaitGroup
	sem := make(chan struct{}, 4*openAtOnce)
	for _, c := range all {
		sem <- struct{}{}
		wg.Go(func() {
			defer func() { <-sem }()
			c.close()
		})
	}
	wg.Wait()
	return len(all)
}
