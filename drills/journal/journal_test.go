package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
)

func at() time.Time { return time.Date(2026, 11, 23, 17, 30, 45, 0, time.UTC) }

func create(t *testing.T) *Run {
	t.Helper()
	r, err := Create(t.TempDir(), "redis-primary-kill", at())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func note(t *testing.T, r *Run, text string) drills.Event {
	t.Helper()
	e, err := r.Append(drills.Event{At: at(), Kind: drills.EvNote, Text: text})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func rawFile(t *testing.T, dir string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, eventsFile))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDirectoryIsNamedAndLaidOut(t *testing.T) {
	r := create(t)
	if !strings.HasPrefix(r.ID(), "20261123T173045Z-redis-primary-kill-") || len(r.ID()) != len("20261123T173045Z-redis-primary-kill-")+6 {
		t.Errorf("id is %q", r.ID())
	}
	for _, d := range []string{"plan", "record", "raw", "report", "ci"} {
		if st, err := os.Stat(filepath.Join(r.Dir(), d)); err != nil || !st.IsDir() {
			t.Errorf("%s is not there: %v", d, err)
		}
	}
	if odd := slug("../Weird NAME/;rm"); odd != "weird-name--rm" {
		t.Errorf("slug is %q", odd)
	}
}

func TestEventsAreChainedAndComeBackTheSame(t *testing.T) {
	r := create(t)
	change := &drills.Change{ID: "c1", Do: drills.Op{Verb: "unit.kill", Target: "abc", Args: []byte(`{"a": 1}`)}}
	if _, err := r.Append(drills.Event{At: at(), Kind: drills.EvIntended, Change: change}); err != nil {
		t.Fatal(err)
	}
	change.ID = "changed by the caller later"
	second := note(t, r, "línea con \n salto <b> & \u2028 \x00")
	c, err := Read(r.Dir())
	if err != nil || c.Broken != nil || c.Torn != 0 {
		t.Fatalf("read: %v, broken %v, torn %d", err, c.Broken, c.Torn)
	}
	if d := cmp.Diff(r.Events(), c.Events); d != "" {
		t.Errorf("memory and file differ:\n%s", d)
	}
	if c.Events[0].Change.ID != "c1" || c.Events[0].Prev != strings.Repeat("0", 64) || c.Events[0].Seq != 1 {
		t.Errorf("first event: %+v", c.Events[0])
	}
	first, _, _ := bytes.Cut(rawFile(t, r.Dir()), []byte("\n"))
	sum := sha256.Sum256(first)
	if want := hex.EncodeToString(sum[:]); second.Prev != want {
		t.Errorf("prev is %s, want %s", second.Prev, want)
	}
	if r.Head() != c.Head {
		t.Errorf("head is %s, read says %s", r.Head(), c.Head)
	}
}

// The loop is EVIDENCE's, for an auditor who has a shell and nothing of ours.
func TestShellVerifiesTheChain(t *testing.T) {
	for _, tool := range []string{"bash", "sha256sum", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is not here")
		}
	}
	r := create(t)
	for i := range 5 {
		note(t, r, fmt.Sprintf("línea %d \\n \" ' $(x)\tend ", i))
	}
	loop := `p=$(printf '0%.0s' $(seq 64)); while IFS= read -r l; do [ "$(printf '%s' "$l"|jq -r .prev)" = "$p" ] || { echo BROKEN; break; }; p=$(printf '%s' "$l"|sha256sum|cut -d' ' -f1); done < record/events.jsonl; echo head $p`
	cmd := exec.Command("bash", "-c", loop)
	cmd.Dir = r.Dir()
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "head "+r.Head() {
		t.Errorf("%v: %s, want head %s", err, out, r.Head())
	}
}

func TestTornTailAtEveryByte(t *testing.T) {
	r := create(t)
	note(t, r, "one")
	keep := len(rawFile(t, r.Dir()))
	note(t, r, "two, to be torn")
	whole := rawFile(t, r.Dir())
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for cut := keep; cut < len(whole); cut++ {
		if err := os.WriteFile(filepath.Join(r.Dir(), eventsFile), whole[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		o, err := Open(r.Dir())
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if got := o.Found().Torn; got != cut-keep || len(o.Events()) != 1 || o.Found().Broken != nil {
			t.Fatalf("cut at %d: torn %d, %d events, broken %v", cut, got, len(o.Events()), o.Found().Broken)
		}
		note(t, o, "after the crash")
		_ = o.Close()
		c, err := Read(r.Dir())
		if err != nil || c.Broken != nil || c.Torn != 0 || len(c.Events) != 2 || c.Events[1].Text != "after the crash" {
			t.Fatalf("cut at %d: after resuming: %v %+v", cut, err, c)
		}
	}
}

func TestEveryChangeBreaksTheChain(t *testing.T) {
	r := create(t)
	for i := range 4 {
		note(t, r, fmt.Sprint("event ", i))
	}
	raw := rawFile(t, r.Dir())
	lines := bytes.SplitAfter(bytes.TrimSuffix(raw, []byte("\n")), []byte("\n"))
	join := func(ls ...[]byte) []byte { return append(bytes.TrimSuffix(bytes.Join(ls, nil), []byte("\n")), '\n') }
	for name, c := range map[string]struct {
		raw  []byte
		line int
	}{
		"text changed":     {bytes.Replace(raw, []byte("event 1"), []byte("event 9"), 1), 3},
		"time changed":     {bytes.Replace(raw, []byte("17:30:45"), []byte("17:30:44"), 1), 2},
		"line removed":     {join(lines[0], lines[2], lines[3]), 2},
		"first removed":    {join(lines[1], lines[2], lines[3]), 1},
		"lines swapped":    {join(lines[0], lines[2], lines[1], lines[3]), 2},
		"line twice":       {join(lines[0], lines[1], lines[1], lines[2], lines[3]), 3},
		"line is not JSON": {join(lines[0], []byte("gone\n"), lines[2], lines[3]), 2},
		"blank added":      {append([]byte(" "), raw...), 2},
	} {
		if got := Parse(c.raw); got.Broken == nil || got.Broken.Line != c.line {
			t.Errorf("%s: broken at %v, want line %d", name, got.Broken, c.line)
		}
	}
	// A cut at the end leaves a chain that holds: only the head tells.
	if got := Parse(join(lines[0], lines[1])); got.Broken != nil || got.Head == r.Head() {
		t.Errorf("cut at a line: broken %v, head as before", got.Broken)
	}
}

func TestConcurrentAppends(t *testing.T) {
	r := create(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 10 {
				if _, err := r.Append(drills.Event{Kind: drills.EvNote, Text: fmt.Sprint(i, j)}); err != nil {
					t.Error(err)
				}
				_ = r.Events()
			}
		})
	}
	wg.Wait()
	c, err := Read(r.Dir())
	if err != nil || c.Broken != nil || len(c.Events) != 80 {
		t.Errorf("%v, broken %v, %d events", err, c.Broken, len(c.Events))
	}
}

func TestWriteFileStaysInsideAndIsWhole(t *testing.T) {
	r := create(t)
	for _, bad := range []string{"../x", "/etc/x", "record/events.jsonl", "record/../record/events.jsonl", "raw/probe", "lock", ""} {
		if err := r.WriteFile(bad, nil); err == nil {
			t.Errorf("%q was written", bad)
		}
	}
	for _, text := range []string{"first, longer", "second"} {
		if err := r.WriteFile("plan/scenario.yaml", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if b, _ := os.ReadFile(filepath.Join(r.Dir(), "plan/scenario.yaml")); string(b) != text {
			t.Errorf("read %q, want %q", b, text)
		}
	}
	left, _ := filepath.Glob(filepath.Join(r.Dir(), "plan", ".new-*"))
	if len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestNoJournal(t *testing.T) {
	for _, err := range []error{
		func() error { _, err := Read(t.TempDir()); return err }(),
		func() error { _, err := Open(t.TempDir()); return err }(),
	} {
		var e *drills.Error
		if !errors.As(err, &e) || e.Code != drills.Input {
			t.Errorf("error is %v, want code input", err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte("{\"seq\":1}\n"))
	f.Add([]byte("{\"seq\":1,\"prev\":\"" + genesis() + "\",\"kind\":\"note\"}\ntorn"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := Parse(raw)
		if int(c.size)+c.Torn != len(raw) {
			t.Fatalf("%d whole + %d torn of %d bytes", c.size, c.Torn, len(raw))
		}
		if c.Broken == nil && len(c.Events) != bytes.Count(raw, []byte("\n")) {
			t.Fatalf("%d events of %d lines and no break", len(c.Events), bytes.Count(raw, []byte("\n")))
		}
		again := Parse(raw[:c.size])
		if again.Head != c.Head || again.Torn != 0 || len(again.Events) != len(c.Events) {
			t.Fatal("dropping the torn tail changed what was read")
		}
	})
}
