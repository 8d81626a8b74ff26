package experiments

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
	"github.com/eevans-d/simulacro/experiments/helper/between"
)

func TestExchangePlans(t *testing.T) {
	const api = `"peers":[{"member":"api-1","ip":"10.0.0.21"},{"member":"api-2","ip":"10.0.0.22"}],`
	cases := []struct{ kind, with, args string }{
		{
			"http-fault", `{"host":"api.telegram.org","ports":[80],"rules":[{"match":{"path":"/bot*"},"share":"25%","status":{"code":429,"retry_after":"3s"}}]}`,
			`"hosts":["api.telegram.org"],"direction":"out","ports":[80],"protocol":"tcp","exchange":"http","rules":[{"match":{"path":"/bot*"},"share":0.25,"status":{"code":429,"retry_after":"3s"}}],`,
		},
		{
			"http-fault", `{"side":"in","ports":[8000],"rules":[{"delay":"5s"},{"body":{"corrupt":"1%"}}]}`,
			`"direction":"in","own_ports":[8000],"protocol":"tcp","exchange":"http","rules":[{"share":1,"delay":"5s"},{"share":1,"body":{"corrupt":0.01}}],`,
		},
		{
			"exchange-fault", `{"on":"api","ports":[8000],"share":"25%","delay":"5s"}`,
			api + `"direction":"out","ports":[8000],"protocol":"tcp","exchange":"tcp","rules":[{"share":0.25,"delay":"5s"}],`,
		},
		{
			"exchange-fault", `{"on":"api","side":"in","ports":[6379],"abort":"lose-answer"}`,
			api + `"direction":"in","own_ports":[6379],"protocol":"tcp","exchange":"tcp","rules":[{"share":1,"abort":"lose-answer"}],`,
		},
	}
	for _, c := range cases {
		f, err := build(t, c.kind, c.with)
		if err != nil {
			t.Fatal(err)
		}
		changes, err := f.Plan(scene("redis-1"))
		if err != nil || len(changes) != 1 {
			t.Fatalf("%d changes, %v", len(changes), err)
		}
		x := changes[0]
		got, seed, _ := strings.Cut(string(x.Do.Args), `"seed":`)
		if d := cmp.Diff(`{"mark":"20260102_r1_cut_redis_1",`+c.args, got); d != "" {
			t.Errorf("arguments (-want +got):\n%s", d)
		}
		if !strings.HasSuffix(seed, `,"prove":"5s"}`) || x.Do.Verb != "net.exchange" || x.Undo.Verb != "net.heal" || string(x.Undo.Args) != `{"mark":"20260102_r1_cut_redis_1"}` || x.Class != drills.ClassUndo {
			t.Errorf("change %+v, %s", x, seed)
		}
		s := scene("redis-1")
		s.Duration = 0
		if _, err := f.Plan(s); err == nil || !strings.Contains(err.Error(), "needs a duration") {
			t.Errorf("without a duration: %v", err)
		}
	}
}

func TestBadExchangeParameters(t *testing.T) {
	const rules = `"rules":[{"abort":"reset"}]`
	for _, c := range []struct{ kind, with, want string }{
		{"http-fault", `{"ports":[80],` + rules + `}`, "name the dependency"},
		{"http-fault", `{"on":"a","host":"b","ports":[80],` + rules + `}`, "either on: or host:"},
		{"http-fault", `{"on":"a",` + rules + `}`, "ports:"},
		{"http-fault", `{"on":"a","ports":[0],` + rules + `}`, "not a port"},
		{"http-fault", `{"on":"a","ports":[80]}`, "at least one rule"},
		{"http-fault", `{"on":"a","ports":[80],"side":"both",` + rules + `}`, "side:"},
		{"http-fault", `{"on":"a","ports":[443],` + rules + `}`, "encrypted"},
		{"http-fault", `{"on":"a","ports":[80],"prove":"5m",` + rules + `}`, "prove:"},
		{"http-fault", `{"on":"a","ports":[80],"rules":[{"share":"0%","abort":"reset"}]}`, "share"},
		{"http-fault", `{"on":"a","ports":[80],"rules":[{"status":{"code":42}}]}`, "42"},
		{"exchange-fault", `{"on":"a","ports":[5432]}`, "give a delay"},
		{"exchange-fault", `{"on":"a","ports":[5432],"abort":"hang"}`, "abort"},
	} {
		if f, err := build(t, c.kind, c.with); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, error %v, want one with %q", c.kind, c.with, f, err, c.want)
		}
	}
}

func exchangeOps(t *testing.T) (do, undo drills.Op) {
	t.Helper()
	do, undo = cutOps(t)
	op, err := drills.NewOp(verbExchange, do.Target, exchangeArgs{
		Mark: "run_cut_redis_1", Peers: []peerAddress{{"redis-2", "10.0.0.2"}}, Path: helper.Path{Direction: helper.Out, Ports: []int{80}},
		Exchange: between.HTTP, Rules: []between.Rule{{Share: 1, Abort: between.Reset}}, Seed: 1, Prove: proveWithin,
	})
	if err != nil {
		t.Fatal(err)
	}
	op.ID = do.ID
	return op, undo
}

// asked is a helper whose proxy saw as many requests and hit as many.
func asked(seen, hit uint64) func(*fakeProcess) {
	return func(p *fakeProcess) {
		e := helper.Exchanges{Counts: between.Counts{Asked: seen, Hit: hit}}
		for {
			p.say("beat", helper.Beat{Exchanges: &e, Peers: map[string]uint64{"10.0.0.2": 1}})
			select {
			case <-p.in:
				p.say("done", helper.Done{Beat: helper.Beat{Exchanges: &e}, Why: "stop", UndoneMono: drills.Monotonic()})
				return
			case <-p.closed:
				return
			case <-time.After(250 * time.Millisecond):
			}
		}
	}
}

func TestExchangesThatAreHitProveTheFault(t *testing.T) {
	n, h := newFakeNet(t, nil)
	h.run, h.way = asked(9, 4), helper.WayProxy
	do, undo := exchangeOps(t)
	e, err := n.Apply(t.Context(), do)
	if err != nil || !e.Proven || e.Source != helper.WayProxy {
		t.Fatalf("%+v, %v", e, err)
	}
	if d := evidenceOf(t, e); d.Exchanges == nil || d.Exchanges.Asked != 9 || d.Exchanges.Hit != 4 || d.LedByPeer["10.0.0.2"] != 1 || len(d.ByPeer) != 0 {
		t.Errorf("evidence %+v", d)
	}
	if u, err := n.Apply(t.Context(), undo); err != nil || !u.Proven {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestExchangesThatPassProveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, h := newFakeNet(t, nil)
		h.run = asked(100, 0)
		do, _ := exchangeOps(t)
		if e, err := n.Apply(t.Context(), do); err != nil || e.Proven {
			t.Errorf("%+v, %v: requests were seen and none was hit", e, err)
		}
		if err := n.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
