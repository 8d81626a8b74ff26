package drills

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// gapLag is by how much a fault may have ended before anybody said so: helpers look at their namespace four times a second,
// and the engine takes a moment to tell of an end.
const gapLag = time.Second

// Gap is a time in which a fault was not in force although nobody had undone it: its helper died, or its target was stopped
// or restarted. A recovery in it is not the system's own.
type Gap struct {
	Op  string `json:"op"` // the do that ended
	Why string `json:"why"`
	// Again: the same change can be made once more when its target is back.
	Again bool      `json:"again,omitempty"`
	From  time.Time `json:"from,omitzero"` // at the latest; filled in by Fold
	To    time.Time `json:"to,omitzero"`   // zero: it was never in force again
	// Effect is what was proven when it was made again.
	Effect *Effect `json:"effect,omitempty"`
}

// open tells whether the fault was never in force again.
func (g Gap) open() bool { return g.To.IsZero() }

// again marks the op id of a change that is made once more: what comes behind it tells the attempts apart.
const again = "+"

// gap notes that a fault ended without us. One that has been undone meanwhile has no gap.
func (f *folder) gap(e Event) {
	id, _, _ := strings.Cut(e.Gap.Op, again)
	i := slices.IndexFunc(f.rec.Faults, func(x FaultRecord) bool { return x.Change.Do.ID == id })
	if i < 0 || !f.rec.Faults[i].UndoneAt.IsZero() || f.rec.Faults[i].gapOpen() != nil {
		return
	}
	g := *e.Gap
	g.From, g.To, g.Effect = e.At.Add(-gapLag), time.Time{}, nil
	f.rec.Faults[i].Gaps = append(f.rec.Faults[i].Gaps, g)
}

// gapOpen is the fault's last gap, if it has not been closed.
func (x *FaultRecord) gapOpen() *Gap {
	if n := len(x.Gaps); n > 0 && x.Gaps[n-1].open() {
		return &x.Gaps[n-1]
	}
	return nil
}

// took notes an effect: the first one, or that of a change which was made again. What nothing proves closes no gap.
func (x *FaultRecord) took(e *Effect) {
	g := x.gapOpen()
	switch {
	case x.Effect == nil:
		x.Effect = e
	case g != nil && e.Proven:
		g.To, g.Effect = e.To, e
	}
}

// gone is when a fault first ended for good without us; zero when none did.
func (f *folder) gone() time.Time {
	first := f.ended
	for _, x := range f.rec.Faults {
		if g := x.gapOpen(); g != nil && !x.Change.background() && (first.IsZero() || g.From.Before(first)) {
			first = g.From
		}
	}
	return first
}

// inGap finds a gap, closed by now, that an instant may lie in. wholly: it cannot lie outside of it.
func (f *folder) inGap(at Interval) (g *Gap, wholly bool) {
	for i := range f.rec.Faults {
		for k := range f.rec.Faults[i].Gaps {
			g := &f.rec.Faults[i].Gaps[k]
			if !g.open() && !at.To.Before(g.From) && !at.From.After(g.To) && !f.rec.Faults[i].Change.background() {
				return g, !at.From.Before(g.From) && !at.To.After(g.To)
			}
		}
	}
	return nil, false
}

// gapFindings tell of every gap, on a pass too.
func (f *folder) gapFindings() {
	for _, x := range f.rec.Faults {
		for _, g := range x.Gaps {
			what := fmt.Sprintf("%s on %s", x.Change.Fault, x.Change.Member)
			if g.open() {
				f.find(FaultEnded+g.Op+": "+g.Why, SeveritySerious, "A fault ended before we undid it: "+what+": "+g.Why,
					"A recovery after "+g.From.UTC().Format(time.RFC3339)+" is not counted as the system's own")
				continue
			}
			f.find("fault-gap:"+g.Op, SeverityWarning, fmt.Sprintf("A fault was not in force for up to %s: %s: %s; it was made again", Duration(g.To.Sub(g.From).Round(time.Millisecond)), what, g.Why),
				"A recovery in that time is not counted as the system's own")
		}
	}
}
