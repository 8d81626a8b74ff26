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
	switch {
	case c.Error != "":
		return nil
	case !c.IsStored():
		return deliveryText(c)
	}
	return positionsText(c)
}

// lostText counts what was lost; of messages, what at least one client never got.
func lostText(c drills.CanaryMeasured) string {
	if !c.IsStored() {
		return fmt.Sprintf("%d did not reach every client (%d before T0)", c.Lost, c.LostBeforeT0)
	}
	return fmt.Sprintf("%d lost (%d before T0)", c.Lost, c.LostBeforeT0)
}

// deliveryText says what is known where nothing is stored, and what each client got.
func deliveryText(c drills.CanaryMeasured) []string {
	out := []string{fmt.Sprintf("Pub/sub stores nothing, so nothing is read back from members: this is what %d clients of ours received. "+
		"Lost is a message that one of them never got, survived one that all got. Late ones were waited for until %s", len(c.Clients), clock(c.ReadBack.To))}
	for _, x := range c.Clients {
		s := fmt.Sprintf("%s got %d of %d, p95 %s, at most %s; longest time without any %s, from %s", x.Client, x.Received, c.Acked, ms(x.P95), ms(x.Max), ms(x.Gap), clock(x.GapFrom))
		for _, n := range []struct {
			n    int
			text string
		}{
			{x.Lost, "%d missed"},
			{x.Connected, "(%d of them while connected)"},
			{x.Duplicated, "%d more than once"},
			{x.Reordered, "%d out of order"},
			{x.Reconnects, "connected again %d times"},
		} {
			switch {
			case n.n == 0:
			case strings.HasPrefix(n.text, "("):
				s += " " + fmt.Sprintf(n.text, n.n)
			default:
				s += ", " + fmt.Sprintf(n.text, n.n)
			}
		}
		out = append(out, s)
	}
	return out
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
