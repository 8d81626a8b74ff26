package experiments

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// loopWord is what one Patroni says of its own loop.
type loopWord struct {
	member string
	status int // of GET /liveness; 0: no answer
	seen   time.Time
	err    error
}

// Diagnose looks whether every Patroni works, not only answers. Its REST API has a thread of its own and goes on when the loop
// that holds the leader lock and follows the primary stands still, as Patroni 3.0.2 was seen to do. Its answer to /liveness
// says when that loop last ran; where the configuration store was last seen tells of one that is cut off from it.
func (p *Patroni) Diagnose(ctx context.Context, c drills.Component, members []drills.Member) drills.Diagnosis {
	d := drills.Diagnosis{Part: "system", What: "Patroni of " + c.Name, Level: drills.LevelOK}
	rest, err := restOf(members, *c.Roles)
	if err != nil {
		d.Level, d.Found = drills.LevelNotChecked, err.Error()
		return d
	}
	words := p.loops(ctx, rest)
	newest := time.Time{}
	for _, w := range words {
		if w.seen.After(newest) {
			newest = w.seen
		}
	}
	var bad []string
	for _, w := range words {
		if why := w.complaint(newest); why != "" {
			bad = append(bad, w.member+why)
		}
	}
	if len(bad) == 0 {
		d.Found = fmt.Sprintf("the loop of each of %d members runs", len(words))
		return d
	}
	d.Level, d.Found = drills.LevelProblem, strings.Join(bad, "; ")
	d.Why = "such a member looks healthy and neither fails over nor follows a new primary"
	d.Mend = "look at its log and restart its Patroni; the database server itself may be well"
	return d
}

func (p *Patroni) loops(ctx context.Context, rest []restNode) []loopWord {
	words := make([]loopWord, len(rest))
	var wg sync.WaitGroup
	for i, n := range rest {
		wg.Go(func() {
			var s patroniStatus
			w := loopWord{member: n.Member}
			if w.member == "" {
				w.member = n.Addr
			}
			if _, w.err = p.rest.get(ctx, n.Addr, "/patroni", &s); w.err == nil && s.Seen > 0 {
				w.seen = time.Unix(s.Seen, 0)
			}
			if w.err == nil {
				w.status, _ = p.rest.get(ctx, n.Addr, "/liveness", nil) // versions before 2.1 do not know it
			}
			words[i] = w
		})
	}
	wg.Wait()
	slices.SortFunc(words, func(a, b loopWord) int { return strings.Compare(a.member, b.member) })
	return words
}

// complaint is what is wrong, to be put after the member's name; newest is when any member saw the configuration store last.
func (w loopWord) complaint(newest time.Time) string {
	seen := ""
	if !w.seen.IsZero() {
		seen = ", and it last saw the configuration store " + time.Since(w.seen).Round(time.Second).String() + " ago"
	}
	switch {
	case w.err != nil:
		return "'s Patroni does not answer: " + w.err.Error()
	case w.status == http.StatusServiceUnavailable:
		return " answers, but its loop has not run for too long (/liveness says 503" + seen + ")"
	case !w.seen.IsZero() && newest.Sub(w.seen) > storeSeenWithin:
		return " answers, but others have seen the configuration store later" + seen
	}
	return ""
}
