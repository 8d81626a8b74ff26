package verifier

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
)

// redisTrio is a primary, two replicas of it and a sentinel that names the primary.
type redisTrio struct {
	one, two, three, sentinel *fakeRedis
}

func newRedisTrio(t *testing.T) *redisTrio {
	r := &redisTrio{newFakeRedis(t, nil), newFakeRedis(t, nil), newFakeRedis(t, nil), newFakeRedis(t, nil)}
	r.one.set(func() { r.one.replicas = []*fakeRedis{r.two, r.three} })
	for _, f := range []*fakeRedis{r.two, r.three} {
		f.set(func() { f.role = "slave" })
	}
	r.sentinel.set(func() { r.sentinel.primary = r.one.addr })
	return r
}

// failover makes two the primary, known to the sentinel; one keeps on answering as if nothing had happened.
func (r *redisTrio) failover() {
	r.one.set(func() { r.one.replicas = nil })
	r.two.set(func() { r.two.role, r.two.replicas = "master", []*fakeRedis{r.three} })
	r.sentinel.set(func() { r.sentinel.primary = r.two.addr })
}

// rejoin makes one a replica of two, with two's data.
func (r *redisTrio) rejoin() {
	copied := map[string]string{}
	r.two.set(func() {
		for k, v := range r.two.data {
			copied[k] = v
		}
		r.two.replicas = []*fakeRedis{r.one, r.three}
	})
	r.one.set(func() { r.one.role, r.one.data = "slave", copied })
}

func (r *redisTrio) members(context.Context) ([]MemberAddr, error) {
	return []MemberAddr{{"one", r.one.addr()}, {"two", r.two.addr()}, {"three", r.three.addr()}}, nil
}

func (r *redisTrio) canary(t *testing.T, connection string, files *memSamples) (*Canary, *inProcess) {
	l := &inProcess{t: t}
	return NewCanary(CanaryConfig{
		Name: "app", Run: "run-1", Launcher: l, Samples: files, Members: r.members,
		Spec: drills.CanarySpec{
			Kind: "redis", Via: "sentinel", Sentinels: []string{r.sentinel.addr()}, Master: "m", Every: ms(5),
			Timeout: ms(100), Connection: connection, Keys: "simulacro:{run}:*", Purge: true,
		},
	}), l
}

func finished(t *testing.T, c *Canary, tm drills.Timing) drills.CanaryMeasured {
	t.Helper()
	ev, err := c.Finish(t.Context(), tm)
	if err != nil || len(ev) != 1 || ev[0].Kind != drills.EvMeasured {
		t.Fatalf("finish: %v, %+v", err, ev)
	}
	return *ev[0].Canary
}

func TestCanaryWithoutLoss(t *testing.T) {
	t.Parallel()
	r, files := newRedisTrio(t), newMemSamples()
	c, _ := r.canary(t, "persistent", files)
	if err := c.Start(t.Context(), func(drills.Event) {}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "some writes", func() bool { return len(r.one.keys()) > 30 })
	if err := c.ReadBack(t.Context(), drills.Timing{}); err != nil {
		t.Fatal(err)
	}
	written := len(r.one.keys())
	wait(t, 30*time.Millisecond)
	if n := len(r.one.keys()); n != written {
		t.Errorf("it went on writing after read-back: %d, %d", written, n)
	}
	m := finished(t, c, drills.Timing{})
	if m.Error != "" || m.Acked < 30 || m.Survived != m.Acked || m.Acked != written || m.Lost+m.Corrupt+m.Phantom+m.Failed != 0 || len(m.Members) != 3 || m.Members[2].Found != m.Acked {
		t.Errorf("%+v", m)
	}
	if !m.Purged || len(r.one.keys())+len(r.two.keys())+len(r.three.keys()) != 0 || !strings.Contains(m.PurgeProof, "three has 0") {
		t.Errorf("purge: %v %q, left %v", m.Purged, m.PurgeProof, r.one.keys())
	}
	if n := r.one.count("AUTH") + r.one.count("SET"); n < written {
		t.Errorf("%d commands", n)
	}
	again, err := MeasureCanary(bytes.NewReader(files.bytes(m.Raw)), drills.Timing{})
	again.Raw = m.Raw
	if diff := cmp.Diff(m, again); err != nil || diff != "" {
		t.Errorf("recomputed: %v\n%s", err, diff)
	}
}

// A partition as Redis plays it: the old primary goes on acknowledging, and is thrown back when it rejoins. The
// persistent connection follows the sentinel, the pinned one stays and loses all it wrote from the failover on.
func TestCanariesAtAPartition(t *testing.T) {
	t.Parallel()
	for connection, followed := range map[string]bool{"persistent": true, "fresh": true, "pinned": false} {
		t.Run(connection, func(t *testing.T) {
			t.Parallel()
			r, files := newRedisTrio(t), newMemSamples()
			c, _ := r.canary(t, connection, files)
			if err := c.Start(t.Context(), func(drills.Event) {}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "writes before", func() bool { return len(r.one.keys()) > 20 })
			before := time.Now()
			r.failover()
			if followed {
				eventually(t, "writes on the new primary", func() bool { return len(r.two.keys()) > len(r.one.keys()) })
			} else {
				eventually(t, "writes on the old primary", func() bool { return len(r.one.keys()) > len(r.two.keys())+20 })
			}
			r.rejoin()
			if !followed {
				r.one.set(func() { r.one.refuse = "READONLY You can't write against a read only replica." })
				eventually(t, "refusals", func() bool { return r.one.count("SET") > 60 })
			}
			wait(t, 50*time.Millisecond)
			tm := drills.Timing{T0: drills.At(before)}
			if err := c.ReadBack(t.Context(), tm); err != nil {
				t.Fatal(err)
			}
			m := finished(t, c, tm)
			if m.Error != "" || m.Survived+m.Lost != m.Acked || m.Corrupt+m.Phantom != 0 {
				t.Fatalf("%+v", m)
			}
			if !followed && (m.Lost < 20 || m.LostBeforeT0 != 0 || m.Failed == 0 || m.NewestLost.IsZero() || m.Point.From.After(before.Add(50*time.Millisecond))) {
				t.Errorf("pinned: %+v", m)
			}
			if followed && m.Survived < 30 {
				t.Errorf("%s: %+v", connection, m)
			}
		})
	}
}

// What an acknowledged write turns into is told apart: lost, changed, or there without having been sent.
func TestCanaryTellsFatesApart(t *testing.T) {
	t.Parallel()
	r, files := newRedisTrio(t), newMemSamples()
	c, _ := r.canary(t, "persistent", files)
	r.one.loseTwoChangeOne()
	if err := c.Start(t.Context(), func(drills.Event) {}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "some writes", func() bool { return len(r.one.keys()) > 20 })
	r.one.set(func() {
		r.one.data["simulacro:run-1:999999"] = "not ours"
		r.one.data["simulacro:run-2:1"] = "another run's"
	})
	if err := c.ReadBack(t.Context(), drills.Timing{}); err != nil {
		t.Fatal(err)
	}
	m := finished(t, c, drills.Timing{})
	if m.Lost != 2 || m.Corrupt != 1 || m.Phantom != 1 || len(m.Spans) != 1 || m.Spans[0].Writes != 2 || m.Survived != m.Acked-3 {
		t.Errorf("%+v", m)
	}
	if left := r.one.keys(); len(left) != 1 || left[0] != "simulacro:run-2:1" {
		t.Errorf("after the purge: %v", left)
	}
}

// Silence makes writes indeterminate, refusal makes them failed; neither is ever counted as lost.
func TestCanaryOutcomes(t *testing.T) {
	t.Parallel()
	r, files := newRedisTrio(t), newMemSamples()
	c, _ := r.canary(t, "pinned", files)
	if err := c.Start(t.Context(), func(drills.Event) {}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "some writes", func() bool { return len(r.one.keys()) > 10 })
	held := make(chan struct{})
	r.one.set(func() { r.one.held = held })
	wait(t, 200*time.Millisecond)
	r.one.set(func() { r.one.held = nil })
	close(held)
	n := r.one.count("SET")
	eventually(t, "writes again", func() bool { return r.one.count("SET") > n+20 })
	if err := c.ReadBack(t.Context(), drills.Timing{}); err != nil {
		t.Fatal(err)
	}
	m := finished(t, c, drills.Timing{})
	if m.Indeterminate == 0 || m.Failed == 0 || m.Lost != 0 || m.Survived != m.Acked || m.Sent != m.Acked+m.Failed+m.Indeterminate {
		t.Errorf("%+v", m)
	}
}

func TestCanaryThatCannotWrite(t *testing.T) {
	t.Parallel()
	r := newRedisTrio(t)
	r.one.set(func() { r.one.password = "secret" })
	c, _ := r.canary(t, "persistent", newMemSamples())
	if err := c.Start(t.Context(), func(drills.Event) {}); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		t.Errorf("start: %v", err)
	}
	shared := NewCanary(CanaryConfig{Name: "x", Run: "r", Spec: drills.CanarySpec{Kind: "redis", Keys: "ours:*"}})
	if err := shared.Start(t.Context(), func(drills.Event) {}); drills.CodeOf(err) != drills.Input {
		t.Errorf("keys without {run}: %v", err)
	}
	broken := NewCanary(CanaryConfig{Name: "x", Run: "r", Expand: func(string) (string, error) { return "", errors.New("no such secret") }})
	if err := broken.Start(t.Context(), func(drills.Event) {}); err == nil {
		t.Error("a secret that cannot be read was passed over")
	}
}

// When the orchestrator is gone the canary cleans up by itself.
func TestCanaryOrphaned(t *testing.T) {
	t.Parallel()
	r := newRedisTrio(t)
	r.one.set(func() { r.one.replicas = nil })
	c, _ := r.canary(t, "persistent", newMemSamples())
	if err := c.Start(t.Context(), func(drills.Event) {}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "some writes", func() bool { return len(r.one.keys()) > 10 })
	_ = c.agent.close(t.Context()) // end of its input without a stop
	if left := r.one.keys(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	m := finished(t, c, drills.Timing{})
	if m.Error == "" || m.Purged {
		t.Errorf("a canary that died measured %+v", m)
	}
}

func TestCanaryNotReadBack(t *testing.T) {
	t.Parallel()
	r := newRedisTrio(t)
	c, _ := r.canary(t, "persistent", newMemSamples())
	if err := c.Start(t.Context(), func(drills.Event) {}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "some writes", func() bool { return len(r.one.keys()) > 10 })
	if m := finished(t, c, drills.Timing{}); !strings.Contains(m.Error, "not read back") || !m.Purged || len(r.one.keys()) != 0 {
		t.Errorf("%+v, left %v", m, r.one.keys())
	}
}
