package verifier

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/eevans-d/simulacro/drills"
)

// bursts runs a probe of 20 Hz with bursts of 2 ms for so long and returns the samples of either kind.
func bursts(t *testing.T, length time.Duration, gentle bool, f checkFunc) (slots, extra []Sample) {
	t.Helper()
	s := &schedule{period: 50 * time.Millisecond, timeout: 250 * time.Millisecond, now: bubbleNow, phase: bubbleNow() + int64(10*time.Millisecond)}
	b := newBurst(s, 2*time.Millisecond, gentle)
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	keep := func(v Sample) {
		mu.Lock()
		defer mu.Unlock()
		if v.Origin == Burst {
			extra = append(extra, v)
		} else {
			slots = append(slots, v)
		}
	}
	wg.Go(func() { b.run(ctx, f, keep) })
	s.run(ctx, f, func(v Sample) { b.saw(v); keep(v) })
	wg.Wait()
	return slots, extra
}

func TestBurst(t *testing.T) {
	t.Parallel()
	refused := result{Refused, "dial: connection refused"}
	for name, c := range map[string]struct {
		bad         result
		hang        time.Duration // how long a failed answer takes
		gentle      bool
		down, up    time.Duration
		length      time.Duration
		least, most int // burst probes
	}{
		"nothing fails":           {length: time.Minute},
		"refused":                 {bad: refused, down: time.Second, up: 2 * time.Second, length: 3 * time.Second, least: 470, most: 505},
		"one that has to be kind": {bad: refused, gentle: true, down: time.Second, up: 2 * time.Second, length: 3 * time.Second, least: 90, most: 105},
		"a server that fails":     {bad: result{Failed, "HTTP 503"}, down: time.Second, up: 2 * time.Second, length: 3 * time.Second, least: 90, most: 105},
		"a name that is gone":     {bad: result{Refused, "lookup api: no such host"}, down: time.Second, up: 2 * time.Second, length: 3 * time.Second, least: 90, most: 105},
		"requests that hang":      {bad: result{Timeout, "no answer in time"}, hang: 250 * time.Millisecond, down: time.Second, up: 2 * time.Second, length: 3 * time.Second, least: 16, most: 70},
		"up and down":             {bad: refused, down: -1, length: 10 * time.Minute, least: 15_000, most: 15_000 + 6_100},
		"down for good":           {bad: refused, down: 0, up: time.Hour, length: 10 * time.Minute, least: 15_000, most: 15_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				slots, extra := bursts(t, c.length, c.gentle, func(context.Context, int64) result {
					at := time.Since(began)
					if c.down < 0 { // in turn, a second each
						at = at % (2 * time.Second)
					}
					if at < c.down || at >= max(c.up, time.Second) {
						return good()
					}
					time.Sleep(c.hang)
					return c.bad
				})
				if n := len(extra); n < c.least || n > c.most {
					t.Errorf("%d burst probes, want %d to %d", n, c.least, c.most)
				}
				if want := int(c.length/(50*time.Millisecond)) - 1; len(slots) < want {
					t.Errorf("%d scheduled probes, want %d: bursts are beside them", len(slots), want)
				}
				for i, v := range extra {
					if v.Seq >= 0 || v.Late() != 0 || i > 0 && c.hang == 0 && v.Send-extra[i-1].Send < int64(2*time.Millisecond) {
						t.Fatalf("burst probe %d: %+v", i, v)
					}
				}
			})
		})
	}
}

// A burst asks until the service answers, and stops.
func TestBurstEndsWithTheOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, extra := bursts(t, 3*time.Second, false, func(context.Context, int64) result {
			if at := time.Since(began); at >= time.Second && at < 2*time.Second {
				return result{Refused, "nobody"}
			}
			return good()
		})
		goods := 0
		for _, v := range extra {
			if v.Class == Good {
				goods++
			}
		}
		last := time.Unix(0, extra[len(extra)-1].Send).Sub(began)
		if goods != burstGoods || last > 2*time.Second+4*2*time.Millisecond+burstGentle*2*time.Millisecond {
			t.Errorf("%d good burst probes, the last at %s", goods, last)
		}
	})
}

// However it is cut short, an outage of refused connections is known to the burst's period at its end and, behind a tripwire,
// at its beginning; the slots of the schedule decide alone whether there is one.
func TestBracketsWithBursts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		at := func(t int64) int64 { return testClock.Mono + t }
		down := int64(3e9) + rapid.Int64Range(0, 1e9).Draw(rt, "down")
		up := down + rapid.Int64Range(3e8, 3e9).Draw(rt, "length")
		const rtt, quick = int64(3e5), int64(2e6)
		probe := func(seq, send int64, o Origin) Sample {
			s := Sample{Seq: seq, Due: at(send), Send: at(send), Done: at(send + rtt), Origin: o}
			if send >= down && send < up {
				s.Class = Refused
			}
			return s
		}
		var samples []Sample
		phase := rapid.Int64Range(0, int64(testPeriod)).Draw(rt, "phase")
		for n := int64(0); phase+n*int64(testPeriod) < up+3e9; n++ {
			samples = append(samples, probe(n, phase+n*int64(testPeriod), Scheduled))
		}
		cut := down + rapid.Int64Range(0, 2e5).Draw(rt, "cut seen after")
		for i, send := int64(0), cut+1e5; send < up+4*quick; i, send = i+1, send+quick {
			samples = append(samples, probe(-1-i, send, Burst))
		}
		samples = append(samples, Sample{Seq: 1, Due: at(0), Send: at(0), Done: at(cut), Class: Failed, Origin: Cut})
		got := Outages(samples, 1, storyOptions())
		if len(got) != 1 || got[0].End == nil {
			rt.Fatalf("%+v", got)
		}
		o, truth := got[0], drills.Interval{From: testClock.Time(at(down)), To: testClock.Time(at(up))}
		if o.Start.From.After(truth.From) || o.Start.To.Before(truth.From) || o.End.From.After(truth.To) || o.End.To.Before(truth.To) {
			rt.Fatalf("truth %v, brackets %v %v", truth, o.Start, *o.End)
		}
		if w := o.End.To.Sub(o.End.From); w > time.Duration(quick+rtt) {
			rt.Fatalf("the end is known to %s only", w)
		}
		if off := (o.Length() - time.Duration(up-down)).Abs(); off > time.Duration(quick) {
			rt.Fatalf("off by %s, began %v", off, o.Began)
		}
	})
}

// Neither broken idle connections nor burst failures make an outage of their own, and they weigh nothing in any share.
func TestExtraSamplesProveNothing(t *testing.T) {
	t.Parallel()
	s := story(g(90))
	s[30].Class = Failed // a slot that failed by chance, as they do, and a burst that failed with it
	for i := range int64(200) {
		s = append(s, Sample{Seq: -1 - i, Send: s[30].Send + 1 + i*1e5, Done: s[30].Send + 2 + i*1e5, Class: Refused, Origin: Burst})
	}
	s = append(s, Sample{Send: s[0].Send, Done: s[50].Send, Class: Failed, Origin: Cut})
	meta := ProbeMeta{Schema: ProbeSchema, Every: drills.Duration(testPeriod), Settle: drills.Duration(time.Second), Mono: testClock.Mono, Wall: testClock.Wall}
	m := measure(meta, s, drills.Interval{From: testClock.Wall, To: testClock.Wall.Add(10 * time.Second)})
	if len(m.Outages) != 0 || m.Count.Bad() != 1 || m.Count.Total() != 90 || m.Baseline != 89.0/90 || m.Burst != 200 || m.Cuts != 1 {
		t.Errorf("%+v", m)
	}
	cells := 0
	for _, c := range m.Strip {
		cells += c.Good + c.Bad
	}
	if cells != 90 {
		t.Errorf("%d samples in the strip", cells)
	}
}

// A tripwire is held again after it broke, and stamps when that was.
func TestTripwire(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]func(net.Conn){
		"reset":  func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0); _ = c.Close() },
		"closed": func(c net.Conn) { _, _ = fmt.Fprint(c, "bye"); _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			conns := make(chan net.Conn, 10)
			go func() {
				for c, err := l.Accept(); err == nil; c, err = l.Accept() {
					conns <- c
				}
				close(conns)
			}()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			cuts, ended := make(chan Sample, 10), make(chan struct{})
			go func() {
				defer close(ended)
				tripwire{open: newTCPCheck(drills.ProbeSpec{Address: l.Addr().String()}).idle, now: drills.Monotonic}.run(ctx, func(s Sample) { cuts <- s })
			}()
			first := <-conns
			wait(t, 20*time.Millisecond)
			before := drills.Monotonic()
			how(first)
			s := <-cuts
			if s.Origin != Cut || s.Done < before || time.Duration(s.Done-before) > 500*time.Millisecond || s.Send >= before || s.Class != Failed {
				t.Errorf("broken at %d, sample %+v", before, s)
			}
			second := <-conns
			cancel()
			<-ended
			if _, err := second.Read(make([]byte, 1)); err == nil || len(cuts) > 0 {
				t.Errorf("our own end is no cut, and leaves no connection: %v, %d", err, len(cuts))
			}
			_ = l.Close()
		})
	}
}
