package compose

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/eevans-d/simulacro/drills"
)

// apply performs an op and checks what every effect must have.
func apply(t *testing.T, l *lab, u drills.Actuator, o drills.Op) drills.Effect {
	t.Helper()
	before := time.Now()
	e, err := u.Apply(l.ctx(), o)
	if err != nil {
		t.Fatalf("%s: %v", o.Verb, err)
	}
	after := time.Now()
	if e.From.Before(before) || e.To.After(after) || e.From.After(e.To) {
		t.Errorf("%s: effect %v..%v outside the call %v..%v", o.Verb, e.From, e.To, before, after)
	}
	t.Logf("%-12s effect %6.1f ms wide, call %6.1f ms, %s %s", o.Verb, ms(e.To.Sub(e.From)), ms(after.Sub(before)), e.Source, e.Skipped)
	return e
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

func TestUnitVerbs(t *testing.T) {
	l := newLab(t)
	u := l.e.RunUnits(RunLabels{Run: "r1"})
	for _, tc := range []struct {
		do, undo, source string
		args             UnitArgs
		present          bool
	}{
		{VerbPause, VerbUnpause, "docker event pause", UnitArgs{}, true},
		{VerbKill, VerbStart, "docker event die", UnitArgs{}, true},
		{VerbKill, VerbStart, "docker event die", UnitArgs{Signal: "TERM"}, true},
		{VerbKill, VerbStart, "docker event die", UnitArgs{Mode: "crash"}, true},
		{VerbStop, VerbStart, "docker event die", UnitArgs{Grace: drills.Duration(time.Second)}, true},
		{VerbCrash, VerbStart, "docker event die", UnitArgs{}, true},
		{VerbRestart, "", "docker event die", UnitArgs{}, false},
	} {
		t.Run(tc.do+tc.args.Signal+tc.args.Mode, func(t *testing.T) {
			t.Parallel()
			id := l.member("m"+randomHex(), 1, []string{"sleep"})
			started := parseTime(l.state(id).StartedAt)
			do := op(t, tc.do, id, tc.args)
			if there, err := u.Present(l.ctx(), do); err != nil || there {
				t.Fatalf("present before the do: %v %v", there, err)
			}
			e := apply(t, l, u, do)
			if e.Source != tc.source || !e.Proven || len(e.Evidence) == 0 {
				t.Errorf("effect %+v", e)
			}
			if there, err := u.Present(l.ctx(), do); err != nil || there != tc.present {
				t.Errorf("present after the do: %v %v", there, err)
			}
			if again := apply2(t, l, u, do); !again.From.Equal(e.From) {
				t.Error("a second apply of the same op did it again")
			}
			if tc.undo == "" {
				return
			}
			undo := op(t, tc.undo, id, UnitArgs{StartedAt: started})
			if e := apply(t, l, u, undo); e.Skipped != "" || !e.Proven {
				t.Errorf("undo: %+v", e)
			}
			if s := l.state(id); !s.Running || s.Paused {
				t.Errorf("after the undo: %+v", s)
			}
			if e := apply(t, l, u, undo); e.Skipped == "" {
				t.Error("a second undo found something to undo")
			}
		})
	}
}

// apply2 repeats an op whose result is remembered.
func apply2(t *testing.T, l *lab, u drills.Actuator, o drills.Op) drills.Effect {
	t.Helper()
	e, err := u.Apply(l.ctx(), o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestUndoIsConditional(t *testing.T) {
	l := newLab(t)
	u := l.e.Units()
	id := l.member("db", 1, []string{"sleep"})
	c := l.change(VerbKill, VerbStart, id)
	apply(t, l, u, c.Do)
	// Somebody starts it and it ends again: not the state that we left.
	restart := container.StartOptions{}
	if err := l.e.api.ContainerStart(l.ctx(), id, restart); err != nil {
		t.Fatal(err)
	}
	if e := apply(t, l, u, c.Undo); e.Skipped == "" {
		t.Error("undo of a container that runs again was not skipped")
	}
	if err := l.e.api.ContainerKill(l.ctx(), id, "KILL"); err != nil {
		t.Fatal(err)
	}
	if e := apply(t, l, u, c.Undo); e.Skipped == "" || l.state(id).Running {
		t.Error("undo started a container that somebody else had started and that ended again")
	}
	if err := l.e.api.ContainerStart(l.ctx(), id, restart); err != nil {
		t.Fatal(err)
	}
	p := l.change(VerbPause, VerbUnpause, id)
	if e := apply(t, l, u, p.Undo); e.Skipped == "" {
		t.Error("undo without its do was not skipped")
	}
	apply(t, l, u, p.Do)
	stale := op(t, VerbUnpause, id, UnitArgs{StartedAt: startedIn(t, c.Undo)})
	if e := apply(t, l, u, stale); e.Skipped == "" || !l.state(id).Paused {
		t.Error("undo of an older life of the container unpaused it")
	}
	apply(t, l, u, p.Undo)
	if err := l.e.removeContainer(l.ctx(), id); err != nil {
		t.Fatal(err)
	}
	if e := apply(t, l, u, c.Undo); e.Skipped == "" {
		t.Error("undo of a removed container was not skipped")
	}
	if there, err := u.Present(l.ctx(), c.Do); there || err != nil {
		t.Errorf("present in a removed container: %v %v", there, err)
	}
}

func TestCrashObeysTheRestartPolicy(t *testing.T) {
	l := newLab(t)
	u := l.e.RunUnits(RunLabels{Run: "r1"})
	id := l.member("api", 1, []string{"stubborn"}, policy(container.RestartPolicyUnlessStopped))
	before := l.state(id)
	c := l.change(VerbCrash, VerbStart, id)
	e := apply(t, l, u, c.Do)
	var ev unitEvidence
	if err := json.Unmarshal(e.Evidence, &ev); err != nil || len(ev.Events) == 0 || ev.Events[0].Exit != "137" {
		t.Errorf("evidence %s", e.Evidence)
	}
	took := l.eventually("restarted by its policy", 20*time.Second, func() bool {
		s := l.state(id)
		return s.Running && !s.Restarting && s.StartedAt != before.StartedAt
	})
	t.Logf("restarted %v after the proof", took)
	if e := apply(t, l, u, c.Undo); e.Skipped == "" {
		t.Error("the fallback undo acted although the policy had restarted the container")
	}
	// The engine's own kill, by contrast, keeps it down.
	apply(t, l, u, op(t, VerbKill, id, nil))
	<-time.After(time.Second)
	if l.state(id).Running {
		t.Error("restarted after unit.kill")
	}
	if !l.runGone("r1") {
		t.Error("crash helper left behind")
	}
}

func TestApplyRefuses(t *testing.T) {
	l := newLab(t)
	u := l.e.Units()
	id := l.member("db", 1, []string{"sleep"})
	dead, cancel := context.WithCancel(l.ctx())
	cancel()
	if _, err := u.Apply(dead, op(t, VerbPause, id, nil)); err == nil || l.state(id).Paused {
		t.Error("applied on a dead context")
	}
	if err := l.e.api.ContainerPause(l.ctx(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Apply(l.ctx(), op(t, VerbPause, id, nil)); err == nil {
		t.Error("pausing what somebody else has paused: no error")
	}
	if err := l.e.api.ContainerKill(l.ctx(), id, "KILL"); err != nil {
		t.Fatal(err)
	}
	l.eventually("killed", 10*time.Second, func() bool { return !l.state(id).Running })
	for _, verb := range []string{VerbKill, VerbStop, VerbCrash, VerbRestart, VerbPause} {
		if _, err := u.Apply(l.ctx(), op(t, verb, id, nil)); drills.CodeOf(err) != drills.Blocked {
			t.Errorf("%s of a container that is down: %v", verb, err)
		}
	}
}

// startedIn is the condition of an undo.
func startedIn(t *testing.T, o drills.Op) time.Time {
	t.Helper()
	var a UnitArgs
	if err := o.Decode(&a); err != nil || a.StartedAt.IsZero() {
		t.Fatalf("undo has no condition: %v", err)
	}
	return a.StartedAt
}
