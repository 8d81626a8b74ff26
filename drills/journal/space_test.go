package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eevans-d/simulacro/drills"
)

func TestSamplesHaveADigest(t *testing.T) {
	r := create(t)
	f, err := r.Create("redis-write.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Digest("redis-write.jsonl"); err == nil {
		t.Error("an open file has a digest")
	}
	text := strings.Repeat("sample\n", 20000)
	if _, err := io.WriteString(f, text); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Write([]byte("late")); err == nil {
		t.Error("a closed file takes samples")
	}
	sum := sha256.Sum256([]byte(text))
	want := hex.EncodeToString(sum[:])
	if got, err := r.Digest("redis-write.jsonl"); err != nil || got != want {
		t.Errorf("digest %s %v, want %s", got, err, want)
	}
	if got, err := FileDigest(filepath.Join(r.Dir(), "raw", "redis-write.jsonl")); err != nil || got != want {
		t.Errorf("file's digest %s %v, want %s", got, err, want)
	}
	for _, bad := range []string{"redis-write.jsonl", "../x", "a/b", "", ".x"} {
		if _, err := r.Create(bad); err == nil {
			t.Errorf("%q was made", bad)
		}
	}
}

// brittle is an events file whose disk is full, or broken, for some calls.
type brittle struct {
	log
	write, sync, truncate error
	half                  bool
}

func (b *brittle) Write(p []byte) (int, error) {
	if b.write == nil {
		return b.log.Write(p)
	}
	n := 0
	if b.half {
		n, _ = b.log.Write(p[:len(p)/2])
	}
	return n, b.write
}

func (b *brittle) Sync() error {
	if b.sync != nil {
		return b.sync
	}
	return b.log.Sync()
}

func (b *brittle) Truncate(n int64) error {
	if b.truncate != nil {
		return b.truncate
	}
	return b.log.Truncate(n)
}

func fails(t *testing.T, err error, hint string) {
	t.Helper()
	var e *drills.Error
	if !errors.As(err, &e) || e.Code != drills.Internal || !strings.Contains(e.Hint, hint) {
		t.Errorf("error is %v, want code internal and a hint with %q", err, hint)
	}
}

func TestFullDiskLeavesTheJournalWhole(t *testing.T) {
	r := create(t)
	note(t, r, "before")
	b := &brittle{log: r.out, write: unix.ENOSPC, half: true}
	r.out = b
	_, err := r.Append(drills.Event{Kind: drills.EvIntended})
	fails(t, err, "free some space")
	if _, err := os.Stat(filepath.Join(r.Dir(), "record", ".reserve")); !os.IsNotExist(err) {
		t.Errorf("the space set aside is still there: %v", err)
	}
	b.write = nil
	if e := note(t, r, "restored"); e.Seq != 2 {
		t.Errorf("seq is %d", e.Seq)
	}
	if c, _ := Read(r.Dir()); c.Broken != nil || c.Torn != 0 || len(c.Events) != 2 {
		t.Errorf("journal: %+v", c)
	}
	f, err := r.Create("late")
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write([]byte("x"))
	fails(t, err, "free some space")
	fails(t, f.Close(), "free some space")
}

func TestUnknownStateStopsTheJournal(t *testing.T) {
	for name, b := range map[string]*brittle{
		"fsync":    {sync: unix.EIO},
		"truncate": {write: unix.EIO, half: true, truncate: unix.EIO},
	} {
		r := create(t)
		b.log = r.out
		r.out = b
		_, err := r.Append(drills.Event{Kind: drills.EvNote})
		fails(t, err, "healthy")
		b.write, b.sync = nil, nil
		_, err = r.Append(drills.Event{Kind: drills.EvNote})
		if err == nil {
			t.Errorf("%s: the journal goes on though nobody knows what is on the disk", name)
		}
	}
}

// TestRealFullDisk fills a small tmpfs with samples: the samples stop with an error, and restoring can still be journaled.
func TestRealFullDisk(t *testing.T) {
	root := t.TempDir()
	if err := unix.Mount("tmpfs", root, "tmpfs", 0, "size=6m"); err != nil {
		t.Skip("no tmpfs here: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	r, err := Create(root, "full", at())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f, err := r.Create("probe")
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	for range 100 {
		if _, failed = f.Write(make([]byte, 1<<16)); failed != nil {
			break
		}
	}
	fails(t, failed, "free some space")
	fails(t, f.Close(), "free some space")
	for range 200 {
		if _, err := r.Append(drills.Event{Kind: drills.EvUndone, Text: strings.Repeat("x", 4096)}); err != nil {
			t.Fatalf("restoring cannot be journaled: %v", err)
		}
	}
	if c, err := Read(r.Dir()); err != nil || c.Broken != nil || len(c.Events) != 200 {
		t.Errorf("%v %v %d", err, c.Broken, len(c.Events))
	}
}
