package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

const eventsFile = "record/events.jsonl"

// genesis is the Prev of the first event.
func genesis() string { return strings.Repeat("0", 2*sha256.Size) }

// Contents is what a journal file holds, and whether it can be believed.
type Contents struct {
	Events []drills.Event
	Head   string // hash of the last whole line: Prev of an event that would follow
	Torn   int    // bytes after the last newline: a write that never finished
	Broken *Break // first place where the chain does not hold; nil when it does
	size   int64  // bytes of whole lines
}

// Break is the first line that does not follow from the one before it.
type Break struct {
	Line int    `json:"line"` // from 1
	Why  string `json:"why"`
}

// Error says where and why.
func (b *Break) Error() string { return fmt.Sprintf("events.jsonl line %d: %s", b.Line, b.Why) }

// Read reads the journal of a run directory without locking it: it may be called on a live run. A broken chain is
// in the result, not in the error, because a broken record still has to be looked at.
func Read(dir string) (Contents, error) {
	raw, err := os.ReadFile(filepath.Join(dir, eventsFile))
	if err != nil {
		return Contents{}, drills.Wrap(drills.Input, err, "no journal in "+filepath.Base(dir),
			"give a run directory, such as one under the runs folder")
	}
	return Parse(raw), nil
}

// Parse reads a journal from memory and checks its chain.
func Parse(raw []byte) Contents {
	c := Contents{Head: genesis()}
	for line := 1; ; line++ {
		end := bytes.IndexByte(raw[c.size:], '\n')
		if end < 0 {
			c.Torn = len(raw) - int(c.size)
			return c
		}
		c.take(raw[c.size:int(c.size)+end], line)
		c.size += int64(end) + 1
	}
}

func (c *Contents) take(raw []byte, line int) {
	var e drills.Event
	if err := json.Unmarshal(raw, &e); err != nil {
		c.breaks(line, "not an event: "+err.Error())
	} else {
		c.check(e, line)
		c.Events = append(c.Events, e)
	}
	c.Head = lineHash(raw)
}

func (c *Contents) check(e drills.Event, line int) {
	switch {
	case e.Prev != c.Head:
		c.breaks(line, "prev is not the hash of the line before: a line was changed, removed or added")
	case e.Seq != line:
		c.breaks(line, fmt.Sprintf("seq is %d, want %d", e.Seq, line))
	}
}

func (c *Contents) breaks(line int, why string) {
	if c.Broken == nil {
		c.Broken = &Break{Line: line, Why: why}
	}
}

func lineHash(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}
