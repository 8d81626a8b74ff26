package journal

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

const stamp = "20060102T150405Z"

// Create makes a new run directory under root (made when missing) and locks it. now gives the name its time.
func Create(root, drill string, now time.Time) (*Run, error) {
	id := now.UTC().Format(stamp) + "-" + slug(drill) + "-" + strings.ToLower(rand.Text()[:6])
	// The directory gets its name only once it is locked, so that nobody ever sees a run that looks crashed.
	tmp, dir := filepath.Join(root, ".new-"+id), filepath.Join(root, id)
	for _, sub := range []string{"plan", "record", "raw", "report", "ci", "control"} {
		if err := os.MkdirAll(filepath.Join(tmp, sub), 0o755); err != nil {
			return nil, diskError(err, "no run directory can be made", root)
		}
	}
	r, err := start(tmp)
	if err != nil {
		_ = os.RemoveAll(tmp)
		return nil, err
	}
	if err := os.Rename(tmp, dir); err != nil {
		_ = r.Close()
		_ = os.RemoveAll(tmp)
		return nil, diskError(err, "the run directory cannot be named", root)
	}
	r.moved(dir)
	for _, d := range []string{filepath.Join(dir, "record"), dir, root} {
		if err := syncDir(d); err != nil {
			_ = r.Close()
			return nil, diskError(err, "the run directory cannot be made durable", root)
		}
	}
	return r, nil
}

// Open takes over an existing run in order to go on with it: after a crash, to restore. It is refused with code
// Locked while another process owns the run. A torn last line is dropped; Found tells.
func Open(dir string) (*Run, error) {
	if _, err := os.Stat(filepath.Join(dir, eventsFile)); err != nil {
		return nil, drills.Wrap(drills.Input, err, "no run in "+filepath.Base(dir), "give a run directory")
	}
	return start(dir)
}

func start(dir string) (*Run, error) {
	lock, err := takeLock(dir)
	if err != nil {
		return nil, err
	}
	r := &Run{dir: dir, lock: lock, space: &reserve{path: filepath.Join(dir, "record", ".reserve")}}
	r.raw = rawFiles{dir: filepath.Join(dir, "raw"), space: r.space, files: map[string]*sample{}}
	if err := r.openLog(); err != nil {
		_ = lock.Close()
		return nil, err
	}
	r.space.take()
	return r, nil
}

func (r *Run) openLog() error {
	f, err := os.OpenFile(filepath.Join(r.dir, eventsFile), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return diskError(err, "the journal cannot be opened", r.dir)
	}
	found, err := Read(r.dir)
	if err == nil && found.Torn > 0 {
		if err = f.Truncate(found.size); err == nil {
			err = f.Sync()
		}
	}
	if err != nil {
		_ = f.Close()
		return diskError(err, "the journal cannot be read", r.dir)
	}
	r.out, r.found, r.size, r.head, r.events = f, found, found.size, found.Head, found.Events
	return nil
}

func (r *Run) moved(dir string) {
	r.dir, r.raw.dir, r.space.path = dir, filepath.Join(dir, "raw"), filepath.Join(dir, "record", ".reserve")
}

// slug keeps what is safe in a directory name and in a shell.
func slug(s string) string {
	out := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-':
			return c
		case c >= 'A' && c <= 'Z':
			return c + 'a' - 'A'
		}
		return '-'
	}, s)
	if out = strings.Trim(out, "-"); out == "" {
		return "drill"
	}
	return out[:min(len(out), 60)]
}
