package experiments

import (
	"context"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// A replica that is behind is asked again this often and this many times before its lag is estimated instead.
const (
	catchUpEvery = 40 * time.Millisecond
	catchUpTries = 5
)

// lagOf is how far one replica is behind.
type lagOf struct {
	time  time.Duration
	bytes int64
}

// position is a replica's place in the primary's stream of changes and when it was read.
type position struct {
	offset int64
	at     time.Time
}

// lagBehind measures lag in time. Let P be the primary's position at an instant. A replica seen at P or beyond had by then
// everything that the primary had: its lag is at most the time between the two readings, zero when it was read first.
// A replica that does not get there within the tries is behind by at least that time; then estimate says more.
func lagBehind(ctx context.Context, primary, replica position, again func(context.Context) (position, error), estimate time.Duration) lagOf {
	for try := 0; ; try++ {
		behind := lagOf{time: max(0, replica.at.Sub(primary.at)), bytes: max(0, primary.offset-replica.offset)}
		if replica.offset >= primary.offset {
			return behind
		}
		if try == catchUpTries || !drills.Wait(ctx, catchUpEvery) {
			behind.time = max(behind.time, estimate)
			return behind
		}
		if p, err := again(ctx); err == nil {
			replica = p
		}
	}
}

// redisLag is the lag of every replica that follows the primary. The estimate is the longer of the time since the
// replica last acknowledged (as the primary counts) and since it last heard of the primary; both in whole seconds.
func redisLag(ctx context.Context, a redisAnswers, members []drills.Member, ask askNode) map[string]lagOf {
	primary, ok := redisPrimary(a, members)
	if !ok {
		return nil
	}
	p := a.nodes[primary.ID]
	out := map[string]lagOf{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, m := range members {
		w, ok := a.nodes[m.ID]
		if !ok || !inSync(w, primary) {
			continue
		}
		wg.Go(func() {
			again := func(ctx context.Context) (position, error) {
				w, err := ask(ctx, m)
				return position{w.offset, w.at}, err
			}
			estimate := w.lastIO
			for host, ack := range p.acks {
				if nodeOf(m).is(host) {
					estimate = max(estimate, ack)
				}
			}
			l := lagBehind(ctx, position{p.offset, p.at}, position{w.offset, w.at}, again, estimate)
			mu.Lock()
			defer mu.Unlock()
			out[m.ID] = l
		})
	}
	wg.Wait()
	return out
}

// lagFacts states the worst lag; without a replica there is no lag to state.
func lagFacts(facts map[string]drills.Fact, lags map[string]lagOf) {
	if len(lags) == 0 {
		return
	}
	var worst lagOf
	for _, l := range lags {
		worst.time, worst.bytes = max(worst.time, l.time), max(worst.bytes, l.bytes)
	}
	facts["lag"] = drills.Fact{Number: worst.time.Seconds(), Unit: "s"}
	facts["lag-bytes"] = drills.Fact{Number: float64(worst.bytes)}
}
