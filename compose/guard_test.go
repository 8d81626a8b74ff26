package compose

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/eevans-d/simulacro/drills"
)

func TestGuardUndoesNewestFirst(t *testing.T) {
	for _, tc := range []struct {
		why  string
		fire func(*ward)
		wait time.Duration
	}{
		{"eof", func(w *ward) { _ = w.in.Close() }, 0},
		{"stop", func(w *ward) { w.send("stop", nil) }, 0},
		{"cancelled", func(w *ward) { w.cancel() }, 0},
		{"lease", func(*ward) {}, GuardLease},
	} {
		t.Run(tc.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeDocker()
				a, b, c := f.run("a"), f.run("b"), f.run("c")
				w := newWard(t, f, func(context.Context) ([]string, error) { return []string{"vantage"}, nil })
				for _, ch := range []drills.Change{
					planned(t, VerbPause, VerbUnpause, "a", a), planned(t, VerbKill, VerbStart, "b", b), planned(t, VerbPause, VerbUnpause, "c", c),
				} {
					w.send(frameIntend, intendData{Change: ch})
				}
				w.send(frameDone, idData{ID: VerbPause + "c"})
				f.set("a", chill)
				f.set("b", down)
				f.set("c", chill)
				if got := w.kinds(); got != "ready ack ack ack ack" {
					t.Fatalf("frames %s", got)
				}
				begin := time.Now()
				tc.fire(w)
				r := w.report()
				if got := f.called(); !slices.Equal(got, []string{"start", "unpause"}) {
					t.Errorf("calls %q, want the newer change first and the done one left alone", got)
				}
				if r.Why != tc.why || !r.Clean() || len(r.Undos) != 2 || !slices.Equal(r.Removed, []string{"vantage"}) {
					t.Errorf("report %+v", r)
				}
				if took := time.Since(begin); took > tc.wait+time.Second {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestGuardRenewals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, newFakeDocker(), nothing)
		for range 20 {
			time.Sleep(GuardLease - time.Second)
			w.send("renew", nil)
		}
		if got := w.kinds(); got != "ready" {
			t.Errorf("frames %s: a renewed lease ended", got)
		}
		time.Sleep(GuardLease + time.Second)
		if r := w.report(); r.Why != "lease" {
			t.Errorf("report %+v", r)
		}
	})
}

func TestGuardReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeDocker()
		started := f.run("a")
		w := newWard(t, f, nothing)
		w.send(frameIntend, intendData{Change: planned(t, VerbPause, VerbUnpause, "a", started)})
		f.set("a", chill)
		w.send(frameRelease, nil)
		_ = w.in.Close()
		<-w.ended
		if got := w.kinds(); got != "ready ack released" || len(f.called()) != 0 || w.removed != 0 {
			t.Errorf("frames %s, calls %q", got, f.called())
		}
	})
}

func TestGuardTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeDocker()
		a, b := f.run("a"), f.run("b")
		w := newWard(t, f, nothing)
		w.send(frameIntend, intendData{Change: planned(t, VerbPause, VerbUnpause, "a", a)})
		w.send(frameIntend, intendData{Change: planned(t, VerbKill, VerbStart, "b", b)})
		f.set("a", chill)
		f.set("b", down)
		f.mu.Lock()
		f.faults["start"], f.faults["inspect"] = 3, 1
		f.mu.Unlock()
		begin := time.Now()
		_ = w.in.Close()
		r := w.report()
		if !r.Clean() || f.state("a").Paused || !f.state("b").Running {
			t.Errorf("report %+v", r)
		}
		if r.Undos[0].Attempts != 5 || r.Undos[1].Attempts != 1 {
			t.Errorf("attempts %d and %d: what is done must not be done again, what failed must", r.Undos[0].Attempts, r.Undos[1].Attempts)
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestGuardGivesUpInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeDocker()
		a, b := f.run("a"), f.run("b")
		w := newWard(t, f, func(context.Context) ([]string, error) { return nil, errors.New("engine trouble") })
		w.send(frameIntend, intendData{Change: planned(t, VerbKill, VerbStart, "b", b)})
		w.send(frameIntend, intendData{Change: planned(t, VerbPause, VerbUnpause, "a", a)})
		f.set("a", chill)
		f.set("b", down)
		f.mu.Lock()
		f.takes["unpause"] = time.Hour // hangs
		f.mu.Unlock()
		begin := time.Now()
		_ = w.in.Close()
		r := w.report()
		if took := time.Since(begin); took > undoLimit+time.Second {
			t.Errorf("took %v", took)
		}
		if r.Clean() || r.Undos[0].Error == "" || len(r.Trouble) == 0 {
			t.Errorf("report %+v", r)
		}
		if !f.state("b").Running {
			t.Error("one hopeless undo kept the guard from the other")
		}
	})
}

func TestGuardUndoesADeedThatComesLate(t *testing.T) {
	for _, tc := range []struct {
		do    string
		args  UnitArgs
		after time.Duration
		undo  string
		come  func(*container.State)
	}{
		{VerbPause, UnitArgs{}, 3 * time.Second, VerbUnpause, chill},
		{VerbStop, UnitArgs{Grace: drills.Duration(20 * time.Second)}, 20 * time.Second, VerbStart, down},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeDocker()
			started := f.run("a")
			w := newWard(t, f, nothing)
			c := planned(t, tc.do, tc.undo, "a", started)
			c.Do = op(t, tc.do, "a", tc.args)
			w.send(frameIntend, intendData{Change: c})
			_ = w.in.Close()
			time.AfterFunc(tc.after, func() { f.set("a", tc.come) })
			r := w.report()
			if s := f.state("a"); s.Paused || !s.Running || !r.Clean() || r.Undos[0].Effect.Skipped != "" {
				t.Errorf("%s: state %+v, report %+v", tc.do, s, r)
			}
		})
	}
}

func TestGuardLeavesWhatIsNotItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, newFakeDocker(), nothing)
		for verb, undo := range map[string]string{"net.partition": "net.heal", "redis.failover": "", "postgres.switchover": "postgres.switchover"} {
			w.send(frameIntend, intendData{Change: drills.Change{ID: verb, Do: drills.Op{Verb: verb}, Undo: drills.Op{Verb: undo}}})
		}
		w.send(frameIntend, "nonsense")
		w.send("dance", nil)
		_ = w.in.Close()
		r := w.report()
		if got := w.kinds(); strings.Count(got, frameError) != 2 {
			t.Errorf("frames %s", got)
		}
		if len(r.Undos) != 3 || !r.Clean() {
			t.Fatalf("report %+v", r)
		}
		for _, u := range r.Undos {
			if u.Note == "" || u.Attempts != 0 {
				t.Errorf("%s: %+v", u.Change, u)
			}
		}
	})
}

func TestReportOfAKilledGuard(t *testing.T) {
	lines := `{"type":"ready"}
{"type":"ack","data":{"id":"a","what":"intend"}}
{"type":"ack","data":{"id":"b","what":"intend"}}
{"type":"ack","data":{"id":"a","what":"done"}}
{"type":"ack","data":{"id":"c","what":"int`
	r, err := parseReport(strings.NewReader(lines), owner{RunLabels: RunLabels{Run: "r1", System: "p"}})
	if err != nil || r.Why != "lost" || r.Run != "r1" || !slices.Equal(r.Held, []string{"b"}) || r.Clean() {
		t.Errorf("%+v %v", r, err)
	}
	r, err = parseReport(strings.NewReader(`{"type":"ready"}`+"\n"+`{"type":"released"}`), owner{})
	if err != nil || r.Why != "released" || !r.Clean() {
		t.Errorf("released: %+v %v", r, err)
	}
}
