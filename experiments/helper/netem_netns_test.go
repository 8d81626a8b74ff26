package helper

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// newNetemLab is a lab on a kernel with netem. Elsewhere the test is skipped, or fails where SIMULACRO_REQUIRE_NETEM says
// that there must be one: `make test-netem` boots such a kernel.
func newNetemLab(t *testing.T) *lab {
	t.Helper()
	if testing.Short() {
		t.Skip("makes network namespaces: not with -short")
	}
	l := newLab(t)
	out, err := l.try("tc", "-n", l.target, "qdisc", "add", "dev", "cable", "root", "netem", "delay", "1ms")
	if err != nil {
		why := "this kernel has no netem: " + out
		if os.Getenv("SIMULACRO_REQUIRE_NETEM") == "1" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	l.run("tc", "-n", l.target, "qdisc", "del", "dev", "cable", "root")
	// As engines have it in their containers: without it nobody but root may ask for an echo, and not by this way.
	l.run("ip", "netns", "exec", l.target, "sh", "-c", "echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range")
	return l
}

// qdiscs are the target's queueing disciplines as tc shows them.
func (l *lab) qdiscs() string {
	l.t.Helper()
	return strings.TrimSpace(l.run("tc", "-n", l.target, "qdisc", "show", "dev", "cable"))
}

// untouched fails unless the interface has what the kernel gives it, and there is no table.
func (l *lab) untouched(t *testing.T) {
	t.Helper()
	if got := l.qdiscs(); got != "qdisc noqueue 0: root refcnt 2" {
		t.Errorf("at the interface: %s", got)
	}
	if got := l.run("ip", "netns", "exec", l.target, "nft", "list", "tables"); got != "" {
		t.Errorf("tables: %s", got)
	}
}

// slow is a delay by netem of what the target sends to one address.
func slow(op, peer string, by int) TrafficSpec {
	return TrafficSpec{
		Kind: KindTraffic, Op: op, Lease: drills.Duration(time.Minute),
		Path: Path{Peers: []string{peer}}, Effects: Effects{Latency: &Latency{Delay: ms(by)}},
	}
}

func TestNetemShapesWhatIsLedToIt(t *testing.T) {
	l := newNetemLab(t)
	l.echoes()
	millis := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	all := []string{"10.99.0.2"}
	for _, c := range []struct {
		name string
		spec TrafficSpec
		n    int
		want func(t *testing.T, x exchange, d Done)
	}{
		{"delay", TrafficSpec{Effects: Effects{Latency: &Latency{Delay: ms(150)}}}, 200, func(t *testing.T, x exchange, d Done) {
			within(t, "lost", x.lost(), 0, 0)
			within(t, "overtaken", float64(x.overtaken()), 0, 0)
			within(t, "median ms", millis(x.median()), 149, 300)
			within(t, "held", float64(d.Affected()), 200, 210)
			within(t, "round trip ms", float64(d.RTT)/1000, 149, 300)
		}},
		{"loss", TrafficSpec{Effects: Effects{Loss: &Loss{Share: 0.1}}}, 3000, func(t *testing.T, x exchange, d Done) {
			within(t, "lost", x.lost(), 0.075, 0.125)
			within(t, "said", d.Netem.Share, x.lost()-0.001, x.lost()+0.001)
			within(t, "affected", float64(d.Affected()), x.lost()*3000-0.1, x.lost()*3000+0.1)
		}},
		{"loss in bursts", TrafficSpec{Effects: Effects{Loss: &Loss{Share: 0.1, Burst: 5}}}, 6000, func(t *testing.T, x exchange, _ Done) {
			_, mean := x.runs()
			within(t, "lost", x.lost(), 0.05, 0.15)
			within(t, "burst", mean, 3.5, 6.5)
		}},
		{"all is lost", TrafficSpec{Effects: Effects{Loss: &Loss{Share: 1}}}, 100, func(t *testing.T, x exchange, _ Done) {
			within(t, "lost", x.lost(), 1, 1)
		}},
		{"duplication", TrafficSpec{Effects: Effects{Duplication: &Duplication{Share: 0.2}}}, 1000, func(t *testing.T, x exchange, d Done) {
			within(t, "lost", x.lost(), 0, 0)
			within(t, "twice", x.doubled(), 0.14, 0.26)
			within(t, "said", float64(d.Affected())/1000, x.doubled(), x.doubled())
		}},
		{"another peer", TrafficSpec{Path: Path{Peers: []string{"10.99.0.9"}}, Effects: Effects{Loss: &Loss{Share: 1}}}, 100, func(t *testing.T, x exchange, d Done) {
			within(t, "lost", x.lost(), 0, 0)
			within(t, "median ms", millis(x.median()), 0, 50)
			within(t, "affected", float64(d.Affected()), 0, 0)
		}},
		{"another port", TrafficSpec{Path: Path{Peers: all, Ports: []int{7}, Protocol: UDP}, Effects: Effects{Latency: &Latency{Delay: ms(300)}}}, 100, func(t *testing.T, x exchange, d Done) {
			within(t, "median ms", millis(x.median()), 0, 50)
			within(t, "affected", float64(d.Affected()), 0, 0)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var x exchange
			a, d := l.during(c.spec, func() { x = l.exchange(c.n, time.Millisecond) })
			t.Logf("%s; %+v; %+v", x, a, d.Netem)
			if a.Way != WayNetem || a.NotNetem != "" || d.Netem == nil {
				t.Fatalf("way %q, because: %s", a.Way, a.NotNetem)
			}
			c.want(t, x, d)
			l.untouched(t)
		})
	}
}

// TestNetemLosesPacketsOfAStreamOneByOne: buffers of up to 64 KiB are cut into packets before lots are drawn.
func TestNetemLosesPacketsOfAStreamOneByOne(t *testing.T) {
	l := newNetemLab(t)
	l.takes()
	_, d := l.during(TrafficSpec{Effects: Effects{Loss: &Loss{Share: 0.02}}}, func() {
		if err := l.pour(4 << 20); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%+v", *d.Netem)
	if d.Netem.Led*2 > d.Netem.Passed {
		t.Errorf("%d packets left netem and %d buffers came: the target sends no large buffers, which proves nothing", d.Netem.Passed, d.Netem.Led)
	}
	size := float64(d.Netem.Bytes) / float64(d.Netem.Passed)
	within(t, "bytes a packet", size, 500, 1518)
	within(t, "share", d.Netem.Share, 0.01, 0.03)
}

func TestNetemIsNotBuiltWhereItMustNotBe(t *testing.T) {
	l := newNetemLab(t)
	for _, c := range []struct {
		name, want, way string
		spec            TrafficSpec
		qdisc           []string
	}{
		{"somebody's pfifo", "cable has a queueing discipline already: pfifo 8", WayQueue, slow("a", "10.99.0.2", 20), []string{"root", "pfifo", "limit", "77"}},
		{"somebody's prio with a number like ours", "already: prio 5123:0", WayQueue, slow("a", "10.99.0.2", 20), []string{"root", "handle", "5123:", "prio"}},
		{"somebody's netem", "already: netem 8", WayQueue, slow("a", "10.99.0.2", 20), []string{"root", "netem", "limit", "55"}},
		{"what comes in", "outlive a killed helper", WayQueue, TrafficSpec{Path: Path{Direction: Both}, Effects: Effects{Latency: &Latency{Delay: ms(1)}}}, nil},
		{"jitter", "overtake each other", WayQueue, TrafficSpec{Effects: Effects{Latency: &Latency{Jitter: ms(1)}}}, nil},
		{"a long delay", "cannot let go", WayQueue, slow("a", "10.99.0.2", 1001), nil},
		{"corruption", "Ethernet and IP headers", WayQueue, TrafficSpec{Effects: Effects{Corruption: &Corruption{Share: 1}}}, nil},
		{"reordering", "in reverse", WayQueue, TrafficSpec{Effects: Effects{Reordering: &Reordering{Share: 1, By: ms(1)}}}, nil},
		{"bandwidth", "by packets", WayQueue, TrafficSpec{Effects: Effects{Bandwidth: &Bandwidth{Rate: 1e6}}}, nil},
		{"reset", "", WayRules, TrafficSpec{Effects: Effects{Reset: &Reset{Share: 1}}}, nil},
		{"somebody's, and copies", "already: pfifo", WayRules, TrafficSpec{Effects: Effects{Duplication: &Duplication{Share: 1}}}, []string{"root", "pfifo", "limit", "77"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.qdisc != nil {
				l.run(append([]string{"tc", "-n", l.target, "qdisc", "add", "dev", "cable"}, c.qdisc...)...)
				defer l.run("tc", "-n", l.target, "qdisc", "del", "dev", "cable", "root")
			}
			there := l.qdiscs()
			a, _ := l.during(c.spec, func() {
				if now := l.qdiscs(); now != there {
					t.Errorf("under the fault %s, before it %s", now, there)
				}
			})
			if a.Way != c.way || !strings.Contains(a.NotNetem, c.want) || (c.want == "") != (a.NotNetem == "") {
				t.Errorf("way %q, because: %s; want %q, because: %s", a.Way, a.NotNetem, c.way, c.want)
			}
			if now := l.qdiscs(); now != there {
				t.Errorf("afterwards %s, before %s", now, there)
			}
		})
	}
}

// TestAKilledHelpersNetemIsHarmlessAndIsRemoved: the rules that lead packets to netem go with the helper, in the kernel;
// the rest has no owner, does nothing, is seen by an inspection and is removed by a sweep or by the next fault.
func TestAKilledHelpersNetemIsHarmlessAndIsRemoved(t *testing.T) {
	l := newNetemLab(t)
	l.serves()
	kill := func(t *testing.T, op string) {
		t.Helper()
		p := l.start(slow(op, "10.99.0.2", 700))
		var a Applied
		if p.next("ready", &a); a.Way != WayNetem {
			t.Fatalf("way %q: %s", a.Way, a.NotNetem)
		}
		c, err := l.connect()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if took, err := fetch(c, 1); err != nil || took < 700*time.Millisecond {
			t.Fatalf("under the fault %v, %v", took, err)
		}
		var seen Inspected
		l.start(InspectSpec{Kind: KindInspect}).next("ready", &seen)
		if rules, netem := seen.Holds(TablePrefix + op); !rules || !netem {
			t.Errorf("an inspection sees %+v of a fault in force", seen)
		}
		killed := time.Now()
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = p.cmd.Wait()
		took, err := fetch(c, 1)
		t.Logf("an answer %v after the kill", time.Since(killed))
		if err != nil || took > 600*time.Millisecond || time.Since(killed) > 2*time.Second {
			t.Errorf("after the kill %v, %v", took, err)
		}
		if !strings.Contains(l.qdiscs(), "netem") {
			t.Error("netem is gone: this test proves nothing")
		}
	}
	look := func(spec any) (seen Inspected) {
		t.Helper()
		l.start(spec).next("ready", &seen)
		return seen
	}
	t.Run("swept", func(t *testing.T) {
		kill(t, "killed")
		seen := look(InspectSpec{Kind: KindInspect})
		if rules, netem := seen.Holds(TablePrefix + "killed"); rules || !netem {
			t.Errorf("an inspection sees %+v", seen)
		}
		if seen = look(SweepSpec{Kind: KindSweep, Op: "another"}); len(seen.Qdiscs) != 1 {
			t.Errorf("after a sweep of another fault's: %+v", seen)
		}
		if seen = look(SweepSpec{Kind: KindSweep, Op: "killed"}); len(seen.Qdiscs) != 0 {
			t.Errorf("after the sweep: %+v", seen)
		}
		l.untouched(t)
	})
	t.Run("the next fault takes its place", func(t *testing.T) {
		kill(t, "first")
		p := l.start(slow("second", "10.99.0.2", 20))
		var a Applied
		if p.next("ready", &a); a.Way != WayNetem {
			t.Errorf("way %q: %s", a.Way, a.NotNetem)
		}
		if seen := look(InspectSpec{Kind: KindInspect}); !slices.Equal(seen.Qdiscs, []uint16{QdiscTag(TablePrefix + "second")}) {
			t.Errorf("an inspection sees %+v", seen)
		}
		_ = p.in.Close()
		p.next("done", &Done{})
		l.untouched(t)
	})
}

func TestALivingHelpersNetemStays(t *testing.T) {
	l := newNetemLab(t)
	p := l.start(slow("living", "10.99.0.2", 20))
	p.next("ready", &Applied{})
	var seen Inspected
	l.start(SweepSpec{Kind: KindSweep, Op: "living"}).next("ready", &seen)
	if rules, netem := seen.Holds(TablePrefix + "living"); !rules || !netem {
		t.Errorf("after a sweep: %+v", seen)
	}
	second := l.start(slow("second", "10.99.0.2", 20))
	var a Applied
	if second.next("ready", &a); a.Way != WayQueue || !strings.Contains(a.NotNetem, "netem of another fault") {
		t.Errorf("a second fault: way %q: %s", a.Way, a.NotNetem)
	}
	_ = second.in.Close()
	second.next("done", &Done{})
	l.run("tc", "-n", l.target, "qdisc", "replace", "dev", "cable", "root", "pfifo", "limit", "77")
	var d Done
	if p.next("done", &d); d.Why != "displaced" {
		t.Errorf("somebody replaced it: ended by %q", d.Why)
	}
	if now := l.qdiscs(); !strings.Contains(now, "pfifo") || !strings.Contains(now, "77p") {
		t.Errorf("somebody's own: %s", now)
	}
}

// TestNetemThatStillHoldsPacketsLetsThemLeave: the undo waits for what is in it.
func TestNetemThatStillHoldsPacketsLetsThemLeave(t *testing.T) {
	l := newNetemLab(t)
	l.echoes()
	var x exchange
	began := make(chan struct{})
	done := make(chan struct{})
	_, d := l.during(TrafficSpec{Effects: Effects{Latency: &Latency{Delay: ms(400)}}}, func() {
		go func() {
			defer close(done)
			close(began)
			x = l.exchange(20, time.Millisecond)
		}()
		<-began
		time.Sleep(100 * time.Millisecond)
	})
	<-done
	t.Logf("%s; %+v", x, *d.Netem)
	within(t, "lost", x.lost(), 0, 0)
	if d.Netem.Waiting != 0 || d.Affected() < 20 {
		t.Errorf("%+v", *d.Netem)
	}
	l.untouched(t)
}
