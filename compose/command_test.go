package compose

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/drilltest"
)

// fileChange is a file that appears and disappears, on this host.
func fileChange(t *testing.T, path string) drills.Change {
	t.Helper()
	a := drills.CommandArgs{Do: []string{"touch", path}, Undo: []string{"rm", path}, Query: []string{"test", "-e", path}, Timeout: drills.Duration(10 * time.Second)}
	undo := a
	undo.Do = nil
	return drills.Change{ID: "c", Do: op(t, drills.VerbRun, "m", a), Undo: op(t, drills.VerbUnrun, "m", undo)}
}

func TestCommandsConform(t *testing.T) {
	drilltest.Actuator(t, drilltest.ActuatorCase{Name: "command", Change: fileChange(t, filepath.Join(t.TempDir(), "x")), Actuator: &commands{host: runHere}})
}

// shell answers commands by their first word.
type shell struct {
	there  bool
	exit   map[string]int
	fail   map[string]error
	calls  []string
	env    []string
	inert  bool   // do has no effect
	sticky bool   // undo has none
	says   string // what every command prints
}

func (s *shell) run(_ context.Context, _ string, argv, env []string) (int, string, error) {
	s.calls = append(s.calls, strings.Join(argv, " "))
	s.env = env
	code, bad := s.exit[argv[0]]
	if err := s.fail[argv[0]]; err != nil || bad {
		return code, s.says, err
	}
	switch argv[0] {
	case "do":
		s.there = !s.inert
	case "undo":
		s.there = s.sticky
	case "query":
		if !s.there {
			return 1, s.says, nil
		}
	}
	return 0, s.says, nil
}

func execArgs() drills.CommandArgs {
	return drills.CommandArgs{Do: []string{"do"}, Undo: []string{"undo"}, Query: []string{"query"}, Timeout: drills.Duration(time.Second)}
}

func TestCommandsThatDoNotProveThemselves(t *testing.T) {
	for _, c := range []struct {
		name   string
		shell  shell
		proven bool
		want   string // in the error
		undone string // in the undo's error; "-": it is skipped
	}{
		{"as it should", shell{}, true, "", ""},
		{"without effect", shell{inert: true}, false, "", "-"},
		{"there before", shell{there: true}, false, "there already", ""},
		{"do fails", shell{exit: map[string]int{"do": 7}, says: "no way"}, false, "ended with 7: no way", "-"},
		{"do cannot be run", shell{fail: map[string]error{"do": errors.New("no such file")}}, false, "no such file", "-"},
		{"the query knows nothing", shell{exit: map[string]int{"query": 2}}, false, "neither yes (0) nor no (1)", "neither yes"},
		{"undo fails", shell{exit: map[string]int{"undo": 1}}, true, "", "undo ended with 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &commands{member: c.shell.run}
				e, err := a.Apply(t.Context(), op(t, drills.VerbExec, "m", execArgs()))
				if e.Proven != c.proven || c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("do: %+v, %v", e, err)
				}
				u, err := a.Apply(t.Context(), op(t, drills.VerbUnexec, "m", execArgs()))
				switch {
				case c.undone == "-" && (err != nil || u.Skipped == ""), c.undone == "" && (err != nil || !u.Proven || u.Skipped != ""):
					t.Errorf("undo: %+v, %v", u, err)
				case c.undone != "-" && c.undone != "" && (err == nil || !strings.Contains(err.Error(), c.undone)):
					t.Errorf("undo: %+v, %v", u, err)
				}
			})
		})
	}
}

func TestAnUndoThatDoesNotWorkIsNotProven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := shell{there: true, sticky: true}
		a := &commands{member: s.run}
		undo := op(t, drills.VerbUnexec, "m", execArgs())
		if e, err := a.Apply(t.Context(), undo); err != nil || e.Proven {
			t.Errorf("%+v, %v", e, err)
		}
		if there, err := a.Present(t.Context(), undo); err != nil || !there {
			t.Errorf("present %v, %v", there, err)
		}
	})
}

func TestSecretsReachTheCommandAndNothingElse(t *testing.T) {
	s := shell{says: "password hunter2 is wrong", exit: map[string]int{"do": 3}}
	a := &commands{member: s.run, expand: func(ref string) (string, error) { return strings.ReplaceAll(ref, "${env:P}", "hunter2"), nil }}
	args := execArgs()
	args.Env, args.Do = map[string]string{"PASSWORD": "${env:P}"}, []string{"do", "-p", "${env:P}"}
	_, err := a.Apply(t.Context(), op(t, drills.VerbExec, "m", args))
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "password *** is wrong") {
		t.Errorf("%v", err)
	}
	if !slices.Contains(s.calls, "do -p hunter2") || !slices.Equal(s.env, []string{"PASSWORD=hunter2"}) {
		t.Errorf("calls %q, environment %q", s.calls, s.env)
	}
	if _, err := (&commands{member: s.run}).Apply(t.Context(), op(t, drills.VerbExec, "m", args)); err == nil || !strings.Contains(err.Error(), "cannot be resolved here") {
		t.Errorf("without an expander: %v", err)
	}
	if _, err := (&commands{member: s.run}).Apply(t.Context(), op(t, drills.VerbUnrun, "m", execArgs())); err == nil || !strings.Contains(err.Error(), "cannot be run here") {
		t.Errorf("a host's command where there is no host: %v", err)
	}
}

func TestWhatTheGuardUndoes(t *testing.T) {
	args := execArgs()
	secret := args
	secret.Env = map[string]string{"P": "${env:P}"}
	for _, c := range []struct {
		change drills.Change
		ours   bool
	}{
		{drills.Change{Undo: op(t, VerbStart, "m", nil)}, true},
		{drills.Change{Undo: op(t, drills.VerbUnexec, "m", args)}, true},
		{drills.Change{Undo: op(t, drills.VerbUnexec, "m", secret)}, false},
		{drills.Change{Undo: op(t, drills.VerbUnrun, "m", args)}, false},
		{drills.Change{Undo: op(t, "http.undo", "m", nil)}, false},
	} {
		if got := notOurs(c.change); (got == "") != c.ours {
			t.Errorf("%s: %q", c.change.Undo.Verb, got)
		}
	}
}
