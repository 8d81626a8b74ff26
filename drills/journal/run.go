package journal

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eevans-d/simulacro/drills"
)

// log is what Run needs of the events file; tests put a full disk here.
type log interface {
	Write([]byte) (int, error)
	Sync() error
	Truncate(int64) error
	Close() error
}

// Run is an open run directory, owned by this process until Close. It is a drills.Journal and a drills.Samples,
// safe for concurrent use.
type Run struct {
	dir  string
	lock *os.File

	mu     sync.Mutex
	out    log
	size   int64
	head   string
	events []drills.Event
	broken error // set once the file's state is unknown: nothing may be appended any more

	found Contents // what Open found; zero after Create
	raw   rawFiles
	space *reserve
}

var (
	_ drills.Journal = (*Run)(nil)
	_ drills.Samples = (*Run)(nil)
)

// ID is the run's name: the last element of its directory.
func (r *Run) ID() string { return filepath.Base(r.dir) }

// Dir is the run's directory.
func (r *Run) Dir() string { return r.dir }

// Found is what Open found: how much of a torn line was dropped, and whether the chain held.
func (r *Run) Found() Contents { return r.found }

// Append writes the event and returns once it is on the disk. Seq and Prev are filled in, At when it is zero.
// On an error the event is not in the journal; later ones may be tried (see the package's remark on space).
func (r *Run) Append(e drills.Event) (drills.Event, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return e, r.broken
	}
	e.Seq, e.Prev = len(r.events)+1, r.head
	if e.At.IsZero() {
		e.At = time.Now().UTC()
	}
	line, err := json.Marshal(e)
	if err != nil {
		return e, drills.Wrap(drills.Internal, err, "the event "+string(e.Kind)+" cannot be written as JSON", "")
	}
	// What readers of this process get is what a reader of the file gets, whatever the caller does to e later.
	var stored drills.Event
	if err := json.Unmarshal(line, &stored); err != nil {
		return e, drills.Wrap(drills.Internal, err, "the event "+string(e.Kind)+" cannot be read back", "")
	}
	if err := r.write(append(line, '\n')); err != nil {
		return e, err
	}
	r.head, r.events = lineHash(line), append(r.events, stored)
	return e, nil
}

// write puts one line on the disk or leaves the file as it was.
func (r *Run) write(line []byte) error {
	if _, err := r.out.Write(line); err != nil {
		if t := r.out.Truncate(r.size); t != nil {
			r.broken = diskError(t, "the journal has half a line that cannot be taken back", r.dir)
		}
		r.space.release(err)
		return diskError(err, "the journal cannot be written", r.dir)
	}
	// After a failed fsync nobody can say what is on the disk, and trying again may claim success wrongly.
	if err := r.out.Sync(); err != nil {
		r.broken = diskError(err, "the journal cannot be made durable", r.dir)
		r.space.release(err)
		return r.broken
	}
	r.size += int64(len(line))
	return nil
}

// Events returns all events so far, oldest first.
func (r *Run) Events() []drills.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// Head is the hash of the last line: what a seal has to cover.
func (r *Run) Head() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.head
}

// Trouble says why raw samples can no longer be kept, nil while they can. What is left of the disk is for the journal.
func (r *Run) Trouble() error {
	if !r.space.released() {
		return nil
	}
	return diskError(unix.ENOSPC, "samples are no longer kept", r.dir)
}

// Close gives up the run: closes the files, returns the space set aside and lets go of the lock.
// Sample files that are still open are closed, too.
func (r *Run) Close() error {
	err := r.raw.closeAll()
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.out.Close(); e != nil && err == nil {
		err = diskError(e, "the journal cannot be closed", r.dir)
	}
	if r.broken == nil {
		r.broken = drills.Errorf(drills.Internal, "", "the journal of %s is closed", r.ID())
	}
	r.space.drop()
	_ = r.lock.Close() // also unlocks
	return err
}
