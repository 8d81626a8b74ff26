package experiments

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// agentHere runs the real agent in this process, over pipes: what it does is done on this host.
type agentHere struct{ ended sync.WaitGroup }

type pipeStream struct {
	in   *io.PipeWriter
	dec  *json.Decoder
	done chan struct{}
}

func (a *agentHere) Start(context.Context, drills.Place, []string) (drills.Stream, error) {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	s := &pipeStream{in: inW, dec: json.NewDecoder(outR), done: make(chan struct{})}
	a.ended.Go(func() {
		defer close(s.done)
		_ = helper.Main(context.Background(), inR, outW)
		_ = outW.Close()
	})
	return s, nil
}

func (s *pipeStream) Send(f drills.Frame) error {
	b, _ := json.Marshal(f)
	_, err := s.in.Write(append(b, '\n'))
	return err
}

func (s *pipeStream) Recv() (drills.Frame, error) {
	var f drills.Frame
	return f, s.dec.Decode(&f)
}

func (s *pipeStream) Close(context.Context) error {
	_ = s.in.Close()
	<-s.done
	return nil
}

// witness keeps what an actuator journals.
type witness struct {
	mu     sync.Mutex
	events []drills.Event
}

func (w *witness) emit(e drills.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

func (w *witness) last(ok func(drills.Event) bool) (drills.Event, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.events) - 1; i >= 0; i-- {
		if ok(w.events[i]) {
			return w.events[i], true
		}
	}
	return drills.Event{}, false
}

func waitFor(t *testing.T, w *witness, ok func(drills.Event) bool) drills.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		if e, found := w.last(ok); found {
			return e
		}
		if !drills.Wait(ctx, 10*time.Millisecond) {
			t.Fatal("it never came")
		}
	}
}

// TestRestoreFailuresHaveNames: without any database, as far as a restore gets.
func TestRestoreFailuresHaveNames(t *testing.T) {
	dir := t.TempDir()
	backup := func(content string) string {
		file := filepath.Join(dir, content+".gz")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	log := filepath.Join(dir, "log")
	if err := os.WriteFile(log, []byte("LOG: it begins\nFATAL: it ends\nLOG: bye\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		f          RestoreBackup
		cause, why string
	}{
		"no backup":       {RestoreBackup{Backup: &helper.BackupSpec{Files: dir + "/none/*"}}, "backup-missing", "there is no backup"},
		"empty backup":    {RestoreBackup{Backup: &helper.BackupSpec{Files: backup("x"), MinSize: 10}}, "backup-empty", "has 1 bytes"},
		"command fails":   {RestoreBackup{Restore: []string{"sh", "-c", "echo it went wrong >&2; exit 3"}, Log: log}, "restore-failed", "ended with code 3: it went wrong (its log: FATAL: it ends)"},
		"unknown command": {RestoreBackup{Restore: []string{"no-such-command"}}, "restore-failed", "no-such-command"},
		"takes too long":  {RestoreBackup{Restore: []string{"sleep", "60"}, Limit: drills.Duration(200 * time.Millisecond)}, "restore-late", "given up after 200ms, in its phase restore"},
	} {
		t.Run(name, func(t *testing.T) {
			a := &agentHere{}
			w := &witness{}
			r := NewRestores(a, nil, nil, nil)
			_ = r.Start(t.Context(), w.emit)
			if c.f.Limit == 0 {
				c.f.Limit = drills.Duration(time.Minute)
			}
			do, _ := drills.NewOp(verbRestore, "member", restoreArgs{RestoreBackup: c.f, Step: "s"})
			do.ID = "s.1.do"
			e, err := r.Apply(t.Context(), do)
			if err != nil || !e.Proven {
				t.Fatalf("%+v %v", e, err)
			}
			m := waitFor(t, w, func(e drills.Event) bool { return e.Restore != nil }).Restore
			if m.Cause != c.cause || !strings.Contains(m.Why, c.why) || m.Error != "" {
				t.Errorf("%q %q %q; want %q, %q", m.Cause, m.Why, m.Error, c.cause, c.why)
			}
			undo := drills.Op{ID: "s.1.undo", Verb: verbRestoreEnd, Target: "member"}
			for range 2 { // idempotent
				if _, err := r.Apply(t.Context(), undo); err != nil {
					t.Error(err)
				}
			}
			if there, _ := r.Present(t.Context(), do); there {
				t.Error("it is still there after its undo")
			}
			a.ended.Wait() // the instance has ended
		})
	}
}

func TestRestoreEndedByTheRunIsOurs(t *testing.T) {
	a, w := &agentHere{}, &witness{}
	r := NewRestores(a, nil, nil, nil)
	_ = r.Start(t.Context(), w.emit)
	do, _ := drills.NewOp(verbRestore, "member", restoreArgs{RestoreBackup: RestoreBackup{Restore: []string{"sleep", "60"}, Limit: drills.Duration(time.Minute)}, Step: "s"})
	do.ID = "s.1.do"
	if _, err := r.Apply(t.Context(), do); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Apply(t.Context(), drills.Op{ID: "s.1.undo", Verb: verbRestoreEnd}); err != nil {
		t.Fatal(err)
	}
	a.ended.Wait()
	m := waitFor(t, w, func(e drills.Event) bool { return e.Restore != nil }).Restore
	if m.Cause != "" || m.Error == "" {
		t.Errorf("cause %q, error %q: the backup is not to blame", m.Cause, m.Error)
	}
}

func TestChecksAreJudged(t *testing.T) {
	one := 1.0
	for name, c := range map[string]struct {
		check RestoreCheck
		got   helper.Answer
		live  string
		want  bool
	}{
		"same as live":        {RestoreCheck{Equals: equalsLive}, helper.Answer{Text: "3|a"}, "3|a", true},
		"not as live":         {RestoreCheck{Equals: equalsLive}, helper.Answer{Text: "3|a"}, "4|a", false},
		"both empty":          {RestoreCheck{Equals: equalsLive}, helper.Answer{}, "", true},
		"failed is not empty": {RestoreCheck{Equals: equalsLive}, helper.Answer{Failed: "no such table"}, "", false},
		"text":                {RestoreCheck{Equals: "t"}, helper.Answer{Text: "t"}, "", true},
		"other text":          {RestoreCheck{Equals: "t"}, helper.Answer{Text: "f"}, "", false},
		"at least":            {RestoreCheck{Min: &one}, helper.Answer{Text: "1"}, "", true},
		"too few":             {RestoreCheck{Min: &one}, helper.Answer{Text: "0"}, "", false},
		"no number":           {RestoreCheck{Min: &one}, helper.Answer{Text: "many"}, "", false},
		"near enough":         {RestoreCheck{Equals: equalsLive, Tolerance: 0.1}, helper.Answer{Text: "1.05"}, "1", true},
		"too far":             {RestoreCheck{Equals: equalsLive, Tolerance: 0.01}, helper.Answer{Text: "1.05"}, "1", false},
		"command":             {RestoreCheck{Command: []string{"true"}}, helper.Answer{Text: "whatever"}, "", true},
		"failed command":      {RestoreCheck{Command: []string{"false"}}, helper.Answer{Failed: "code 1"}, "", false},
	} {
		if got := c.check.judge(c.got, c.live); got.OK != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestRunbooksAreCarriedOut(t *testing.T) {
	dir := t.TempDir()
	minute := drills.Duration(time.Minute)
	person := RunbookStep{Do: "Declare", Within: minute}
	for name, c := range map[string]struct {
		steps     []RunbookStep
		confirmed Confirmation
		want      string // of the last state
	}{
		"person and command": {
			[]RunbookStep{person, {Do: "Write", Command: []string{"sh", "-c", "echo made; pwd > here"}, Within: minute}},
			func(step string, item int) (string, time.Time, bool) {
				return "ana", time.Now(), step == "s" && item == 0
			}, "ana;made",
		},
		"nobody":          {[]RunbookStep{{Do: "Declare", Within: drills.Duration(150 * time.Millisecond)}, {Do: "Never", Command: []string{"true"}, Within: minute}}, nil, "nobody confirmed it within 150ms"},
		"command fails":   {[]RunbookStep{{Do: "Fail", Command: []string{"sh", "-c", "exit 4"}, Within: minute}, person}, nil, "sh ended with code 4"},
		"command hangs":   {[]RunbookStep{{Do: "Hang", Command: []string{"sleep", "60"}, Within: drills.Duration(150 * time.Millisecond)}}, nil, "within 150ms"},
		"command unknown": {[]RunbookStep{{Do: "Go", Command: []string{"./no-such"}, Within: minute}}, nil, "no-such"},
	} {
		t.Run(name, func(t *testing.T) {
			a, w := &agentHere{}, &witness{}
			r := NewRunbooks(a, dir, nil)
			r.ConfirmBy(c.confirmed)
			_ = r.Start(t.Context(), w.emit)
			do, _ := drills.NewOp(verbRunbook, "member", runbookArgs{Runbook: Runbook{Title: "T", Steps: c.steps}, Step: "s"})
			do.ID = "s.1.do"
			if e, err := r.Apply(t.Context(), do); err != nil || !e.Proven {
				t.Fatalf("%+v %v", e, err)
			}
			m := waitFor(t, w, func(e drills.Event) bool { return e.Runbook != nil && e.Runbook.Over }).Runbook
			var said []string
			for _, x := range m.Items {
				for _, s := range []string{x.Who, x.Said, x.Failed} {
					if s != "" {
						said = append(said, s)
					}
				}
			}
			if got := strings.Join(said, ";"); !strings.Contains(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
			if last := m.Items[len(m.Items)-1]; len(m.Items) > 1 && name != "person and command" && !last.Shown.IsZero() {
				t.Error("it went on after a step that failed")
			}
			if _, err := r.Apply(t.Context(), drills.Op{ID: "s.1.undo", Verb: verbRunbookEnd}); err != nil {
				t.Error(err)
			}
			a.ended.Wait()
		})
	}
	if b, err := os.ReadFile(filepath.Join(dir, "here")); err != nil || strings.TrimSpace(string(b)) != dir {
		t.Errorf("the command ran in %q (%v), want %q", b, err, dir)
	}
}
