package verifier

import (
	"context"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// standing is what a member says of itself.
type standing struct {
	primary bool
	peer    bool  // one among equals, such as the instances of an API: there is no primary
	linked  bool  // a replica that is connected to its primary
	offset  int64 // position in the replication stream
	rank    int64 // between two primaries the higher one is in charge (Redis: replicas, PostgreSQL: timeline)
	err     error
}

// convergePoll is how often members are asked while they are not in step.
const convergePoll = 250 * time.Millisecond

// converge waits until one member is primary and all others follow it up to where it was when it was first seen alone,
// or until the time is over, and returns the last answers. Reading back earlier would see what a former primary is
// about to throw away, or miss what is still on its way.
func converge(ctx context.Context, members []MemberAddr, within time.Duration, ask func(context.Context, MemberAddr) standing) []standing {
	deadline := time.Now().Add(within)
	target := int64(-1)
	for {
		now := askAll(ctx, members, ask)
		lead, one := leader(now)
		if one && target < 0 {
			target = now[lead].offset
		}
		if one && inStep(now, lead, target) || time.Now().After(deadline) || !drills.Wait(ctx, convergePoll) {
			return now
		}
	}
}

func askAll(ctx context.Context, members []MemberAddr, ask func(context.Context, MemberAddr) standing) []standing {
	out := make([]standing, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, readTimeout)
			defer cancel()
			out[i] = ask(ctx, m)
		})
	}
	wg.Wait()
	return out
}

// leader is the index of the primary in charge (-1: none; among equals the first that answers) and whether it is the only one.
func leader(all []standing) (int, bool) {
	best, n := -1, 0
	for i, s := range all {
		if s.err == nil && s.peer {
			return i, true
		}
		if s.err != nil || !s.primary {
			continue
		}
		n++
		if best < 0 || s.rank > all[best].rank || s.rank == all[best].rank && s.offset > all[best].offset {
			best = i
		}
	}
	return best, n == 1
}

func inStep(all []standing, lead int, target int64) bool {
	for i, s := range all {
		if i != lead && (s.err != nil || !s.peer && (!s.linked || s.offset < target)) {
			return false
		}
	}
	return true
}

// headline fills in what a member's standing says of its holding: whether it counts, and why not.
func headline(m MemberAddr, s standing, isLeader bool) Holding {
	h := Holding{Member: m.Name, Address: m.Address, Role: "replica"}
	switch {
	case s.err != nil:
		h.Role, h.Error = "", clip(s.err.Error())
	case s.peer:
		h.Role, h.Counts = "instance", true
	case isLeader:
		h.Role, h.Counts = "primary", true
	case s.primary:
		h.Role, h.Error = "primary", "claims to be primary but is not in charge: what it holds does not count"
	case !s.linked:
		h.Error = "not connected to the primary: what it holds does not count"
	default:
		h.Counts = true
	}
	return h
}
