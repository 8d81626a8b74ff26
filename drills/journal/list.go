package journal

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// State is how a run directory stands.
type State string

// Live: a process owns it. ClosedRun: it came to its end. Crashed: it has no closed event and nobody owns it.
const (
	Live      State = "live"
	ClosedRun State = "closed"
	Crashed   State = "crashed"
)

// Info is one run as a directory listing shows it.
type Info struct {
	ID      string    `json:"id"`
	Dir     string    `json:"dir"`
	State   State     `json:"state"`
	Drill   string    `json:"drill"`
	Started time.Time `json:"started"`
}

// List lists the runs under root, oldest first. A root that is not there has no runs.
func List(root string) ([]Info, error) {
	entries, err := os.ReadDir(root)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, diskError(err, "the runs directory cannot be read", root)
	}
	var out []Info
	for _, e := range entries {
		if i, ok := parseID(e.Name()); ok && e.IsDir() {
			i.Dir = filepath.Join(root, i.ID)
			i.State = stateOf(i.Dir)
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(a, b Info) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

// Find finds one run under root by its id, by any part of it that only one run has, or as "latest".
func Find(root, name string) (Info, error) {
	all, err := List(root)
	if err != nil {
		return Info{}, err
	}
	var hits []Info
	for _, i := range all {
		if i.ID == name {
			return i, nil
		}
		if name != "" && strings.Contains(i.ID, name) {
			hits = append(hits, i)
		}
	}
	if name == "latest" && len(all) > 0 {
		return all[len(all)-1], nil
	}
	if len(hits) == 1 {
		return hits[0], nil
	}
	return Info{}, drills.Errorf(drills.Input, "`simulacro status` shows the runs", "%d runs match %q", len(hits), name)
}

// parseID takes a directory name of Create apart: time, drill, random.
func parseID(name string) (Info, bool) {
	first, rest, _ := strings.Cut(name, "-")
	last := strings.LastIndexByte(rest, '-')
	t, err := time.Parse(stamp, first)
	if err != nil || last < 1 {
		return Info{}, false
	}
	return Info{ID: name, Drill: rest[:last], Started: t}, true
}

func stateOf(dir string) State {
	// The lock first: a run that closes between the two looks closed, never crashed.
	live := locked(dir)
	switch {
	case hasClosed(dir):
		return ClosedRun
	case live:
		return Live
	}
	return Crashed
}

// hasClosed looks for a closed event; it is the last one, but for what a later restore added.
func hasClosed(dir string) bool {
	raw, err := os.ReadFile(filepath.Join(dir, eventsFile))
	if err != nil {
		return false
	}
	for line := range bytes.SplitSeq(raw, []byte{'\n'}) {
		var e struct{ Kind drills.EventKind }
		if bytes.Contains(line, []byte(`"closed"`)) && json.Unmarshal(line, &e) == nil && e.Kind == drills.EvClosed {
			return true
		}
	}
	return false
}
