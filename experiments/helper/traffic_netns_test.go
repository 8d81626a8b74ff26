package helper

import (
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

func ms(n int) drills.Duration { return drills.Duration(time.Duration(n) * time.Millisecond) }

// within checks bounds.
func within(t *testing.T, what string, got, from, to float64) {
	t.Helper()
	if got < from || got > to {
		t.Errorf("%s %.4g, want %.4g to %.4g", what, got, from, to)
	}
}

// during runs f while the fault holds and returns what the helper says that it did.
func (l *lab) during(s TrafficSpec, f func()) (Applied, Done) {
	l.t.Helper()
	s.Kind, s.Op, s.Lease, s.Seed = KindTraffic, "traffic", drills.Duration(time.Minute), 7
	if s.everyone() && s.DNS == nil {
		s.Peers = []string{"10.99.0.2"}
	}
	p := l.start(s)
	var a Applied
	p.next("ready", &a)
	// A queue counts as of its second beat, netem as soon as a beat tells of it.
	for b := (Beat{}); a.Way == WayQueue && b.Traffic == nil || a.Way == WayNetem && b.Netem == nil; {
		p.next("beat", &b)
	}
	f()
	_ = p.in.Close()
	var d Done
	p.next("done", &d)
	return a, d
}

// said is the share of packets that were dropped, as the helper tells it, whichever way it went.
func said(d Done) float64 {
	if d.Netem != nil {
		return d.Netem.Share
	}
	return d.Traffic.Share
}

func TestTrafficInANetworkNamespace(t *testing.T) {
	if testing.Short() {
		t.Skip("makes network namespaces: not with -short")
	}
	l := newLab(t)
	l.echoes()
	millis := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	for _, c := range []struct {
		name  string
		spec  TrafficSpec
		n     int
		every time.Duration
		want  func(t *testing.T, x exchange, d Done)
	}{
		{"nothing", TrafficSpec{Path: Path{Peers: []string{"10.99.0.9"}}, Effects: Effects{Loss: &Loss{Share: 1}}}, 100, time.Millisecond, func(t *testing.T, x exchange, d Done) {
			within(t, "lost", x.lost(), 0, 0)
			within(t, "median ms", millis(x.median()), 0, 10)
			within(t, "affected", float64(d.Affected()), 0, 0)
		}},
		{"latency", TrafficSpec{Effects: Effects{Latency: &Latency{Delay: ms(100), Jitter: ms(20)}}}, 200, 30 * time.Millisecond, func(t *testing.T, x exchange, d Done) {
			within(t, "lost", x.lost(), 0, 0)
			within(t, "median ms", millis(x.median()), 98, 200) // a busy machine adds
			within(t, "hold p50 ms", float64(d.Traffic.HoldP50)/1000, 98, 200)
			within(t, "overtaken", float64(x.overtaken()), 0, 0)
			within(t, "affected", float64(d.Affected()), 200, 210)
		}},
		{"latency both ways", TrafficSpec{Path: Path{Direction: Both}, Effects: Effects{Latency: &Latency{Delay: ms(40)}}}, 100, 2 * time.Millisecond, func(t *testing.T, x exchange, d Done) {
			within(t, "median ms", millis(x.median()), 80, 200)
			within(t, "affected", float64(d.Affected()), 200, 210)
		}},
		{"loss", TrafficSpec{Effects: Effects{Loss: &Loss{Share: 0.1}}}, 3000, time.Millisecond / 4, func(t *testing.T, x exchange, d Done) {
			within(t, "lost", x.lost(), 0.075, 0.125) // 4.5 standard deviations
			within(t, "said", said(d), x.lost()-0.001, x.lost()+0.001)
		}},
		{"loss in bursts", TrafficSpec{Effects: Effects{Loss: &Loss{Share: 0.1, Burst: 5}}}, 6000, time.Millisecond / 4, func(t *testing.T, x exchange, _ Done) {
			_, mean := x.runs()
			within(t, "lost", x.lost(), 0.05, 0.15)
			within(t, "burst", mean, 3.5, 6.5)
		}},
		{"corruption", TrafficSpec{Effects: Effects{Corruption: &Corruption{Share: 0.2}}}, 1000, time.Millisecond / 2, func(t *testing.T, x exchange, _ Done) {
			within(t, "lost, the checksum being wrong", x.lost(), 0.14, 0.26)
			within(t, "bad", float64(x.bad), 0, 0)
		}},
		{"corruption that gets through", TrafficSpec{Effects: Effects{Corruption: &Corruption{Share: 0.2, Repair: true}}}, 1000, time.Millisecond / 2, func(t *testing.T, x exchange, _ Done) {
			within(t, "lost", x.lost(), 0, 0.02) // a wrong number may mean another datagram
			within(t, "bad", float64(x.bad)/1000, 0.13, 0.26)
		}},
		{"reordering", TrafficSpec{Effects: Effects{Reordering: &Reordering{Share: 0.2, By: ms(30)}}}, 500, 2 * time.Millisecond, func(t *testing.T, x exchange, _ Done) {
			within(t, "lost", x.lost(), 0, 0)
			within(t, "overtaken", float64(x.overtaken())/500, 0.12, 0.28)
		}},
		{"duplication", TrafficSpec{Effects: Effects{Duplication: &Duplication{Share: 0.2}}}, 1000, time.Millisecond / 2, func(t *testing.T, x exchange, d Done) {
			within(t, "lost", x.lost(), 0, 0)
			within(t, "twice", x.doubled(), 0.14, 0.26)
			within(t, "said", float64(d.Affected())/1000, x.doubled(), x.doubled())
		}},
		{"other port", TrafficSpec{Path: Path{Ports: []int{7}}, Effects: Effects{Loss: &Loss{Share: 1}}}, 100, time.Millisecond, func(t *testing.T, x exchange, _ Done) {
			within(t, "lost", x.lost(), 0, 0)
		}},
		{"this port", TrafficSpec{Path: Path{Ports: []int{7777}, Protocol: UDP}, Effects: Effects{Loss: &Loss{Share: 1}}}, 100, time.Millisecond, func(t *testing.T, x exchange, _ Done) {
			within(t, "lost", x.lost(), 1, 1)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var x exchange
			a, d := l.during(c.spec, func() { x = l.exchange(c.n, c.every) })
			t.Logf("%s; %s; %+v %+v", x, a.Way, d, d.Traffic)
			c.want(t, x, d)
		})
	}
	if out := l.run("ip", "netns", "exec", l.target, "nft", "list", "tables"); out != "" {
		t.Errorf("left behind: %s", out)
	}
}

// TestTheEndLosesNothing: what is held back when the fault ends arrives, and soon: senders would wait for a second else.
func TestTheEndLosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("makes network namespaces: not with -short")
	}
	l := newLab(t)
	l.echoes()
	sent := make(chan exchange, 1)
	a, d := l.during(TrafficSpec{Effects: Effects{Latency: &Latency{Delay: ms(60000)}}}, func() {
		go func() { sent <- l.exchange(100, 20*time.Millisecond) }() // for longer than a slow machine takes to end the fault
		time.Sleep(50 * time.Millisecond)                            // some are held by then
	})
	if a.Way != WayQueue {
		t.Fatalf("by %s: a minute is for the queue", a.Way)
	}
	x := <-sent
	t.Logf("%s; %+v %+v", x, d, d.Traffic)
	within(t, "lost", x.lost(), 0, 0)
	within(t, "overtaken", float64(x.overtaken()), 0, 0)
	within(t, "affected", float64(d.Affected()), 1, 100)
}
