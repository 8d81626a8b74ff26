package calendar

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// Action is what becomes of a due slot.
type Action string

// Run it now; Wait and decide again soon; record it as missed; record it as blocked.
const (
	Run   Action = "run"
	Wait  Action = "wait"
	Miss  Action = "missed"
	Block Action = "blocked"
)

// Decision is an action with its reason, for the record.
type Decision struct {
	Action Action `json:"action"`
	Reason string `json:"reason,omitempty"`
}

// OnTime is how long after its due time a slot still counts as served in time.
const OnTime = time.Minute

// graceDefault is how late a slot of policy run-once may still run.
const graceDefault = time.Hour

// EntryOf finds a slot's entry; ok is false when the calendar no longer has it.
func EntryOf(cal drills.Calendar, s drills.Slot) (drills.Entry, bool) {
	i := slices.IndexFunc(cal.Entries, func(e drills.Entry) bool { return e.Name == s.Entry })
	if i < 0 {
		return drills.Entry{}, false
	}
	return cal.Entries[i], true
}

// BlackoutAt tells whether t lies in a blackout: from its start, up to but without its end.
func BlackoutAt(cal drills.Calendar, t time.Time) (drills.Blackout, bool) {
	for _, b := range cal.Blackouts {
		if !t.Before(b.From) && t.Before(b.To) {
			return b, true
		}
	}
	return drills.Blackout{}, false
}

// Decide says what becomes of a slot that is due at or before now. busy names what keeps the system occupied, "" when nothing
// does. A slot due in a blackout is blocked; one that would run late into a blackout is missed.
func Decide(cal drills.Calendar, slot drills.Slot, now time.Time, busy string) (Decision, error) {
	lines, err := parse(cal)
	if err != nil {
		return Decision{}, err
	}
	return decide(cal, lines, slot, now, busy), nil
}

func decide(cal drills.Calendar, lines []line, slot drills.Slot, now time.Time, busy string) Decision {
	e, ok := EntryOf(cal, slot)
	if !ok {
		return Decision{Miss, "its entry was removed from the calendar"}
	}
	if b, in := BlackoutAt(cal, slot.Due); in {
		return Decision{Block, "blackout: " + b.Reason}
	}
	late, grace := now.Sub(slot.Due), cmp.Or(e.Grace.D(), graceDefault)
	switch b, in := BlackoutAt(cal, now); {
	case e.Missed != drills.RunOnce && late > OnTime:
		return Decision{Miss, fmt.Sprintf("it could be looked at only %s after it was due", late.Round(time.Second))}
	case newer(lines, slot, now):
		return Decision{Miss, "a newer slot of the same entry is due"}
	case late > grace && e.Missed == drills.RunOnce:
		return Decision{Miss, fmt.Sprintf("%s late, the grace is %s", late.Round(time.Second), grace)}
	case in:
		return Decision{Miss, "blackout when it could have run late: " + b.Reason}
	case busy != "" && e.Missed == drills.RunOnce:
		return Decision{Wait, busy}
	case busy != "":
		return Decision{Miss, busy}
	}
	return Decision{Action: Run}
}

// newer tells whether another slot of the entry is due by now.
func newer(lines []line, slot drills.Slot, now time.Time) bool {
	i := slices.IndexFunc(lines, func(l line) bool { return l.entry == slot.Entry })
	if i < 0 {
		return false
	}
	next := lines[i].next(slot.Due)
	return !next.IsZero() && !next.After(now)
}
