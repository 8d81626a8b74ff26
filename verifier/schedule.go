package verifier

import (
	"context"
	"sync"
	"time"
)

// checker is one kind of probe. check performs it once and says how it went; the context ends at the probe's timeout.
// It is called concurrently, since probes overlap.
type checker interface {
	check(ctx context.Context, seq int64) result
}

// keeper is a checker with something to keep up beside its probes (a subscription, a token, the address of a primary).
// keep returns when ctx is done; opened is called once the first attempt has ended, well or not.
type keeper interface {
	keep(ctx context.Context, opened func())
}

// schedule fires probes at due = phase + n × period. It never drifts and never waits for an answer: a ticker would
// drop slots silently and a serial loop would measure its own timeout (MEASUREMENT section 5).
type schedule struct {
	period  time.Duration
	timeout time.Duration
	slow    time.Duration // an answer slower than this is slow; zero: none
	phase   int64         // CLOCK_MONOTONIC of slot 0
	now     func() int64
}

// inFlight bounds overlapping probes: every probe ends at its timeout, so more than this means that we are stuck.
func (s *schedule) inFlight() int { return int(s.timeout/s.period) + 4 }

// run fires until ctx is done and returns when the last probe in flight has ended. Slots that were missed because we
// were not scheduled in time are left out (a hole in Seq); the one due last is sent late.
func (s *schedule) run(ctx context.Context, c checker, report func(Sample)) {
	var flying sync.WaitGroup
	defer flying.Wait()
	slots := make(chan struct{}, s.inFlight())
	base := context.WithoutCancel(ctx)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for n := int64(0); ; n++ {
		due := s.phase + n*int64(s.period)
		if !s.await(ctx, timer, due) {
			return
		}
		if missed := (s.now() - due) / int64(s.period); missed > 0 {
			n += missed
			due += missed * int64(s.period)
		}
		select {
		case slots <- struct{}{}:
			flying.Go(func() {
				report(s.once(base, c, n, due))
				<-slots
			})
		default:
			at := s.now()
			report(Sample{Seq: n, Due: due, Send: at, Done: at, Class: Observer, Text: "too many probes in flight"})
		}
	}
}

func (s *schedule) await(ctx context.Context, timer *time.Timer, due int64) bool {
	if ctx.Err() != nil {
		return false
	}
	wait := time.Duration(due - s.now())
	if wait <= 0 {
		return true
	}
	timer.Reset(wait)
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (s *schedule) once(base context.Context, c checker, n, due int64) Sample {
	ctx, cancel := context.WithTimeout(base, s.timeout)
	defer cancel()
	out := Sample{Seq: n, Due: due, Send: s.now()}
	r := c.check(ctx, n)
	out.Done = s.now()
	out.Class, out.Text = r.class, r.text
	if out.Class == Good && s.slow > 0 && out.Latency() > s.slow {
		out.Class, out.Text = Slow, "answered beyond the limit"
	}
	return out
}
