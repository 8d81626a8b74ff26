package journal

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/eevans-d/simulacro/drills"
)

// WriteFile puts a file under the run's directory, whole or not at all, and durably. rel must stay inside.
func (r *Run) WriteFile(rel string, data []byte) error { return WriteFile(r.dir, rel, data) }

// WriteFile puts a file under a run's directory that nobody needs to own: a report that is rendered again.
// The journal itself and the raw samples cannot be written this way.
func WriteFile(dir, rel string, data []byte) error {
	clean := filepath.Clean(rel)
	if !filepath.IsLocal(clean) || clean == eventsFile || clean == "lock" || filepath.Dir(clean) == "raw" {
		return drills.Errorf(drills.Internal, "", "%q may not be written in a run directory", rel)
	}
	path := filepath.Join(dir, clean)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return diskError(err, "no directory for "+clean, dir)
	}
	if err := replace(path, data); err != nil {
		return diskError(err, clean+" cannot be written", dir)
	}
	return nil
}

func replace(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// full tells whether an error means that there is no room.
func full(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// diskError makes an error of the machine's into one that says what a person can do.
func diskError(err error, what, dir string) *drills.Error {
	hint := "look at the file system that holds the runs directory: is it writable and healthy?"
	if full(err) {
		hint = "the file system that holds the runs directory is full: free some space, then `simulacro restore` if the run could not finish"
	}
	return drills.Wrap(drills.Internal, err, filepath.Base(dir)+": "+what, hint)
}
