package drills

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// againEvery is how often a change is tried whose target may be back: starting a helper is not free.
	againEvery = time.Second
	// againLimit bounds one attempt, its proof included: the time axis waits for it.
	againLimit = 15 * time.Second
)

var errOver = errors.New("the time for making it again was over")

// retry is what is known of the attempts to make a change again.
type retry struct {
	gap   time.Time // which gap
	tries int
	next  time.Time
	said  string // what stood in the way
}

// rejoin makes those changes again that ended with a restart of their target, while their time lasts. The intent is on disk
// and in the guard's hands already, and its undo undoes whichever attempt holds; that it is meant again is journaled first.
func (r *run) rejoin(ctx context.Context) {
	for _, x := range newFolder(r.all()).rec.Faults {
		g := x.gapOpen()
		if g == nil || !g.Again || !x.UndoneAt.IsZero() || x.Effect == nil {
			continue
		}
		t := r.retries[x.Change.ID]
		if t == nil || !t.gap.Equal(g.From) {
			if t == nil {
				t = &retry{}
			}
			t.gap, t.next = g.From, time.Time{}
			r.retries[x.Change.ID] = t
			if !r.emit(Event{Kind: EvIntended, Change: &x.Change, Text: "again, when its target is back"}) {
				return
			}
		}
		if now := time.Now(); !now.Before(t.next) {
			r.remake(ctx, x, t)
			t.next = time.Now().Add(againEvery)
		}
	}
}

// remake is one attempt. A target that is not back yet is no news; what else stands in the way is noted once.
func (r *run) remake(ctx context.Context, x FaultRecord, t *retry) {
	limit := time.Now().Add(againLimit)
	if over := x.Effect.To.Add(x.Change.Duration.D()); x.Change.Duration > 0 && over.Before(limit) {
		limit = over
	}
	ctx, cancel := context.WithDeadlineCause(ctx, limit, errOver)
	defer cancel()
	if ctx.Err() != nil {
		return // it is about to be lifted
	}
	t.tries++
	c := x.Change
	c.Do.ID = fmt.Sprintf("%s%s%d", c.Do.ID, again, t.tries)
	effect, err := r.Runtime.Apply(ctx, c.Do)
	if err != nil {
		if said := err.Error(); CodeOf(err) != Blocked && said != t.said {
			t.said = said
			r.emit(Event{Kind: EvNote, Text: fmt.Sprintf("%s on %s is not in force again: %s", c.Fault, c.Member, said)})
		}
		return
	}
	r.emit(Event{Kind: EvApplied, Change: &c, Effect: &effect, Text: "again"})
}
