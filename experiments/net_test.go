package experiments

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/drilltest"
	"github.com/eevans-d/simulacro/experiments/helper"
)

func newFakeNet(t *testing.T, onEnd func(string, string)) (*Net, *fakeHelper) {
	h := &fakeHelper{t: t, tables: map[string]bool{}, run: dropping}
	return NewNet(h, nil, onEnd), h
}

func cutOps(t *testing.T) (do, undo drills.Op) {
	t.Helper()
	do, err := drills.NewOp(verbPartition, "target-id", partitionArgs{
		Mark: "run_cut_redis_1", Peers: []peerAddress{{"redis-2", "10.0.0.2"}}, Path: helper.Path{Direction: "both"}, Prove: proveWithin,
	})
	if err != nil {
		t.Fatal(err)
	}
	undo, err = drills.NewOp(verbHeal, "target-id", healArgs{Mark: "run_cut_redis_1"})
	if err != nil {
		t.Fatal(err)
	}
	do.ID, undo.ID = "cut.1.do", "cut.1.undo"
	return do, undo
}

func evidenceOf(t *testing.T, e drills.Effect) dropEvidence {
	t.Helper()
	var d dropEvidence
	if err := json.Unmarshal(e.Evidence, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestPartitionAndHeal(t *testing.T) {
	n, h := newFakeNet(t, func(id, why string) { t.Errorf("ended: %s %s", id, why) })
	do, undo := cutOps(t)
	before := time.Now()
	e, err := n.Apply(t.Context(), do)
	if err != nil || !e.Proven || e.Source != netBackend {
		t.Fatalf("effect %+v, error %v", e, err)
	}
	if e.From.Before(before.Add(-time.Millisecond)) || e.To.Before(e.From) || e.To.After(time.Now().Add(time.Millisecond)) {
		t.Errorf("effect in %v..%v, not within the call", e.From, e.To)
	}
	if d := evidenceOf(t, e); d.Dropped != 2 || d.Backend != netBackend || len(d.Peers) != 1 {
		t.Errorf("evidence %+v", d)
	}
	want := helper.PartitionSpec{Kind: "partition", Op: "run_cut_redis_1", Lease: drills.Duration(5 * time.Second), Path: helper.Path{Peers: []string{"10.0.0.2"}, Direction: "both"}}
	if d := cmp.Diff(want, h.spec); d != "" {
		t.Errorf("spec (-want +got):\n%s", d)
	}
	if h.places[0].Kind != drills.PlaceTarget || h.places[0].Target != "target-id" {
		t.Errorf("helper in %+v", h.places[0])
	}
	if again, err := n.Apply(t.Context(), do); err != nil || !cmp.Equal(again, e) || len(h.places) != 1 {
		t.Errorf("a second do: %+v, %v, %d helpers", again, err, len(h.places))
	}
	if there, err := n.Present(t.Context(), do); err != nil || !there {
		t.Errorf("present %v, %v while in force", there, err)
	}
	u, err := n.Apply(t.Context(), undo)
	if err != nil || !u.Proven || u.Skipped != "" {
		t.Fatalf("undo %+v, error %v", u, err)
	}
	if d := evidenceOf(t, u); d.Dropped != 7 || d.Why != "stop" {
		t.Errorf("undo's evidence %+v, want all that was dropped", d)
	}
	if there, err := n.Present(t.Context(), do); err != nil || there {
		t.Errorf("present %v, %v after the undo", there, err)
	}
	if u, err := n.Apply(t.Context(), undo); err != nil || u.Skipped == "" {
		t.Errorf("a second undo: %+v, %v", u, err)
	}
}

func TestNetConforms(t *testing.T) {
	n, _ := newFakeNet(t, nil)
	do, undo := cutOps(t)
	drilltest.Actuator(t, drilltest.ActuatorCase{Name: "net", Change: drills.Change{Do: do, Undo: undo}, Actuator: n})
}

func TestPartitionWithoutTrafficIsNotProven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, h := newFakeNet(t, nil)
		h.run = func(p *fakeProcess) {
			for {
				p.say("beat", helper.Beat{})
				select {
				case <-p.closed:
					return
				case <-time.After(250 * time.Millisecond):
				}
			}
		}
		do, _ := cutOps(t)
		start := time.Now()
		e, err := n.Apply(t.Context(), do)
		if err != nil || e.Proven {
			t.Errorf("effect %+v, error %v, want in force and unproven", e, err)
		}
		if took := time.Since(start); took != proveWithin.D() {
			t.Errorf("waited %v for the proof", took)
		}
		if err := n.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestHelperThatRefuses(t *testing.T) {
	n, h := newFakeNet(t, func(id, why string) { t.Errorf("ended: %s %s", id, why) })
	h.fail = "no such kernel"
	do, undo := cutOps(t)
	if _, err := n.Apply(t.Context(), do); err == nil || !strings.Contains(err.Error(), "no such kernel") {
		t.Fatalf("error %v, want the helper's", err)
	}
	e, err := n.Apply(t.Context(), undo)
	if err != nil || !strings.Contains(e.Skipped, "never came into force") {
		t.Errorf("undo %+v, %v", e, err)
	}
}

func TestAPartitionThatEndsByItselfIsNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(p *fakeProcess)
		want string
	}{
		"killed":   {func(*fakeProcess) {}, "died without a word"},
		"lease":    {func(p *fakeProcess) { p.say("done", helper.Done{Why: "lease", UndoneMono: 1}) }, "lease"},
		"restart":  {func(p *fakeProcess) { p.say("done", helper.Done{Why: "detached", UndoneMono: 1}) }, "stopped or restarted"},
		"in words": {func(p *fakeProcess) { p.say("error", helper.Failure{Message: "lost the socket"}) }, "lost the socket"},
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan string, 1)
			n, h := newFakeNet(t, func(id, why string) { ended <- id + " " + why })
			h.run = func(p *fakeProcess) { p.say("beat", helper.Beat{Dropped: 1}); c.end(p) }
			do, undo := cutOps(t)
			if _, err := n.Apply(t.Context(), do); err != nil {
				t.Fatal(err)
			}
			if why := <-ended; !strings.HasPrefix(why, "cut.1.do ") || !strings.Contains(why, c.want) {
				t.Errorf("told %q, want %q", why, c.want)
			}
			e, err := n.Apply(t.Context(), undo)
			if err != nil || !strings.Contains(e.Skipped, c.want) {
				t.Errorf("undo %+v, %v", e, err)
			}
		})
	}
}

// TestAFaultIsMadeAgainAfterARestart: by another op with the same mark, and what is undone is the second one.
func TestAFaultIsMadeAgainAfterARestart(t *testing.T) {
	ended := make(chan string, 1)
	n, h := newFakeNet(t, func(_, why string) { ended <- why })
	restart := make(chan struct{})
	h.run = func(p *fakeProcess) {
		p.say("beat", helper.Beat{Dropped: 1})
		<-restart
		p.say("done", helper.Done{Why: "detached", UndoneMono: 1})
	}
	do, undo := cutOps(t)
	if _, err := n.Apply(t.Context(), do); err != nil {
		t.Fatal(err)
	}
	second := do
	second.ID += "+1"
	if _, err := n.Apply(t.Context(), second); err == nil || !strings.Contains(err.Error(), "holds it already") {
		t.Errorf("a second one beside the first: %v", err)
	}
	close(restart)
	if why := <-ended; why != TargetRestarted {
		t.Errorf("told %q", why)
	}
	h.run = dropping
	h.refuse = drills.Wrap(drills.Blocked, errors.New("cannot join network of a non running container: abc"), "cannot start", "")
	second.ID = do.ID + "+2"
	if _, err := n.Apply(t.Context(), second); drills.CodeOf(err) != drills.Blocked {
		t.Errorf("while the target is down: %v", err)
	}
	h.refuse = nil
	second.ID = do.ID + "+3"
	e, err := n.Apply(t.Context(), second)
	if err != nil || !e.Proven || evidenceOf(t, e).Dropped != 2 {
		t.Fatalf("again: %+v, %v", e, err)
	}
	if there, err := n.Present(t.Context(), do); err != nil || !there {
		t.Errorf("present %v, %v", there, err)
	}
	u, err := n.Apply(t.Context(), undo)
	if err != nil || u.Skipped != "" || evidenceOf(t, u).Dropped != 7 {
		t.Errorf("undo %+v, %v", u, err)
	}
	if there, err := n.Present(t.Context(), do); err != nil || there || len(h.tables) != 0 {
		t.Errorf("after the undo: present %v, %v", there, err)
	}
}

// TestAFaultThatNothingMetIsMadeAgain: a target that has just come back may have nothing to say yet.
func TestAFaultThatNothingMetIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, h := newFakeNet(t, nil)
		h.run = func(p *fakeProcess) {
			p.say("beat", helper.Beat{})
			<-p.in
			p.say("done", helper.Done{Why: "stop"})
		}
		do, undo := cutOps(t)
		do.Args = json.RawMessage(strings.Replace(string(do.Args), `"prove":"5s"`, `"prove":"1s"`, 1)) // a frozen helper is removed after 3 s
		if e, err := n.Apply(t.Context(), do); err != nil || e.Proven {
			t.Fatalf("%+v %v", e, err)
		}
		h.run = dropping
		do.ID += "+1"
		if e, err := n.Apply(t.Context(), do); err != nil || !e.Proven {
			t.Errorf("again: %+v %v", e, err)
		}
		if u, err := n.Apply(t.Context(), undo); err != nil || u.Skipped != "" || len(h.tables) != 0 {
			t.Errorf("undo %+v %v, left %v", u, err, h.tables)
		}
	})
}

func TestHealByAnotherProcess(t *testing.T) {
	const table = "simulacro_run_cut_redis_1"
	cases := []struct {
		name    string
		there   bool
		netem   bool // beside the table, or left by a killed helper
		leaves  time.Duration
		skipped string
		code    drills.Code
	}{
		{name: "never there", skipped: "no such fault"},
		{name: "its lease ends", there: true, leaves: 4 * time.Second, skipped: "lease of its helper ended"},
		{name: "somebody keeps it", there: true, leaves: time.Hour, code: drills.Residual},
		{name: "its helper was killed", netem: true, skipped: "helper had been killed"},
		{name: "its helper is killed meanwhile", netem: true, there: true, leaves: 2 * time.Second, skipped: "helper had been killed"},
		{name: "somebody keeps netem", netem: true, there: true, leaves: time.Hour, code: drills.Residual},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, h := newFakeNet(t, nil)
				if c.there {
					h.table(table, true)
				}
				if c.netem {
					h.qdiscs = map[string]bool{table: true, "simulacro_another": true}
				}
				timer := time.AfterFunc(c.leaves, func() { h.table(table, false) })
				defer timer.Stop()
				_, undo := cutOps(t)
				e, err := n.Apply(t.Context(), undo)
				if code := drills.CodeOf(err); code != c.code || err == nil && (!e.Proven || !strings.Contains(e.Skipped, c.skipped)) {
					t.Errorf("undo %+v, error %v", e, err)
				}
				if left := c.netem && c.code != ""; h.qdiscs[table] != left || c.netem && !h.qdiscs["simulacro_another"] {
					t.Errorf("netem afterwards %v", h.qdiscs)
				}
			})
		})
	}
}

func TestPresentOfATargetThatDoesNotRun(t *testing.T) {
	n, h := newFakeNet(t, nil)
	do, undo := cutOps(t)
	h.refuse = drills.Wrap(drills.Blocked, errors.New("cannot join network of a non running container: abc"), "cannot start", "")
	if there, err := n.Present(t.Context(), do); there || err != nil {
		t.Errorf("present %v, %v, want absent", there, err)
	}
	if e, err := n.Apply(t.Context(), undo); err != nil || e.Skipped == "" {
		t.Errorf("undo %+v, %v, want skipped", e, err)
	}
	h.refuse = errors.New("the engine does not answer")
	if there, err := n.Present(t.Context(), do); err == nil {
		t.Errorf("present %v without an error: not knowing is not absence", there)
	}
	if _, err := n.Apply(t.Context(), do); err == nil {
		t.Error("a partition without a helper gave no error")
	}
}

func TestNetRefuses(t *testing.T) {
	n, h := newFakeNet(t, nil)
	do, undo := cutOps(t)
	dead, cancel := context.WithCancel(t.Context())
	cancel()
	for _, op := range []drills.Op{do, undo} {
		if _, err := n.Apply(dead, op); !errors.Is(err, context.Canceled) {
			t.Errorf("%s on a dead context: %v", op.Verb, err)
		}
		if _, err := n.Present(dead, op); !errors.Is(err, context.Canceled) {
			t.Errorf("present of %s on a dead context: %v", op.Verb, err)
		}
	}
	other := do
	other.Verb = "net.delay"
	if _, err := n.Apply(t.Context(), other); err == nil {
		t.Error("an unknown verb gave no error")
	}
	typo := do
	typo.Args = json.RawMessage(`{"mark":"x","peer":[]}`)
	if _, err := n.Apply(t.Context(), typo); err == nil {
		t.Error("unknown arguments gave no error")
	}
	if len(h.places) != 0 {
		t.Errorf("%d helpers were started", len(h.places))
	}
}

func TestCloseLiftsWhatIsInForce(t *testing.T) {
	n, h := newFakeNet(t, func(id, why string) { t.Errorf("ended: %s %s", id, why) })
	do, _ := cutOps(t)
	if _, err := n.Apply(t.Context(), do); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(h.tables) != 0 {
		t.Errorf("still there: %v", h.tables)
	}
}
