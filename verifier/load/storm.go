package load

import (
	"cmp"
	"slices"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

const (
	// A storm is a fall by this share of the wanted connections …
	stormShare = 0.1
	// … within this time.
	stormWithin = int64(2 * time.Second)
)

// storms finds, in the log of what opened and ended, every fall of many connections within a short time, and how long
// coming back took from the first one that ended. base is how many were open when the log begins.
func storms(log []step, base, wanted int, wall func(int64) time.Time) []drills.LoadStorm {
	log = slices.Clone(log)
	slices.SortStableFunc(log, func(x, y step) int { return cmp.Compare(x.At, y.At) })
	least := max(int(stormShare*float64(wanted)), 2)
	var out []drills.LoadStorm
	open := base
	for i := 0; i < len(log); {
		if log[i].What >= 0 || !falls(log[i:], least) {
			open += log[i].What
			i++
			continue
		}
		s, used, now := storm(log[i:], open)
		s.At = wall(log[i].At)
		out = append(out, s)
		open = now
		i += used
	}
	return out
}

// falls tells whether at least so many end, on balance, soon after the first step.
func falls(log []step, least int) bool {
	sum := 0
	for _, x := range log {
		if x.At-log[0].At > stormWithin {
			return false
		}
		if sum += x.What; -sum >= least {
			return true
		}
	}
	return false
}

// storm follows one fall until as many are open as before, or the log ends. It returns how many steps that took and how
// many are open then.
func storm(log []step, level int) (drills.LoadStorm, int, int) {
	s := drills.LoadStorm{Level: level, Lowest: level}
	open, bottom := level, 0
	used := len(log)
	for i, x := range log {
		open += x.What
		if open < s.Lowest {
			s.Lowest, bottom = open, i
		}
		if i > bottom && open >= level {
			used = i + 1
			break
		}
	}
	lost := float64(level - s.Lowest)
	open = s.Lowest
	for i, x := range log[:used] {
		if x.What == 0 {
			s.Failed++
		}
		if i <= bottom {
			continue
		}
		open += x.What
		took := drills.Duration(x.At - log[0].At)
		for share, back := range map[float64]*drills.Duration{0.5: &s.Back50, 0.95: &s.Back95, 1: &s.Back100} {
			if *back == 0 && float64(open-s.Lowest) >= share*lost {
				*back = took
			}
		}
	}
	if s.Back95 > 0 {
		s.Rate = 0.95 * lost / s.Back95.D().Seconds()
	}
	return s, used, open
}
