package experiments

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/drilltest"
	"github.com/eevans-d/simulacro/experiments/helper"
)

func TestTrafficPlans(t *testing.T) {
	const api = `"peers":[{"member":"api-1","ip":"10.0.0.21"},{"member":"api-2","ip":"10.0.0.22"}],`
	cases := []struct{ kind, with, verb, args string }{
		{
			"latency", `{"peers":[{"component":"api"}],"own-ports":[6379],"protocol":"tcp","delay":"100ms","jitter":"20ms","distribution":"normal","correlation":"25%"}`, "net.latency",
			api + `"direction":"out","own_ports":[6379],"protocol":"tcp","latency":{"delay":"100ms","jitter":"20ms","distribution":"normal","correlation":0.25},`,
		},
		{"latency", `{"delay":"1s"}`, "net.latency", `"direction":"out","latency":{"delay":"1s","distribution":"uniform"},`},
		{"packet-loss", `{"share":"10%","burst":5,"direction":"in"}`, "net.loss", `"direction":"in","loss":{"share":0.1,"burst":5},`},
		{"packet-corruption", `{"share":"0.5%","undetected":true}`, "net.corrupt", `"direction":"out","corruption":{"share":0.005,"repair":true},`},
		{"packet-reordering", `{"share":"25%"}`, "net.reorder", `"direction":"out","reordering":{"share":0.25,"by":"20ms"},`},
		{"packet-duplication", `{"share":"5%","peers":[{"component":"api"}]}`, "net.duplicate", api + `"direction":"out","duplication":{"share":0.05},`},
		{"bandwidth", `{"rate":"1.5Mbit/s","hosts":["api.telegram.org"]}`, "net.bandwidth", `"hosts":["api.telegram.org"],"direction":"both","bandwidth":{"rate":1500000,"limit":"400ms"},`},
		{"connection-reset", `{"ports":[5432],"refuse":true}`, "net.reset", `"direction":"both","ports":[5432],"protocol":"tcp","reset":{"share":1,"new":true},`},
		{"dns", `{"mode":"wrong","address":"192.0.2.1","names":["*.telegram.org"]}`, "net.dns", `"dns":{"mode":"wrong","names":["*.telegram.org"],"address":"192.0.2.1","share":1},`},
		{"dependency-outage", `{"on":"api","as":"refused"}`, "net.reset", api + `"direction":"both","protocol":"tcp","reset":{"share":1,"new":true},`},
		{"dependency-outage", `{"on":"api","as":"unknown-name"}`, "net.dns", `"dns":{"mode":"nxdomain","names":["api-1","api-2"]},`},
	}
	for _, c := range cases {
		t.Run(c.kind+" "+c.verb, func(t *testing.T) {
			f, err := build(t, c.kind, c.with)
			if err != nil {
				t.Fatal(err)
			}
			changes, err := f.Plan(scene("redis-1"))
			if err != nil || len(changes) != 1 {
				t.Fatalf("%d changes, %v", len(changes), err)
			}
			x := changes[0]
			want := `{"mark":"20260102_r1_cut_redis_1",` + c.args + `"seed":1,"prove":"5s"}`
			if d := cmp.Diff(want, string(x.Do.Args)); d != "" {
				t.Errorf("arguments (-want +got):\n%s", d)
			}
			if x.Do.Verb != c.verb || x.Undo.Verb != "net.heal" || string(x.Undo.Args) != `{"mark":"20260102_r1_cut_redis_1"}` || x.Class != drills.ClassUndo {
				t.Errorf("change %+v", x)
			}
			s := scene("redis-1")
			s.Duration = 0
			if _, err := f.Plan(s); err == nil || !strings.Contains(err.Error(), "needs a duration") {
				t.Errorf("without a duration: %v", err)
			}
		})
	}
}

func TestADependencyOutageInSilenceIsAPartition(t *testing.T) {
	f, err := build(t, "dependency-outage", `{"on":"api","ports":[8000]}`)
	if err != nil {
		t.Fatal(err)
	}
	p, err := build(t, "partition", `{"from":[{"component":"api"}],"ports":[8000]}`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Plan(scene("redis-1"))
	if err != nil {
		t.Fatal(err)
	}
	want, _ := p.Plan(scene("redis-1"))
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestBadTrafficParameters(t *testing.T) {
	cases := []struct{ kind, with, want string }{
		{"latency", `{}`, "delay: or jitter:"},
		{"latency", `{"delay":"1s","distribution":"flat"}`, "distribution"},
		{"latency", `{"delay":"1s","correlation":"100%"}`, "below 100%"},
		{"latency", `{"delay":"1s","correlation":"0.3"}`, "not a percentage"},
		{"latency", `{"delay":"1s","direction":"up"}`, "direction"},
		{"latency", `{"delay":"1s","protocol":"sctp"}`, "protocol"},
		{"latency", `{"delay":"1s","protocol":"icmp","ports":[1]}`, "icmp has no ports"},
		{"latency", `{"delay":"1s","own-ports":[70000]}`, "70000"},
		{"latency", `{"delay":"1s","peers":[{"role":"primary"}]}`, "needs a component"},
		{"packet-loss", `{}`, "share"},
		{"packet-loss", `{"share":"101%"}`, "not a percentage"},
		{"packet-loss", `{"share":"1%","burst":0.5}`, "burst"},
		{"packet-corruption", `{}`, "share"},
		{"packet-reordering", `{"share":"1%","by":"0s"}`, "by:"},
		{"packet-duplication", `{"share":"1%"}`, "peers"},
		{"packet-duplication", `{"share":"1%","hosts":["a"],"direction":"in"}`, "direction"},
		{"bandwidth", `{}`, "rate"},
		{"bandwidth", `{"rate":"1M"}`, "not a rate"},
		{"bandwidth", `{"rate":"10bit"}`, "at least 1kbit"},
		{"connection-reset", `{"protocol":"udp"}`, "only TCP"},
		{"dns", `{}`, "mode"},
		{"dns", `{"mode":"wrong"}`, "address"},
		{"dns", `{"mode":"nxdomain","address":"1.2.3.4"}`, "address"},
		{"dns", `{"mode":"slow"}`, "delay"},
		{"dependency-outage", `{}`, "either on: or host:"},
		{"dependency-outage", `{"on":"a","host":"b"}`, "either on: or host:"},
		{"dependency-outage", `{"on":"a","as":"dead"}`, "as:"},
		{"dependency-outage", `{"on":"a","as":"unknown-name","ports":[1]}`, "ports"},
	}
	for _, c := range cases {
		if f, err := build(t, c.kind, c.with); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, error %v, want one with %q", c.kind, c.with, f, err, c.want)
		}
	}
}

func latencyOps(t *testing.T) (do, undo drills.Op) {
	t.Helper()
	do, undo = cutOps(t)
	args := trafficArgs{
		Mark: "run_cut_redis_1", Peers: []peerAddress{{"redis-2", "10.0.0.2"}}, Seed: 1, Prove: proveWithin,
		Effects: helper.Effects{Latency: &helper.Latency{Delay: drills.Duration(time.Second)}},
	}
	op, err := drills.NewOp(verbLatency, do.Target, args)
	if err != nil {
		t.Fatal(err)
	}
	op.ID = do.ID
	return op, undo
}

// holding is a helper whose queue has held packets.
func holding(p *fakeProcess) {
	p.say("beat", helper.Beat{Traffic: &helper.Traffic{Seen: 9, Affected: 9, HoldP50: 1_001_000}, RTT: 1_002_000})
	select {
	case <-p.in:
	case <-p.closed:
	}
	p.say("done", helper.Done{Beat: helper.Beat{Traffic: &helper.Traffic{Seen: 12, Affected: 12}}, Why: "stop", UndoneMono: 1})
}

func TestAFaultOnTrafficSaysHowItWasDoneAndProven(t *testing.T) {
	n, h := newFakeNet(t, func(id, why string) { t.Errorf("ended: %s %s", id, why) })
	h.run, h.way, h.not = holding, helper.WayQueue, "eth0 has one already"
	do, undo := latencyOps(t)
	e, err := n.Apply(t.Context(), do)
	if err != nil || !e.Proven || e.Source != "nfqueue" {
		t.Fatalf("effect %+v, %v", e, err)
	}
	if d := evidenceOf(t, e); d.Backend != "nfqueue" || d.NotNetem != "eth0 has one already" || d.Traffic == nil || d.Traffic.HoldP50 != 1_001_000 || d.RTTDuring != 1_002_000 {
		t.Errorf("evidence %+v", d)
	}
	u, err := n.Apply(t.Context(), undo)
	if err != nil || !u.Proven || evidenceOf(t, u).Traffic.Affected != 12 {
		t.Errorf("undo %+v, %v", u, err)
	}
}

// TestNetemOfAKilledHelperIsSweptByTheUndo: with a helper that ends with a word of its own nothing is swept.
func TestNetemOfAKilledHelperIsSweptByTheUndo(t *testing.T) {
	const table = "simulacro_run_cut_redis_1"
	for name, killed := range map[string]bool{"killed": true, "told to stop": false} {
		for _, undoer := range []string{"undo", "close"} {
			t.Run(name+", "+undoer, func(t *testing.T) {
				ended := make(chan string, 1)
				n, h := newFakeNet(t, func(_, why string) { ended <- why })
				h.way, h.qdiscs = helper.WayNetem, map[string]bool{table: true}
				h.run = func(p *fakeProcess) {
					p.say("beat", helper.Beat{Netem: &helper.Netem{Led: 4, Affected: 3}, Peers: map[string]uint64{"10.0.0.2": 4}})
					if killed {
						return
					}
					<-p.in
					h.mu.Lock()
					delete(h.qdiscs, table)
					h.mu.Unlock()
					p.say("done", helper.Done{Why: "stop", UndoneMono: 1})
				}
				do, undo := latencyOps(t)
				e, err := n.Apply(t.Context(), do)
				if d := evidenceOf(t, e); err != nil || !e.Proven || e.Source != "netem" || d.Netem == nil || d.Netem.Affected != 3 || d.LedByPeer["10.0.0.2"] != 4 || d.ByPeer != nil {
					t.Fatalf("effect %+v with %+v, %v", e, d, err)
				}
				if killed {
					<-ended
					if there, err := n.Present(t.Context(), do); err != nil || !there {
						t.Errorf("present %v, %v with netem that was left", there, err)
					}
				}
				if undoer == "close" {
					err = n.Close(t.Context())
				} else {
					_, err = n.Apply(t.Context(), undo)
				}
				if there, seen := n.Present(t.Context(), do); err != nil || seen != nil || there || (h.swept > 0) != killed {
					t.Errorf("present %v, %v, %v after the undo; swept %d times", there, err, seen, h.swept)
				}
			})
		}
	}
}

func TestTrafficConforms(t *testing.T) {
	n, h := newFakeNet(t, nil)
	h.run, h.way = holding, helper.WayQueue
	do, undo := latencyOps(t)
	drilltest.Actuator(t, drilltest.ActuatorCase{Name: "net.latency", Change: drills.Change{Do: do, Undo: undo}, Actuator: n})
}

func TestAFrozenHelperIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan string, 1)
		n, h := newFakeNet(t, func(_, why string) { ended <- why })
		h.run = func(p *fakeProcess) { p.say("beat", helper.Beat{Dropped: 1}); <-p.closed }
		do, undo := latencyOps(t)
		began := time.Now()
		if _, err := n.Apply(t.Context(), do); err != nil {
			t.Fatal(err)
		}
		why := <-ended
		if took := time.Since(began); !strings.Contains(why, "frozen") || took != helperSilence {
			t.Errorf("told %q after %v, want that it is frozen after %v", why, took, helperSilence)
		}
		if e, err := n.Apply(t.Context(), undo); err != nil || !strings.Contains(e.Skipped, "frozen") {
			t.Errorf("undo %+v, %v", e, err)
		}
	})
}
