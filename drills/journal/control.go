package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

const (
	haltFile  = "HALT"
	abortFile = "control/abort"
	pollEvery = 200 * time.Millisecond
)

// Order is a stop that a person gave from another terminal.
type Order struct {
	Reason string    `json:"reason"`
	Who    string    `json:"who"`
	At     time.Time `json:"at"`
}

// String says who wants it stopped and why.
func (o Order) String() string {
	s := "stopped by " + o.Who
	if o.Who == "" {
		s = "stopped by a person"
	}
	if o.Reason != "" {
		s += ": " + o.Reason
	}
	return s
}

// Control stops runs from outside their process, by files in the runs directory: it needs no server and works
// with `echo` and `rm`, too.
type Control struct {
	Root string // the runs directory
}

// Abort asks a live run (see Find for how it may be named) to stop injecting and to restore.
func (c Control) Abort(run, reason, who string) (Info, error) {
	i, err := Find(c.Root, run)
	if err != nil {
		return i, err
	}
	if i.State != Live {
		return i, drills.Errorf(drills.Input, "`simulacro restore` cleans up after a crashed run", "run %s is %s, there is nothing to abort", i.ID, i.State)
	}
	return i, WriteFile(i.Dir, abortFile, order(reason, who))
}

// Confirm says that a person has done an item of a runbook (the first is 0) of a live run.
func (c Control) Confirm(i Info, step string, item int, who string) error {
	if i.State != Live {
		return drills.Errorf(drills.Input, "", "run %s is %s, there is nothing to confirm", i.ID, i.State)
	}
	return WriteFile(i.Dir, confirmFile(step, item), order("confirmed", who))
}

func confirmFile(step string, item int) string {
	return fmt.Sprintf("control/confirm-%s-%d", step, item)
}

// Confirmed reads the confirmation of an item of a runbook of the run in dir.
func Confirmed(dir, step string, item int) (Order, bool) {
	return read(filepath.Join(dir, confirmFile(step, item)))
}

// Halt stops every live run under the root and lets none start until Resume.
func (c Control) Halt(reason, who string) error {
	if err := os.MkdirAll(c.Root, 0o755); err != nil {
		return diskError(err, "no runs directory can be made", c.Root)
	}
	if err := replace(filepath.Join(c.Root, haltFile), order(reason, who)); err != nil {
		return diskError(err, "the halt cannot be written", c.Root)
	}
	return nil
}

// Resume takes a halt back. It is no error when there is none.
func (c Control) Resume() error {
	if err := os.Remove(filepath.Join(c.Root, haltFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return diskError(err, "the halt cannot be taken back", c.Root)
	}
	return nil
}

// Halted tells whether nothing may start, who said so and why. A halt file that cannot be read is a halt.
func (c Control) Halted() (Order, bool) { return read(filepath.Join(c.Root, haltFile)) }

// WatchAbort looks for an abort of the run in dir, or a halt of its root, five times a second. It sends the reason once
// and closes the channel; it only closes it when ctx ends.
func WatchAbort(ctx context.Context, dir string) <-chan string {
	out := make(chan string, 1)
	go func() {
		defer close(out)
		tick := time.NewTicker(pollEvery)
		defer tick.Stop()
		for {
			if o, ok := asked(dir); ok {
				out <- o.String()
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return out
}

func asked(dir string) (Order, bool) {
	if o, ok := read(filepath.Join(dir, abortFile)); ok {
		return o, true
	}
	return read(filepath.Join(filepath.Dir(dir), haltFile))
}

func read(path string) (Order, bool) {
	var o Order
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return o, false
	}
	if json.Unmarshal(b, &o) != nil { // written by hand: whatever it says is the reason
		o.Reason = string(b)
	}
	if o.At.IsZero() {
		if st, err := os.Stat(path); err == nil {
			o.At = st.ModTime().UTC()
		}
	}
	return o, true
}

func order(reason, who string) []byte {
	b, _ := json.Marshal(Order{Reason: reason, Who: who, At: time.Now().UTC()})
	return append(b, '\n')
}
