package load

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// tallyEvery is how often a share of the connections reports.
const tallyEvery = 250 * time.Millisecond

// holder holds one share of the connections, in this process or another one.
type holder interface {
	// run holds until ctx ends and gives every tally to put, the last one when all connections are closed.
	run(ctx context.Context, put func(tally)) error
	// cut resets all its connections at once.
	cut()
}

// here holds a share in this process.
type here struct {
	engine engine
	plan   plan
	marker string
}

func (h *here) cut() { h.engine.cut() }

func (h *here) run(ctx context.Context, put func(tally)) error {
	b := newBook(h.marker, h.plan.count)
	ended := make(chan error, 1)
	go func() { ended <- h.engine.hold(ctx, h.plan, b) }()
	tick := time.NewTicker(tallyEvery)
	defer tick.Stop()
	ramped := b.ramped
	for {
		select {
		case err := <-ended:
			t := b.tally()
			t.Note = h.engine.remark()
			put(t)
			return err
		case <-ramped:
			ramped = nil
			// Handshakes leave garbage behind: collect it before measuring begins.
			runtime.GC()
			debug.FreeOSMemory()
		case <-tick.C:
		}
		put(b.tally())
	}
}

// split gives every share its part of the plan. A process may hold as many connections as it may open files, less what
// it needs for itself; beyond that there are several.
func split(p plan, files uint64) []plan {
	shares := p.Shares
	if shares == 0 {
		shares = 1
		if most := int(min(files, 1<<30)) - reserve; most > 0 {
			shares = (p.Connections + most - 1) / most
		}
	}
	shares = min(shares, p.Connections)
	out := make([]plan, shares)
	for i := range out {
		out[i] = p
		out[i].first = p.Connections * i / shares
		out[i].count = p.Connections*(i+1)/shares - out[i].first
	}
	return out
}

// shards runs all holders and waits for them.
type shards struct {
	holders []holder
	account *account
	work    sync.WaitGroup
}

func (s *shards) start(ctx context.Context) {
	for i, h := range s.holders {
		s.work.Go(func() {
			err := h.run(ctx, func(t tally) { s.account.take(i, t) })
			if ctx.Err() != nil {
				err = nil // it was time; what went wrong on the way out changes nothing that was measured
			} else if err == nil {
				err = fmt.Errorf("share %d ended by itself", i)
			}
			s.account.ended(i, err)
		})
	}
}

func (s *shards) cut() {
	for _, h := range s.holders {
		h.cut()
	}
}
