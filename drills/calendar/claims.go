package calendar

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// Claim is what a server decided about a slot. There is one per slot, by whoever was first.
type Claim struct {
	Slot     drills.Slot  `json:"slot"`
	Entry    drills.Entry `json:"entry"`
	Calendar string       `json:"calendar_sha256,omitempty"`
	Decision
	At  time.Time `json:"at"`
	Who string    `json:"who"` // host and process
}

// Claims sees to it that a slot is decided once. Claim is false when somebody else has the slot. Served is up to when
// every slot is decided, zero when nobody ever served; Mark sets it.
type Claims interface {
	Claim(Claim) (bool, error)
	Served() (time.Time, error)
	Mark(time.Time) error
}

// Dir keeps claims as one file per slot in a directory that all servers of a calendar share. It is made when missing.
type Dir string

const (
	servedFile = "served"
	suffix     = ".json"
)

// Claim makes the slot's file, whole and durable, unless there is one.
func (d Dir) Claim(c Claim) (bool, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return false, d.trouble(err)
	}
	tmp, err := d.temp(append(b, '\n'))
	if err != nil {
		return false, d.trouble(err)
	}
	defer os.Remove(tmp)
	err = os.Link(tmp, filepath.Join(string(d), fileName(c.Slot)))
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err == nil {
		err = d.sync()
	}
	if err != nil {
		return false, d.trouble(err)
	}
	return true, nil
}

// Served reads the mark.
func (d Dir) Served() (time.Time, error) {
	b, err := os.ReadFile(filepath.Join(string(d), servedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, d.trouble(err)
	}
	t, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(string(b)))
	if err != nil {
		return time.Time{}, d.trouble(err)
	}
	return t, nil
}

// Mark sets the mark.
func (d Dir) Mark(t time.Time) error {
	tmp, err := d.temp([]byte(t.UTC().Format(time.RFC3339Nano) + "\n"))
	if err == nil {
		err = os.Rename(tmp, filepath.Join(string(d), servedFile))
	}
	if err != nil {
		return d.trouble(err)
	}
	return nil
}

// All lists every claim, by due time: the slots that the programme report counts.
func (d Dir) All() ([]Claim, error) {
	files, err := filepath.Glob(filepath.Join(string(d), "*"+suffix))
	if err != nil {
		return nil, d.trouble(err)
	}
	var out []Claim
	for _, f := range files {
		var c Claim
		b, err := os.ReadFile(f)
		if err == nil {
			err = json.Unmarshal(b, &c)
		}
		if err != nil {
			return nil, d.trouble(err)
		}
		out = append(out, c)
	}
	slices.SortStableFunc(out, func(a, b Claim) int { return a.Slot.Due.Compare(b.Slot.Due) })
	return out, nil
}

// fileName is the slot's id without what file systems and shells dislike; entry names are lower-case with dashes.
func fileName(s drills.Slot) string {
	safe := strings.Map(func(c rune) rune {
		if c == '/' || c == ':' || c == 0 {
			return '-'
		}
		return c
	}, s.Entry)
	return safe + "@" + s.Due.UTC().Format("20060102T150405Z") + suffix
}

func (d Dir) temp(b []byte) (string, error) {
	if err := os.MkdirAll(string(d), 0o755); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(string(d), ".new-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

func (d Dir) sync() error {
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d Dir) trouble(err error) error {
	return drills.Wrap(drills.Internal, err, "the calendar's claims cannot be kept", "is the directory of claims writable, and is there space?")
}
