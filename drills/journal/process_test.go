package journal

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// TestMain lets the test binary be the second process: it holds a run until its stdin ends.
func TestMain(m *testing.M) {
	dir := os.Getenv("JOURNAL_TEST_HOLD")
	if dir == "" {
		os.Exit(m.Run())
	}
	r, err := Open(dir)
	if err != nil {
		_, _ = os.Stdout.WriteString("refused " + string(drills.CodeOf(err)) + "\n")
		os.Exit(0)
	}
	_, _ = r.Append(drills.Event{Kind: drills.EvNote, Text: "from the other process"})
	_, _ = os.Stdout.WriteString("holding\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func hold(t *testing.T, dir string) (answer string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "JOURNAL_TEST_HOLD="+dir)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() { _ = cmd.Process.Kill(); _ = cmd.Wait(); _ = in.Close() }
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line, kill
}

func state(t *testing.T, root, id string) State {
	t.Helper()
	i, err := Find(root, id)
	if err != nil {
		t.Fatal(err)
	}
	return i.State
}

func TestTwoProcessesAndTheLock(t *testing.T) {
	r := create(t)
	root := filepath.Dir(r.Dir())
	note(t, r, "mine")
	if got := state(t, root, r.ID()); got != Live {
		t.Errorf("own run is %s", got)
	}
	if got, _ := hold(t, r.Dir()); got != "refused locked\n" {
		t.Errorf("second process got %q", got)
	}
	if _, err := Open(r.Dir()); drills.CodeOf(err) != drills.Locked {
		t.Errorf("second opener in this process got %v", err)
	}
	_ = r.Close()
	if got := state(t, root, r.ID()); got != Crashed {
		t.Errorf("abandoned run is %s", got)
	}
	got, kill := hold(t, r.Dir())
	if got != "holding\n" || state(t, root, r.ID()) != Live {
		t.Fatalf("the other process says %q, run is %s", got, state(t, root, r.ID()))
	}
	if _, err := Open(r.Dir()); drills.CodeOf(err) != drills.Locked {
		t.Errorf("opening a run of another process got %v", err)
	}
	if c, err := Read(r.Dir()); err != nil || len(c.Events) != 2 {
		t.Errorf("a live run cannot be read: %v %d", err, len(c.Events))
	}
	kill()
	if got := state(t, root, r.ID()); got != Crashed {
		t.Errorf("killed run is %s", got)
	}
	o, err := Open(r.Dir())
	if err != nil {
		t.Fatalf("after the kill: %v", err)
	}
	if _, err := o.Append(drills.Event{Kind: drills.EvClosed}); err != nil {
		t.Fatal(err)
	}
	_ = o.Close()
	if got := state(t, root, r.ID()); got != ClosedRun {
		t.Errorf("closed run is %s", got)
	}
}

func TestListAndFind(t *testing.T) {
	root := t.TempDir()
	if got, err := List(filepath.Join(root, "none")); err != nil || got != nil {
		t.Errorf("a root that is not there: %v %v", got, err)
	}
	for i, d := range []string{"pg-kill", "redis-kill"} {
		r, err := Create(root, d, at().Add(time.Duration(i)*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
	}
	_ = os.Mkdir(filepath.Join(root, "notes"), 0o755)
	_ = os.WriteFile(filepath.Join(root, "20261123T173045Z-a-file-aaaaaa"), nil, 0o644)
	all, err := List(root)
	if err != nil || len(all) != 2 || all[0].Drill != "pg-kill" || !all[1].Started.Equal(at().Add(time.Hour)) {
		t.Fatalf("%v %+v", err, all)
	}
	for name, want := range map[string]string{"latest": all[1].ID, "pg-": all[0].ID, all[1].ID: all[1].ID} {
		if i, err := Find(root, name); err != nil || i.ID != want {
			t.Errorf("%s finds %s, %v", name, i.ID, err)
		}
	}
	for _, bad := range []string{"", "kill", "nothing"} {
		var e *drills.Error
		if _, err := Find(root, bad); !errors.As(err, &e) || e.Code != drills.Input {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestAbortAndHalt(t *testing.T) {
	r := create(t)
	c := Control{Root: filepath.Dir(r.Dir())}
	quiet, cancel := context.WithCancel(t.Context())
	w := WatchAbort(quiet, r.Dir())
	cancel()
	if got, ok := <-w; ok {
		t.Errorf("nobody stopped it, but: %s", got)
	}
	w = WatchAbort(t.Context(), r.Dir())
	if _, err := c.Abort("latest", "looks wrong", "ana"); err != nil {
		t.Fatal(err)
	}
	if got := <-w; got != "stopped by ana: looks wrong" {
		t.Errorf("abort says %q", got)
	}
	other, err := Create(c.Root, "other", at().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	w = WatchAbort(t.Context(), other.Dir())
	if err := c.Halt("incident", "leo"); err != nil {
		t.Fatal(err)
	}
	if got := <-w; got != "stopped by leo: incident" {
		t.Errorf("halt says %q", got)
	}
	if o, ok := c.Halted(); !ok || o.Who != "leo" || o.At.IsZero() {
		t.Errorf("halted: %v %v", o, ok)
	}
	for range 2 {
		if err := c.Resume(); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := c.Halted(); ok {
		t.Error("still halted")
	}
	_ = os.WriteFile(filepath.Join(c.Root, haltFile), []byte("by hand"), 0o644)
	if o, ok := c.Halted(); !ok || o.Reason != "by hand" {
		t.Errorf("a halt by hand: %v %v", o, ok)
	}
	_ = other.Close()
	if _, err := c.Abort(other.ID(), "", ""); drills.CodeOf(err) != drills.Input {
		t.Errorf("abort of a run that nobody owns: %v", err)
	}
}
