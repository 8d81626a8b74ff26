package verifier

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

type checkFunc func(context.Context, int64) result

func (f checkFunc) check(ctx context.Context, seq int64) result { return f(ctx, seq) }

// bubbleNow is a monotonic clock inside a synctest bubble.
func bubbleNow() int64 { return time.Now().UnixNano() }

func runSchedule(t *testing.T, s *schedule, length time.Duration, f checkFunc) []Sample {
	t.Helper()
	s.now = bubbleNow
	s.phase = bubbleNow() + int64(10*time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var mu sync.Mutex
	var out []Sample
	s.run(ctx, f, func(v Sample) { mu.Lock(); defer mu.Unlock(); out = append(out, v) })
	return out
}

// Answers that take longer than the period neither delay nor drop the probes after them.
func TestScheduleOverlapsAndKeepsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &schedule{period: 50 * time.Millisecond, timeout: 250 * time.Millisecond}
		got := runSchedule(t, s, time.Minute, func(ctx context.Context, _ int64) result {
			<-ctx.Done()
			return transport(ctx.Err(), true)
		})
		if len(got) != 1200 {
			t.Fatalf("%d probes in a minute at 20 Hz, want 1200", len(got))
		}
		for i, v := range got {
			if v.Seq != int64(i) || v.Due != s.phase+int64(i)*int64(s.period) || v.Late() != 0 || v.Class != Timeout || v.Latency() != s.timeout {
				t.Fatalf("sample %d: %+v", i, v)
			}
		}
	})
}

// A check that ignores its context cannot pile up: beyond the bound, the slots are recorded as the observer's own trouble.
func TestScheduleBoundsWhatIsInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &schedule{period: 50 * time.Millisecond, timeout: 100 * time.Millisecond}
		var flying, most atomic.Int32
		got := runSchedule(t, s, 2*time.Second, func(context.Context, int64) result {
			most.Store(max(most.Load(), flying.Add(1)))
			defer flying.Add(-1)
			time.Sleep(10 * time.Second)
			return good()
		})
		observer := 0
		for _, v := range got {
			if v.Class == Observer {
				observer++
			}
		}
		if int(most.Load()) != s.inFlight() || observer != len(got)-s.inFlight() || observer == 0 {
			t.Errorf("%d in flight, %d of %d observer", most.Load(), observer, len(got))
		}
	})
}

// After a stall of ours the missed slots are holes in Seq, the slot due last is sent late, and the grid is kept.
func TestScheduleAfterAStall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &schedule{period: 50 * time.Millisecond, timeout: 100 * time.Millisecond}
		var jump atomic.Int64
		began := bubbleNow()
		s.phase = began
		s.now = func() int64 { return bubbleNow() + jump.Load() }
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		var mu sync.Mutex
		var got []Sample
		s.run(ctx, checkFunc(func(_ context.Context, seq int64) result {
			if seq == 3 {
				jump.Store(int64(220 * time.Millisecond)) // as if we had been stopped meanwhile
			}
			return good()
		}), func(v Sample) { mu.Lock(); defer mu.Unlock(); got = append(got, v) })
		if got[3].Seq != 3 || got[4].Seq != 8 || got[5].Seq != 9 {
			t.Fatalf("sequence %d %d %d", got[3].Seq, got[4].Seq, got[5].Seq)
		}
		if l := got[4].Late(); l <= 0 || l >= s.period {
			t.Errorf("the first after the stall is %v late", l)
		}
		if got[5].Late() != 0 {
			t.Errorf("the one after is %v late", got[5].Late())
		}
	})
}

func TestScheduleMarksSlowAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &schedule{period: 50 * time.Millisecond, timeout: 250 * time.Millisecond, slow: 30 * time.Millisecond}
		got := runSchedule(t, s, 200*time.Millisecond, func(_ context.Context, seq int64) result {
			time.Sleep(time.Duration(seq) * 20 * time.Millisecond)
			return good()
		})
		for _, v := range got {
			want := Good
			if v.Seq > 1 {
				want = Slow
			}
			if v.Class != want {
				t.Errorf("seq %d took %v: %s", v.Seq, v.Latency(), v.Class)
			}
		}
	})
}

type fakeConn struct{ dropped atomic.Bool }

func (c *fakeConn) drop() { c.dropped.Store(true) }

// While opening fails or hangs, a pool opens ten connections a second at most, and everybody who waits learns why.
func TestPoolIsNoStorm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int32
		p := newPool(func(ctx context.Context) (*fakeConn, error) {
			dials.Add(1)
			<-ctx.Done()
			return nil, context.DeadlineExceeded
		})
		var wg sync.WaitGroup
		for range 200 { // 50 a second for four seconds
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
				defer cancel()
				if _, _, err := p.get(ctx); err == nil {
					t.Error("got a connection")
				}
			})
			time.Sleep(20 * time.Millisecond)
		}
		wg.Wait()
		if n := dials.Load(); n < 20 || n > 41 {
			t.Errorf("%d dials in four seconds", n)
		}
		p.close()
		synctest.Wait()
	})
}

// Where nobody listens every probe asks anew; where somebody refuses after listening, one that waits is served in a tenth of
// a second, not when the next comes along.
func TestPoolDialsAnewAfterARefusal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		err := error(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED})
		dials := 0
		p := newPool(func(context.Context) (*fakeConn, error) { dials++; return &fakeConn{}, err })
		for range 50 {
			began := time.Now()
			if _, _, got := p.get(t.Context()); !errors.Is(got, syscall.ECONNREFUSED) || time.Since(began) != 0 {
				t.Fatalf("%v after %s", got, time.Since(began))
			}
			time.Sleep(2 * time.Millisecond)
		}
		if dials != 50 {
			t.Errorf("%d dials for 50 probes", dials)
		}
		err = errors.New("starting up")
		_, _, _ = p.get(t.Context())
		began := time.Now()
		if _, _, got := p.get(t.Context()); got == nil || time.Since(began) != dialSpacing {
			t.Errorf("%v after %s, want an answer after %s", got, time.Since(began), dialSpacing)
		}
		p.close()
		synctest.Wait()
	})
}

func TestPoolKeepsRenewsAndDrops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPool(func(context.Context) (*fakeConn, error) { return &fakeConn{}, nil })
		a, reused, err := p.get(t.Context())
		if err != nil || reused {
			t.Fatal(err, reused)
		}
		p.put(a)
		if b, reused, _ := p.get(t.Context()); b != a || !reused {
			t.Error("an idle connection was not used again")
		}
		p.renew() // a is in use
		p.put(a)
		if !a.dropped.Load() {
			t.Error("a connection from before the renewal was kept")
		}
		time.Sleep(dialSpacing)
		b, _, _ := p.get(t.Context())
		p.put(b)
		p.renew()
		if !b.dropped.Load() {
			t.Error("an idle connection outlived the renewal")
		}
		time.Sleep(dialSpacing)
		c, _, _ := p.get(t.Context())
		p.discard(c)
		time.Sleep(dialSpacing)
		if d, reused, _ := p.get(t.Context()); reused || d == c || !c.dropped.Load() {
			t.Error("a discarded connection came back")
		}
		p.close()
	})
}

// One who gave up waiting does not take a connection with him.
func TestPoolWaiterThatLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPool(func(context.Context) (*fakeConn, error) { time.Sleep(time.Second); return &fakeConn{}, nil })
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, _, err := p.get(ctx); err == nil {
			t.Fatal("no error")
		}
		time.Sleep(2 * time.Second)
		if _, reused, err := p.get(t.Context()); err != nil || !reused {
			t.Errorf("the late connection was lost: %v", err)
		}
		p.close()
	})
}

func TestPoolFreshConnections(t *testing.T) {
	t.Parallel()
	p := newPool(func(context.Context) (*fakeConn, error) { return &fakeConn{}, nil })
	p.once = true
	for range 3 {
		c, reused, err := p.get(t.Context())
		if err != nil || reused {
			t.Fatal(err, reused)
		}
		p.put(c)
		if !c.dropped.Load() {
			t.Error("kept a connection that was for one use")
		}
	}
	p.close()
}
