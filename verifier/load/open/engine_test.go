package open

import (
	"container/heap"
	"context"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// fake answers after what service says for the operation and the instant (since the start).
type fake struct {
	began   time.Time
	service func(k int64, now time.Duration) (time.Duration, Class)
}

func (f *fake) Do(ctx context.Context, first int64, out []Outcome) {
	d, class := f.service(first, time.Since(f.began))
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		class = Timeout
	}
	for i := range out {
		out[i] = Outcome{Class: class, Op: int(first+int64(i)) % 2, Text: map[bool]string{true: "bad"}[class != Good]}
	}
}

func (f *fake) Close() {}

func flow(rate float64, connections int, f *fake) Flow {
	return Flow{Name: "f", Rate: rate, Connections: connections, Timeout: time.Minute, Ops: []string{"a", "b"}, Open: func(int) Client { return f }}
}

func runFor(e *Engine, f *fake, d, patience time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	f.began = time.Now()
	e.Run(ctx, patience)
}

// The server answers within 1 ms but stalls for one second: of 6,000 operations, 1,000 wait evenly between 0 and 1 s, so
// the truth is p95 = 700 ms and p99 = 940 ms. The uncorrected time of a few connections hides it.
func TestStall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{service: func(_ int64, now time.Duration) (time.Duration, Class) {
			if now >= 2*time.Second && now < 3*time.Second {
				return 3*time.Second - now, Good
			}
			return time.Millisecond / 10, Good
		}}
		e := NewEngine([]Flow{flow(1000, 64, f)}, 0)
		runFor(e, f, 6*time.Second-time.Millisecond/2, time.Second)
		r := e.Results()[0]
		near := func(what string, got, want, within time.Duration) {
			if (got - want).Abs() > within {
				t.Errorf("%s = %s, want %s", what, got, want)
			}
		}
		near("p95", r.Latency.P95, 700*time.Millisecond, 10*time.Millisecond)
		near("p99", r.Latency.P99, 940*time.Millisecond, 10*time.Millisecond)
		near("max", r.Latency.Max, time.Second, 5*time.Millisecond)
		if r.Service.P95 > time.Millisecond || r.Due != 6000 || r.Count["good"] != 6000 {
			t.Errorf("uncorrected p95 %s, due %d, %v", r.Service.P95, r.Due, r.Count)
		}
		if r.Backlog < 930 || r.Backlog > 940 || r.Lag > 2*time.Millisecond {
			t.Errorf("backlog %d, own lag %s: 936 waited behind 64 connections, and not for the generator", r.Backlog, r.Lag)
		}
		if math.Abs(r.Achieved-1000) > 1 {
			t.Errorf("achieved %.1f/s", r.Achieved)
		}
	})
}

func TestDueTimesDoNotDrift(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := Schedule{Rate: rapid.Float64Range(0.1, 100_000).Draw(t, "rate"), Ramp: time.Duration(rapid.IntRange(0, 60_000).Draw(t, "ramp")) * time.Millisecond}
		k := int64(s.Rate * rapid.Float64Range(0, 30*24*3600).Draw(t, "seconds"))
		want := float64(s.Ramp) + float64(k-s.warm())/s.Rate*1e9
		if k < s.warm() {
			want = math.Sqrt(2*float64(k)*s.Ramp.Seconds()/s.Rate) * 1e9
		}
		if d := float64(s.Due(k)) - want; math.Abs(d) > 2 {
			t.Fatalf("operation %d is due %g ns off", k, d)
		}
		if s.Due(k+1) < s.Due(k) {
			t.Fatal("due times go back")
		}
		if n := s.By(s.Due(k)); n < k+1 || s.Due(n-1) > s.Due(k) {
			t.Fatalf("%d are due when operation %d is", n, k)
		}
		if d := s.Due(k); d > 0 && s.By(d-1) > k {
			t.Fatalf("operation %d is due early", k)
		}
	})
}

type times []time.Duration

func (h times) Len() int           { return len(h) }
func (h times) Less(i, j int) bool { return h[i] < h[j] }
func (h times) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *times) Push(x any)        { *h = append(*h, x.(time.Duration)) }
func (h *times) Pop() any          { x := (*h)[len(*h)-1]; *h = (*h)[:len(*h)-1]; return x }

// ideal is the queue as a textbook has it: c servers, first come first served, operations dispatched at the next whole
// millisecond. Latencies run from the due time.
func ideal(s Schedule, n int64, c int, service func(int64) time.Duration) (latency, wait []time.Duration) {
	free := make(times, c)
	for k := range n {
		tick := (s.Due(k) + batch - 1) / batch * batch
		start := max(tick, free[0])
		heap.Pop(&free)
		heap.Push(&free, start+service(k))
		latency, wait = append(latency, start+service(k)-s.Due(k)), append(wait, start-s.Due(k))
	}
	return latency, wait
}

func quantile(d []time.Duration, q float64) time.Duration {
	slices.Sort(d)
	return d[max(int(q*float64(len(d))+0.5), 1)-1] // the rank that the histogram uses
}

// Property: for any rate, number of connections and service times, the engine's corrected percentiles are the ideal queue's.
func TestPercentilesAreThoseOfAnIdealQueue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		rate := rapid.Float64Range(50, 3000).Draw(rt, "rate")
		c := rapid.IntRange(1, 20).Draw(rt, "connections")
		slow := rapid.IntRange(100, 20_000).Draw(rt, "slow")
		every := rapid.Int64Range(1, 50).Draw(rt, "every")
		service := func(k int64) time.Duration {
			if k%every == 0 {
				return time.Duration(slow) * time.Microsecond
			}
			return 150 * time.Microsecond
		}
		synctest.Test(t, func(*testing.T) {
			f := &fake{service: func(k int64, _ time.Duration) (time.Duration, Class) { return service(k), Good }}
			e := NewEngine([]Flow{flow(rate, c, f)}, 0)
			runFor(e, f, 2*time.Second+batch/2, time.Hour)
			r := e.Results()[0]
			latency, wait := ideal(Schedule{Rate: rate}, r.Due, c, service)
			for _, x := range []struct {
				what      string
				got, want time.Duration
			}{
				{"p50", r.Latency.P50, quantile(latency, .5)},
				{"p95", r.Latency.P95, quantile(latency, .95)},
				{"p99", r.Latency.P99, quantile(latency, .99)},
				{"max", r.Latency.Max, slices.Max(latency)},
				{"wait p95", r.Wait.P95, quantile(wait, .95)},
			} {
				if (x.got - x.want).Abs() > 2*time.Microsecond+x.want/900 { // what three digits can tell
					rt.Errorf("%s = %s, an ideal queue has %s", x.what, x.got, x.want)
				}
			}
		})
	})
}

// A server that answers half the rate: nothing is dropped silently, and what is never served counts with its wait.
func TestOverloadIsSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{service: func(int64, time.Duration) (time.Duration, Class) { return 20 * time.Millisecond, Good }}
		e := NewEngine([]Flow{flow(100, 1, f)}, 0)
		runFor(e, f, 10*time.Second-time.Millisecond, time.Second)
		r := e.Results()[0]
		if r.Due != 1000 || r.Count["good"] < 545 || r.Count["good"] > 550 || r.Count["good"]+r.Count["unserved"]+r.Count["timeout"] != 1000 {
			t.Errorf("due %d: %v", r.Due, r.Count)
		}
		if r.Achieved < 49 || r.Achieved > 51 {
			t.Errorf("achieved %.1f/s, the server's capacity is 50", r.Achieved)
		}
		if r.Latency.P99 < 4*time.Second {
			t.Errorf("p99 %s: what is not served must count", r.Latency.P99)
		}
		if r.Lag > 2*time.Millisecond {
			t.Errorf("own lag %s: it is the target that is slow", r.Lag)
		}
	})
}

func TestRampAndClasses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{service: func(k int64, _ time.Duration) (time.Duration, Class) {
			return time.Millisecond, []Class{Good, Throttled, Failed, Good}[k%4]
		}}
		e := NewEngine([]Flow{flow(100, 4, f)}, 2*time.Second)
		runFor(e, f, 6*time.Second-time.Millisecond, time.Second)
		r := e.Results()[0]
		if want := int64(400); r.Due != want || r.Count["good"] != 200 || r.Count["throttled"] != 100 || r.Count["failed"] != 100 {
			t.Errorf("due %d, %v: the 100 of the ramp do not count", r.Due, r.Count)
		}
		if r.Latency.Count != 300 || r.Ops[0].Count["good"] != 100 || r.Ops[1].Count["throttled"] != 100 || r.Texts[0] != (Text{"bad", 200}) {
			t.Errorf("%d latencies, %+v, %+v", r.Latency.Count, r.Ops, r.Texts)
		}
		good, other, p95, backlog := e.Second()
		if good != 250 || other != 250 || p95 < time.Millisecond || backlog != 0 {
			t.Errorf("second: %d, %d, %s, %d", good, other, p95, backlog)
		}
	})
}

// What is due goes in one round trip, at most Batch; what is not due is not waited for.
func TestPipelining(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{service: func(int64, time.Duration) (time.Duration, Class) { return 10 * time.Millisecond, Good }}
		x := flow(1000, 1, f)
		x.Batch = 16
		e := NewEngine([]Flow{x}, 0)
		runFor(e, f, 2*time.Second, time.Second)
		if r := e.Results()[0]; r.Count["good"] < 1990 || r.Latency.P99 > 25*time.Millisecond {
			t.Errorf("%v, p99 %s: ten at a time are due every 10 ms", r.Count, r.Latency.P99)
		}
	})
}
