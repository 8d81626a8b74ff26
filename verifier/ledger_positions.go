package verifier

import (
	"slices"
	"strconv"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

// positions are those of the writes that matter, and where new timelines began; nil where the store gives none. acked
// are in the order of their acknowledgements.
func (l *Ledger) positions(acked []Sample, fates map[int64]fate) *drills.Positions {
	var p drills.Positions
	whole := true
	for _, w := range acked {
		whole = whole && fates[w.Seq] == intact
		if w.Position == "" {
			continue
		}
		p.NewestAcked = w.Position
		switch fates[w.Seq] {
		case intact:
			p.NewestSurviving = w.Position
			if whole {
				p.Point = w.Position
			}
		case missing:
			p.NewestLost = w.Position
		case corrupt:
		}
	}
	if p.NewestAcked == "" {
		return nil
	}
	p.WALLost = walBetween(p.Point, p.NewestLost)
	p.Timelines = l.timelines(acked, fates)
	if h := l.Back.History; h != nil && len(p.Timelines) > 0 {
		p.TimelinesWhy = h.Why
	}
	return &p
}

// timelines are those that began between the first write and read-back, bracketed by the writes themselves, and at the
// very position where the new primary says so.
func (l *Ledger) timelines(acked []Sample, fates map[int64]fate) []drills.Timeline {
	var out []drills.Timeline
	first, newest := 0, ""
	for _, w := range acked {
		p, ok := parseWAL(w.Position)
		if !ok {
			continue
		}
		if first == 0 {
			first = p.timeline
		}
		begun := p.timeline > first && !slices.ContainsFunc(out, func(t drills.Timeline) bool { return t.ID >= p.timeline })
		if begun {
			out = append(out, drills.Timeline{ID: p.timeline, After: newest, Before: w.Position})
		}
		if fates[w.Seq] == intact {
			newest = w.Position
		}
	}
	if first == 0 || l.Back.History == nil {
		return out
	}
	for _, b := range l.Back.History.Began {
		i := slices.IndexFunc(out, func(t drills.Timeline) bool { return t.ID == b.ID })
		switch {
		case b.ID <= first:
		case i >= 0:
			out[i].Began = b.Began
		default: // it began, and no write of ours was acknowledged on it
			out = append(out, drills.Timeline{ID: b.ID, Began: b.Began})
		}
	}
	slices.SortFunc(out, func(a, b drills.Timeline) int { return a.ID - b.ID })
	return out
}

// walHistory is what a primary says of its timelines.
type walHistory struct {
	Began []walBranch `json:"began,omitempty"`
	Why   string      `json:"why,omitempty"` // why it did not say
}

// walBranch is where a timeline branched off from its parent.
type walBranch struct {
	ID    int    `json:"id"`
	Began string `json:"began"` // LSN
}

// parseHistory reads a timeline history file of PostgreSQL, that of the given timeline: lines of parent timeline, the LSN
// at which it was left, and why. Source: src/backend/access/transam/timeline.c.
func parseHistory(text string, timeline int) []walBranch {
	var out []walBranch
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 || strings.HasPrefix(f[0], "#") {
			continue
		}
		parent, err := strconv.Atoi(f[0])
		if err != nil {
			continue
		}
		if n := len(out); n > 0 {
			out[n-1].ID = parent
		}
		out = append(out, walBranch{ID: parent, Began: f[1]})
	}
	if n := len(out); n > 0 {
		out[n-1].ID = timeline
	}
	return out
}

// walPlace is a position in PostgreSQL's WAL.
type walPlace struct {
	timeline int
	lsn      uint64
}

// parseWAL reads "timeline:LSN", the timeline in hexadecimal as in the names of WAL files.
func parseWAL(s string) (walPlace, bool) {
	line, lsn, ok := strings.Cut(s, ":")
	high, low, slash := strings.Cut(lsn, "/")
	if !ok || !slash {
		return walPlace{}, false
	}
	t, err1 := strconv.ParseUint(line, 16, 32)
	h, err2 := strconv.ParseUint(high, 16, 32)
	l, err3 := strconv.ParseUint(low, 16, 32)
	return walPlace{int(t), h<<32 | l}, err1 == nil && err2 == nil && err3 == nil
}

// walBetween is the distance in bytes of two positions on one timeline; 0 where they are not comparable.
func walBetween(from, to string) int64 {
	a, ok1 := parseWAL(from)
	b, ok2 := parseWAL(to)
	if !ok1 || !ok2 || a.timeline != b.timeline || b.lsn < a.lsn {
		return 0
	}
	return int64(b.lsn - a.lsn) //nolint:gosec // b is not before a
}
