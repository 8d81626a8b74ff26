package compose

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/system"

	"github.com/eevans-d/simulacro/drills"
)

// skewedEngine has a clock that is ahead, and takes its time to answer.
type skewedEngine struct {
	ahead        time.Duration
	before, then []time.Duration
	asked        int
}

func (s *skewedEngine) Info(context.Context) (system.Info, error) {
	i := s.asked % len(s.before)
	s.asked++
	time.Sleep(s.before[i])
	now := time.Now().Add(s.ahead).UTC().Format(time.RFC3339Nano)
	time.Sleep(s.then[i])
	return system.Info{SystemTime: now}, nil
}

func TestClockOffset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &skewedEngine{
			ahead:  time.Hour,
			before: []time.Duration{50 * time.Millisecond, time.Millisecond, 80 * time.Millisecond, 70 * time.Millisecond},
			then:   []time.Duration{50 * time.Millisecond, 90 * time.Millisecond, 3 * time.Millisecond, 70 * time.Millisecond},
		}
		var c engineClock
		o, err := c.measure(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		if o.Bound != 2*time.Millisecond || (o.Ahead-time.Hour).Abs() > o.Bound {
			t.Errorf("offset %+v: want an hour within 2 ms, the best of each side", o)
		}
		there := time.Now().Add(time.Hour)
		if i := o.ours(there); i.From.After(time.Now()) || i.To.Before(time.Now()) {
			t.Errorf("now is not in %v", i)
		}
		if _, err := c.measure(t.Context(), e); err != nil || e.asked != clockSamples {
			t.Errorf("asked %d times, %v: a fresh measurement must be reused", e.asked, err)
		}
		time.Sleep(2 * clockAge)
		if _, err := c.measure(t.Context(), e); err != nil || e.asked != 2*clockSamples {
			t.Errorf("asked %d times, %v: an old measurement must be renewed", e.asked, err)
		}
	})
}

func TestNarrowNeverLosesTheEffect(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(0, int64(ms)*1e6).UTC() }
	e := drills.Effect{From: at(100), To: at(200)}
	for _, tc := range []struct{ from, to, wantFrom, wantTo int }{
		{120, 150, 120, 150}, {50, 150, 100, 150}, {120, 500, 120, 200}, {300, 400, 100, 200},
	} {
		got := narrow(e, drills.Interval{From: at(tc.from), To: at(tc.to)})
		if !got.From.Equal(at(tc.wantFrom)) || !got.To.Equal(at(tc.wantTo)) {
			t.Errorf("%+v: %v..%v", tc, got.From, got.To)
		}
	}
	if got := narrow(e, drills.Interval{}); !got.From.Equal(e.From) || !got.To.Equal(e.To) {
		t.Errorf("nothing known: %v..%v", got.From, got.To)
	}
}

func TestLatestTrustsTheEngineOnlyWithinCause(t *testing.T) {
	asked := time.Unix(1000, 0).UTC()
	got := asked.Add(100 * time.Millisecond)
	exact := &offset{Bound: time.Millisecond}
	for name, tc := range map[string]struct {
		made time.Time
		off  *offset
		want time.Time
	}{
		"event":          {asked.Add(50 * time.Millisecond), exact, asked.Add(51 * time.Millisecond)},
		"no offset":      {asked.Add(50 * time.Millisecond), nil, got},
		"clock set back": {asked.Add(-time.Hour), exact, got},
		"clock ahead":    {asked.Add(time.Hour), exact, got},
	} {
		e := engineEvent{Time: tc.made, received: got}
		if l := e.latest(asked, tc.off); !l.Equal(tc.want) {
			t.Errorf("%s: %v", name, l.Sub(asked))
		}
	}
}
