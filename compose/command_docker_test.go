package compose

import (
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/drilltest"
)

// inside is a file that appears and disappears inside a member, by the one program that is there.
func inside(t *testing.T, id string) drills.Change {
	t.Helper()
	a := drills.CommandArgs{
		Do: []string{"/" + agentPath, "file", "make", "/x"}, Undo: []string{"/" + agentPath, "file", "remove", "/x"},
		Query: []string{"/" + agentPath, "file", "there", "/x"}, Timeout: drills.Duration(30 * time.Second),
	}
	undo := a
	undo.Do = nil
	return drills.Change{ID: "c", Do: op(t, drills.VerbExec, id, a), Undo: op(t, drills.VerbUnexec, id, undo)}
}

func TestCommandsInAMemberConform(t *testing.T) {
	l := newLab(t)
	id := l.member("db", 1, []string{"sleep"})
	u := l.e.Commands(nil)
	c := inside(t, id)
	drilltest.Actuator(t, drilltest.ActuatorCase{Name: "command", Change: c, Actuator: u})
	if err := l.e.removeContainer(l.ctx(), id); err != nil {
		t.Fatal(err)
	}
	if e, err := u.Apply(l.ctx(), c.Undo); err != nil || e.Skipped == "" {
		t.Errorf("undo in a member that is gone: %+v, %v", e, err)
	}
	if there, err := u.Present(l.ctx(), c.Do); err != nil || there {
		t.Errorf("present in a member that is gone: %v, %v", there, err)
	}
}

// TestGuardUndoesCommandsInMembers: the orchestrator hangs up without a word, as one that was killed.
func TestGuardUndoesCommandsInMembers(t *testing.T) {
	l := newLab(t)
	id := l.member("db", 1, []string{"sleep"})
	u := l.e.Commands(nil)
	g, err := l.e.Guard(l.ctx(), RunLabels{Run: "r1"})
	if err != nil {
		t.Fatal(err)
	}
	c := inside(t, id)
	if err := g.Intend(l.ctx(), c); err != nil {
		t.Fatal(err)
	}
	apply(t, l, u, c.Do)
	if there, err := u.Present(l.ctx(), c.Do); err != nil || !there {
		t.Fatalf("present %v, %v", there, err)
	}
	if err := g.Abandon(l.ctx()); err != nil {
		t.Fatal(err)
	}
	if there, err := u.Present(l.ctx(), c.Do); err != nil || there {
		t.Errorf("after the guard: present %v, %v", there, err)
	}
	if r := l.collect(); !r.Clean() || len(r.Undos) != 1 || r.Undos[0].Effect == nil || !r.Undos[0].Effect.Proven {
		t.Errorf("report %+v", r)
	}
}
