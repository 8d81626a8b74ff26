package reports

import (
	"fmt"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

// troublesText counts what came back other than it was written, and what is not known.
func troublesText(c drills.CanaryMeasured) string {
	s := fmt.Sprintf("%d corrupt, %d phantom, %d duplicated, %d indeterminate", c.Corrupt, c.Phantom, c.Duplicated, c.Indeterminate)
	if c.Throttled > 0 {
		s += fmt.Sprintf(", %d throttled (our rate, not the system's failure)", c.Throttled)
	}
	if c.Reordered > 0 {
		s += fmt.Sprintf(", %d out of order", c.Reordered)
	}
	return s
}

// canaryNotes are the sentences below a canary's figures.
func canaryNotes(c drills.CanaryMeasured) []string {
	if c.Error != "" {
		return nil
	}
	return positionsText(c)
}

// positionsText says, in sentences, where in the store's log the writes stand; none where the store has no positions.
func positionsText(c drills.CanaryMeasured) []string {
	p := c.Positions
	if p == nil {
		return nil
	}
	newest := fmt.Sprintf("Newest acknowledged write at %s, newest surviving at %s", p.NewestAcked, orNone(p.NewestSurviving))
	if p.NewestLost != "" {
		newest += fmt.Sprintf("; recovery point %s, newest lost %s", orNone(p.Point), p.NewestLost)
		if p.WALLost > 0 {
			newest += fmt.Sprintf(" (%d bytes of WAL further)", p.WALLost)
		}
	}
	out := []string{newest}
	for _, t := range p.Timelines {
		out = append(out, timelineText(t, p.TimelinesWhy))
	}
	return out
}

func timelineText(t drills.Timeline, why string) string {
	s := fmt.Sprintf("Timeline %X began", t.ID)
	if t.Began != "" {
		s += " at " + t.Began
	}
	var between []string
	if t.After != "" {
		between = append(between, "behind the surviving write at "+t.After)
	}
	if t.Before != "" {
		between = append(between, "before the first acknowledged one at "+t.Before)
	}
	s += " " + strings.Join(between, " and ")
	if t.Began == "" && why != "" {
		s += " (the server did not say where: " + why + ")"
	}
	return strings.TrimRight(s, " ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
