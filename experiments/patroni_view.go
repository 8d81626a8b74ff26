package experiments

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// storeSeenWithin is Patroni's default ttl: a member that has not reached the configuration store for longer has lost it.
const storeSeenWithin = 30 * time.Second

// pgPrimary is the one member that answers as primary and holds the leader lock; without word of the lock, the only one
// that answers as primary.
func pgPrimary(a pgAnswers, members []drills.Member) (drills.Member, bool) {
	var claims []drills.Member
	for _, m := range members {
		if a.nodes[m.ID].primary {
			claims = append(claims, m)
		}
	}
	if a.cluster == nil {
		if len(claims) == 1 {
			return claims[0], true
		}
		return drills.Member{}, false
	}
	name, host := a.cluster.leader()
	i := slices.IndexFunc(claims, func(m drills.Member) bool { return nodeOf(m).is(name) || nodeOf(m).is(host) })
	if i < 0 {
		return drills.Member{}, false
	}
	return claims[i], true
}

// follows tells whether a member is a running replica on the primary's timeline.
func follows(w, primary pgWord) bool {
	return !w.primary && w.Role == roleReplica && w.State == "running" && (w.Line == 0 || primary.Line == 0 || w.Line == primary.Line)
}

// pgView folds the answers into the component's view.
func pgView(component string, members []drills.Member, a pgAnswers, lags map[string]lagOf) drills.RoleView {
	v := drills.RoleView{Component: component, At: time.Now().UTC(), Roles: map[string]string{}, Facts: map[string]drills.Fact{}}
	primary, agreed := pgPrimary(a, members)
	for _, m := range members {
		switch w := a.nodes[m.ID]; {
		case w.primary:
			v.Primaries = append(v.Primaries, m.ID)
			v.Roles[m.ID] = roleStalePrimary
			if agreed && m.ID == primary.ID {
				v.Roles[m.ID] = rolePrimary
			}
		case w.Role == roleReplica:
			v.Roles[m.ID] = roleReplica
		}
	}
	slices.Sort(v.Primaries)
	v.Facts["replicas"] = drills.Fact{Number: float64(len(lags))}
	lagFacts(v.Facts, lags)
	pgFacts(v.Facts, a, a.nodes[primary.ID])
	v.Disagreement = pgDisagreement(v, members, a)
	v.Evidence = pgEvidence(members, a)
	return v
}

func pgFacts(facts map[string]drills.Fact, a pgAnswers, primary pgWord) {
	seen, paused := time.Time{}, false
	for _, w := range a.nodes {
		if t := time.Unix(w.Seen, 0); t.After(seen) {
			seen = t
		}
		paused = paused || w.Pause
	}
	facts["quorum"] = drills.Fact{Word: "lost"}
	if time.Since(seen) < storeSeenWithin {
		facts["quorum"] = drills.Fact{Word: "ok"}
	}
	facts["paused"] = drills.Fact{Word: "no"}
	if paused || a.cluster != nil && a.cluster.Pause {
		facts["paused"] = drills.Fact{Word: "yes"}
	}
	if primary.Line > 0 {
		facts["timeline"] = drills.Fact{Number: float64(primary.Line)}
	}
	if since, ok := sinceChange(a.history, primary, time.Now()); ok {
		facts["last-role-change"] = drills.Fact{Number: since.Seconds(), Unit: "s"}
	}
}

// sinceChange is the time since the last role change. A timeline that the history does not know yet means: just now.
// Without any change ever, it is the time since the primary's start.
func sinceChange(history [][]any, primary pgWord, now time.Time) (time.Duration, bool) {
	at, ended, ok := lastChange(history)
	switch {
	case primary.Line > ended+1:
		return 0, true
	case ok:
		return max(0, now.Sub(at)), true
	}
	for _, layout := range []string{"2006-01-02 15:04:05.999999-07:00", "2006-01-02 15:04:05.999999 MST"} {
		if at, err := time.Parse(layout, primary.Started); err == nil {
			return max(0, now.Sub(at)), true
		}
	}
	return 0, false
}

// pgDisagreement is one sentence, or "" when everybody who answers agrees.
func pgDisagreement(v drills.RoleView, members []drills.Member, a pgAnswers) string {
	var out []string
	if len(v.Primaries) > 1 {
		out = append(out, strings.Join(namesOf(v.Primaries, members), " and ")+" both answer as primary")
	}
	if len(a.nodes) == 0 {
		return fmt.Sprintf("no Patroni answered (%v)", a.silent)
	}
	if a.cluster == nil {
		return strings.Join(append(out, "no Patroni can say who holds the leader lock"), "; ")
	}
	name, host := a.cluster.leader()
	i := slices.IndexFunc(members, func(m drills.Member) bool { return nodeOf(m).is(name) || nodeOf(m).is(host) })
	switch {
	case name == "" && len(v.Primaries) > 0:
		out = append(out, "nobody holds the leader lock")
	case name != "" && i < 0:
		out = append(out, fmt.Sprintf("the leader lock is held by %s, which is not a member", name))
	case name != "" && len(v.Primaries) == 1 && v.Primaries[0] != members[i].ID:
		out = append(out, fmt.Sprintf("the leader lock is held by %s, but %s answers as primary", members[i].Name, namesOf(v.Primaries, members)[0]))
	}
	return strings.Join(out, "; ")
}

// pgEvidence says what was heard, for people.
func pgEvidence(members []drills.Member, a pgAnswers) string {
	var parts []string
	if a.cluster != nil {
		name, _ := a.cluster.leader()
		parts = append(parts, "leader lock: "+name)
	}
	for _, m := range members {
		w, ok := a.nodes[m.ID]
		switch {
		case !ok:
			parts = append(parts, m.Name+": no answer")
		case w.primary:
			parts = append(parts, fmt.Sprintf("%s: primary %s timeline %d position %d", m.Name, w.State, w.Line, w.Xlog.Location))
		default:
			parts = append(parts, fmt.Sprintf("%s: %s %s timeline %d position %d", m.Name, w.Role, w.State, w.Line, w.received()))
		}
	}
	return fmt.Sprintf("%s (read in %v)", strings.Join(parts, "; "), a.took.Round(time.Millisecond))
}
