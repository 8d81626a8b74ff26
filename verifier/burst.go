package verifier

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// burstFor bounds what bursts may add: so long at their full rate, refilled by one probe per good one of the schedule. A
	// service that stays down for longer is asked on schedule only, one that comes and goes at most twice as often as that.
	burstFor = 30 * time.Second
	// burstInFlight bounds the overlapping probes of a burst: where requests hang, they slow the burst down themselves.
	burstInFlight = 16
	// burstGoods good answers in a row end a burst.
	burstGoods = 3
	// burstGentle stretches a burst wherever somebody has to work for a failed answer: a server that starts or is
	// overloaded, a name server, a Redis Sentinel. Only a refused connection costs nobody anything.
	burstGentle = 5
)

// burst asks in quick succession from the first failed probe until the service answers again: the end of the outage, and
// behind a tripwire its beginning, are then known to the burst's period. Its samples only sharpen the edges of an outage
// that the schedule has shown (see Outages).
type burst struct {
	sch    *schedule
	period time.Duration
	gentle bool // never at the full rate
	kicks  chan struct{}
	left   atomic.Int64 // probes that may still be sent
	seq    int64        // of the last one: -1, -2, …
}

func newBurst(s *schedule, period time.Duration, gentle bool) *burst {
	b := &burst{sch: s, period: period, gentle: gentle, kicks: make(chan struct{}, 1)}
	b.left.Store(b.most())
	return b
}

func (b *burst) most() int64 { return int64(burstFor / b.period) }

// saw takes a scheduled sample: a bad one starts a burst, a good one refills the allowance.
func (b *burst) saw(s Sample) {
	switch {
	case s.Class.Bad():
		b.kick()
	case s.Class == Good && b.left.Load() < b.most():
		b.left.Add(1)
	}
}

// spend takes one probe off the allowance. False: nothing is left of it.
func (b *burst) spend() bool {
	if b.left.Add(-1) >= 0 {
		return true
	}
	b.left.Add(1)
	return false
}

// kick starts a burst, unless one is under way.
func (b *burst) kick() {
	select {
	case b.kicks <- struct{}{}:
	default:
	}
}

// run performs bursts until ctx is done and returns when the last probe in flight has ended.
func (b *burst) run(ctx context.Context, c checker, report func(Sample)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.kicks:
		}
		e := episode{burst: b, check: c, report: report, done: make(chan Sample, burstInFlight), interval: b.interval(Good, "")}
		e.run(ctx)
		select {
		case <-b.kicks: // what was seen meanwhile was seen by the burst too
		default:
		}
	}
}

// interval is how long to wait after an outcome.
func (b *burst) interval(c Class, text string) time.Duration {
	free := c == Good || c == Refused && !strings.HasPrefix(text, lookupText)
	if b.gentle || !free {
		return b.period * burstGentle
	}
	return b.period
}

// episode is one burst.
type episode struct {
	*burst
	check    checker
	report   func(Sample)
	done     chan Sample
	flying   int
	interval time.Duration
	lastBad  int64
	goods    []int64 // sends of the good ones since
}

func (e *episode) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	base := context.WithoutCancel(ctx)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for due := e.sch.now(); len(e.goods) < burstGoods; due = max(due+int64(e.interval), e.sch.now()) {
		if !e.await(ctx, timer, due) || !e.spend() {
			break
		}
		if e.flying == burstInFlight {
			continue
		}
		e.flying++
		e.seq--
		n := e.seq
		wg.Go(func() { e.done <- e.sch.once(base, e.check, n, due) })
	}
	for e.flying > 0 {
		e.take(<-e.done)
	}
}

// await takes answers until it is time for the next probe. False: enough good ones have come, or ctx is done.
func (e *episode) await(ctx context.Context, timer *time.Timer, due int64) bool {
	timer.Reset(max(0, time.Duration(due-e.sch.now())))
	for {
		select {
		case <-ctx.Done():
			return false
		case s := <-e.done:
			if e.take(s); len(e.goods) >= burstGoods {
				return false
			}
		case <-timer.C:
			return true
		}
	}
}

func (e *episode) take(s Sample) {
	e.flying--
	s.Origin = Burst
	e.interval = e.burst.interval(s.Class, s.Text)
	switch {
	case s.Class.Bad():
		e.lastBad = max(e.lastBad, s.Send)
		e.goods = after(e.goods, e.lastBad)
	case s.Class == Good && s.Send > e.lastBad:
		e.goods = append(e.goods, s.Send)
	}
	e.report(s)
}
