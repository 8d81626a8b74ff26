package calendar

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a static binary on a host without zone files must know the same times

	"github.com/robfig/cron/v3"

	"github.com/eevans-d/simulacro/drills"
)

// slack is more than any zone's clocks are ever moved at once.
const slack = 3 * time.Hour

// line is one entry's cron line, parsed.
type line struct {
	entry    string
	schedule cron.Schedule
	zone     *time.Location
}

// Check tells everything that is wrong with the calendar's times, all at once.
func Check(cal drills.Calendar) error {
	_, err := parse(cal)
	return err
}

func parse(cal drills.Calendar) ([]line, error) {
	var out []line
	var errs []error
	for i, e := range cal.Entries {
		l, err := parseEntry(e)
		if err != nil {
			errs = append(errs, fmt.Errorf("entries[%d] %s: %w", i, e.Name, err))
		}
		out = append(out, l)
	}
	for i, b := range cal.Blackouts {
		if !b.To.After(b.From) {
			errs = append(errs, drills.Errorf(drills.Input, "give from before to", "blackouts[%d]: it ends (%s) before it begins (%s)", i, b.To.Format(time.RFC3339), b.From.Format(time.RFC3339)))
		}
	}
	return out, errors.Join(errs...)
}

func parseEntry(e drills.Entry) (line, error) {
	zone, err := time.LoadLocation(cmp.Or(e.TimeZone, "UTC"))
	if err != nil || e.TimeZone == "Local" {
		return line{}, drills.Errorf(drills.Input, "give an IANA name such as America/Argentina/Buenos_Aires", "%q is no time zone", e.TimeZone)
	}
	if strings.Contains(e.Cron, "=") {
		return line{}, drills.Errorf(drills.Input, "give the zone as time-zone", "cron %q holds a time zone", e.Cron)
	}
	s, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(e.Cron)
	if err != nil {
		return line{}, drills.Wrap(drills.Input, err, fmt.Sprintf("cron %q", e.Cron), "five fields: minute, hour, day of month, month, day of week")
	}
	return line{e.Name, s, zone}, nil
}

// wall is the local time of t as if it were UTC: cron counts on it without ever meeting a moved clock.
func (l line) wall(t time.Time) time.Time {
	_, offset := t.In(l.zone).Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// instant is when a local time comes: the first time when it comes twice; later on the clock when it never does.
func (l line) instant(wall time.Time) time.Time {
	before := l.offset(wall.Add(-24 * time.Hour))
	first, later := wall.Add(-before), wall.Add(-l.offset(wall.Add(24*time.Hour)))
	if later.Before(first) {
		first, later = later, first
	}
	for _, t := range []time.Time{first, later} {
		if l.wall(t).Equal(wall) {
			return t
		}
	}
	return wall.Add(-before)
}

func (l line) offset(t time.Time) time.Duration {
	_, offset := t.In(l.zone).Zone()
	return time.Duration(offset) * time.Second
}

// due lists the instants after from, up to and with to.
func (l line) due(from, to time.Time) []time.Time {
	var out []time.Time
	end := l.wall(to).Add(slack)
	for w := l.schedule.Next(l.wall(from).Add(-slack)); !w.IsZero() && !w.After(end); w = l.schedule.Next(w) {
		if t := l.instant(w); t.After(from) && !t.After(to) {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, time.Time.Compare)
	return slices.Compact(out)
}

// next is the first instant after t; zero when there is none within cron's five years.
func (l line) next(t time.Time) time.Time {
	var best time.Time
	for w := l.schedule.Next(l.wall(t).Add(-slack)); !w.IsZero(); w = l.schedule.Next(w) {
		i := l.instant(w)
		if i.After(t) && (best.IsZero() || i.Before(best)) {
			best = i
		}
		if !best.IsZero() && w.After(l.wall(best).Add(slack)) {
			break
		}
	}
	return best
}

// Due lists the slots due after from, up to and with to, oldest first and in the calendar's order within one instant.
func Due(cal drills.Calendar, from, to time.Time) ([]drills.Slot, error) {
	lines, err := parse(cal)
	if err != nil {
		return nil, err
	}
	return dueOf(lines, from, to), nil
}

func dueOf(lines []line, from, to time.Time) []drills.Slot {
	var out []drills.Slot
	for _, l := range lines {
		for _, t := range l.due(from, to) {
			out = append(out, drills.Slot{Entry: l.entry, Due: t.UTC()})
		}
	}
	slices.SortStableFunc(out, func(a, b drills.Slot) int { return a.Due.Compare(b.Due) })
	return out
}

// Next lists the next n slots after now.
func Next(cal drills.Calendar, now time.Time, n int) ([]drills.Slot, error) {
	lines, err := parse(cal)
	if err != nil {
		return nil, err
	}
	return nextOf(lines, now, n), nil
}

func nextOf(lines []line, now time.Time, n int) []drills.Slot {
	var out []drills.Slot
	for _, l := range lines {
		at := now
		for range n {
			if at = l.next(at); at.IsZero() {
				break
			}
			out = append(out, drills.Slot{Entry: l.entry, Due: at.UTC()})
		}
	}
	slices.SortStableFunc(out, func(a, b drills.Slot) int { return a.Due.Compare(b.Due) })
	return out[:min(n, len(out))]
}
