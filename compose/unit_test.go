package compose

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/eevans-d/simulacro/drills"
)

func exactOffset(context.Context) (offset, error) { return offset{}, nil }

func noCrash(context.Context, string, int, int) (drills.Interval, error) {
	return drills.Interval{}, errors.New("no crash expected")
}

func TestDoIsProvenByTheEvent(t *testing.T) {
	for _, tc := range []struct {
		verb, call, source string
		args               UnitArgs
	}{
		{VerbPause, "pause", "docker event pause", UnitArgs{}},
		{VerbKill, "kill SIGKILL", "docker event die", UnitArgs{}},
		{VerbKill, "kill SIGTERM", "docker event die", UnitArgs{Signal: "term", Mode: "stop"}},
		{VerbStop, "stop 2", "docker event die", UnitArgs{Grace: drills.Duration(1100 * time.Millisecond)}},
		{VerbRestart, "restart 0", "docker event die", UnitArgs{}},
	} {
		t.Run(tc.call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeDocker()
				f.run("c")
				f.takes[tc.call] = 200 * time.Millisecond
				u := newUnits(f, exactOffset, noCrash)
				begin := time.Now()
				e, err := u.Apply(t.Context(), op(t, tc.verb, "c", tc.args))
				if err != nil {
					t.Fatal(err)
				}
				if got := f.called(); len(got) != 1 || got[0] != tc.call {
					t.Errorf("calls %q", got)
				}
				if e.Source != tc.source || !e.Proven || !e.From.Equal(begin) || e.To.Sub(e.From) != 200*time.Millisecond {
					t.Errorf("effect %v +%v from %s", e.From.Sub(begin), e.To.Sub(e.From), e.Source)
				}
			})
		})
	}
}

func TestALateEventDoesNotWidenADeath(t *testing.T) {
	for _, off := range []func(context.Context) (offset, error){exactOffset, noOffset} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeDocker()
			f.run("c")
			f.set("c", func(s *container.State) { s.FinishedAt = time.Now().Add(-time.Hour).UTC().Format(time.RFC3339Nano) })
			f.takes["kill SIGKILL"], f.late = 100*time.Millisecond, 2*time.Second
			e, err := newUnits(f, off, noCrash).Apply(t.Context(), op(t, VerbKill, "c", nil))
			want := 100 * time.Millisecond
			if _, oerr := off(t.Context()); oerr != nil {
				want += f.late // the engine's times mean nothing then
			}
			if err != nil || e.To.Sub(e.From) != want {
				t.Errorf("effect %v wide, want %v: %v", e.To.Sub(e.From), want, err)
			}
		})
	}
}

func TestWithoutEventsTheAnswerCountsIfInspectionAgrees(t *testing.T) {
	for _, lies := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeDocker()
			f.run("c")
			f.mute = true
			if lies {
				time.AfterFunc(time.Second, func() { f.set("c", thaw) })
			}
			u := newUnits(f, exactOffset, noCrash)
			e, err := u.Apply(t.Context(), op(t, VerbPause, "c", nil))
			if err != nil || e.Source != "docker api return" || e.Proven == lies || e.To.Sub(e.From) != answerLag {
				t.Errorf("lies %v: %+v %v", lies, e, err)
			}
		})
	}
}

func TestDoHappensOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeDocker()
		f.run("c")
		u := newUnits(f, exactOffset, noCrash)
		o := op(t, VerbKill, "c", nil)
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if _, err := u.Apply(t.Context(), o); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := f.called(); len(got) != 1 {
			t.Errorf("calls %q", got)
		}
		f.set("c", up)
		other := op(t, VerbKill, "c", nil)
		f.faults["kill SIGKILL"] = 1
		for range 2 {
			if _, err := u.Apply(t.Context(), other); err == nil {
				t.Error("a failed do was tried again under the same id")
			}
		}
	})
}

func TestUndoConditions(t *testing.T) {
	later := func(s *container.State) { s.StartedAt = time.Now().Add(time.Minute).UTC().Format(time.RFC3339Nano) }
	for _, tc := range []struct {
		name, verb string
		change     []func(*container.State)
		skip       string
	}{
		{"down", VerbStart, []func(*container.State){down}, ""},
		{"never went down", VerbStart, nil, "nothing to undo"},
		{"started by somebody", VerbStart, []func(*container.State){later}, "started again"},
		{"started by somebody and down", VerbStart, []func(*container.State){later, down}, "ended again"},
		{"policy at work", VerbStart, []func(*container.State){func(s *container.State) { s.Restarting = true }}, "restart policy"},
		{"paused", VerbUnpause, []func(*container.State){chill}, ""},
		{"not paused", VerbUnpause, nil, "not paused"},
		{"started and paused by somebody", VerbUnpause, []func(*container.State){later, chill}, "paused by somebody"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeDocker()
				started := f.run("c")
				for _, c := range tc.change {
					f.set("c", c)
				}
				u := newUnits(f, exactOffset, noCrash)
				o := op(t, tc.verb, "c", UnitArgs{StartedAt: started})
				e, err := u.Apply(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				if done := len(f.called()) == 1; done != (tc.skip == "") || !strings.Contains(e.Skipped, tc.skip) || (e.Skipped == "") != (tc.skip == "") {
					t.Errorf("calls %q, skipped %q", f.called(), e.Skipped)
				}
				again, err := u.Apply(t.Context(), o)
				if err != nil || again.Skipped == "" || len(f.called()) > 1 {
					t.Errorf("second undo: %+v %v", again, err)
				}
			})
		})
	}
	u := newUnits(newFakeDocker(), exactOffset, noCrash)
	if e, err := u.Apply(t.Context(), op(t, VerbStart, "gone", nil)); err != nil || !strings.Contains(e.Skipped, "gone") {
		t.Errorf("undo of a removed container: %+v %v", e, err)
	}
}

func TestUndoWaitsForARestartPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeDocker()
		started := f.run("c")
		f.set("c", func(s *container.State) { s.Restarting = true })
		time.AfterFunc(time.Second, func() { f.set("c", func(s *container.State) { s.Restarting = false; up(s) }) })
		u := newUnits(f, exactOffset, noCrash)
		e, err := u.Apply(t.Context(), op(t, VerbStart, "c", UnitArgs{StartedAt: started}))
		if err != nil || !strings.Contains(e.Skipped, "started again") {
			t.Errorf("%+v %v", e, err)
		}
	})
}

func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeDocker()
		f.run("c")
		var sent time.Time
		u := newUnits(f, exactOffset, func(ctx context.Context, id string, pid, signal int) (drills.Interval, error) {
			if id != "c" || pid != 42 || signal != 9 {
				t.Errorf("crash of %s, process %d, signal %d", id, pid, signal)
			}
			time.Sleep(time.Second) // the helper comes up
			sent = time.Now().UTC()
			return drills.Interval{From: sent, To: sent.Add(time.Millisecond)}, f.ContainerKill(ctx, id, "KILL")
		})
		e, err := u.Apply(t.Context(), op(t, VerbKill, "c", UnitArgs{Mode: "crash"}))
		if err != nil || !e.From.Equal(sent) || e.To.Before(e.From) || e.To.Sub(e.From) > time.Millisecond || e.Source != "docker event die" {
			t.Errorf("effect %+v, killed %v: %v", e, sent, err)
		}
	})
}

func TestPresent(t *testing.T) {
	f := newFakeDocker()
	f.run("c")
	u := newUnits(f, exactOffset, noCrash)
	for _, tc := range []struct {
		state string
		set   func(*container.State)
		want  string // the verbs whose effect is there
	}{
		{"running", func(*container.State) {}, "unit.start unit.unpause"},
		{"paused", chill, "unit.pause unit.start"},
		{"restarting", func(s *container.State) { thaw(s); s.Restarting = true }, "unit.crash unit.kill unit.restart unit.stop unit.unpause"},
		{"down", func(s *container.State) { s.Restarting = false; down(s) }, "unit.crash unit.kill unit.restart unit.stop unit.unpause"},
	} {
		f.set("c", tc.set)
		var got []string
		for _, verb := range UnitVerbs() {
			there, err := u.Present(t.Context(), op(t, verb, "c", nil))
			if slices.Contains(moreVerbs(), verb) { // these are tried on real containers: cmd/simulacro/internal/faultlab
				if err == nil {
					t.Errorf("%s: an answer without an engine to ask", verb)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if there {
				got = append(got, verb)
			}
		}
		if s := strings.Join(got, " "); s != tc.want {
			t.Errorf("%s: present %s, want %s", tc.state, s, tc.want)
		}
	}
}

func TestApplyRefusesWhatItDoesNotKnow(t *testing.T) {
	f := newFakeDocker()
	f.run("c")
	u := newUnits(f, exactOffset, noCrash)
	for _, o := range []drills.Op{
		op(t, "unit.melt", "c", nil),
		op(t, VerbKill, "c", map[string]string{"sginal": "KILL"}),
		op(t, VerbKill, "c", map[string]string{"signal": "KILLL"}),
		op(t, VerbKill, "nobody", nil),
	} {
		if _, err := u.Apply(t.Context(), o); err == nil {
			t.Errorf("%s %s of %s: no error", o.Verb, o.Args, o.Target)
		}
	}
	dead, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("operator said stop"))
	for _, verb := range UnitVerbs() {
		if _, err := u.Apply(dead, op(t, verb, "c", nil)); err == nil || !strings.Contains(err.Error(), "operator said stop") {
			t.Errorf("%s on a dead context: %v", verb, err)
		}
		if _, err := u.Present(dead, op(t, verb, "c", nil)); err == nil {
			t.Errorf("present of %s on a dead context: no error", verb)
		}
	}
	if got := f.called(); len(got) != 0 {
		t.Errorf("calls %q", got)
	}
}

func TestSignalNumber(t *testing.T) {
	for in, want := range map[string]int{"": 9, "KILL": 9, "SIGKILL": 9, "sigterm": 15, "9": 9, "hup": 1, "KILLL": 0, "0": 0, "999": 0, "-9": 0} {
		got, err := signalNumber(in)
		if int(got) != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %d %v, want %d", in, got, err, want)
		}
	}
}
