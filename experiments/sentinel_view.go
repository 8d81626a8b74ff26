package experiments

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// The roles that resolvers give. A stale primary still says that it is primary although the control plane has another:
// it is in Primaries, because it takes writes, but no target `role: primary` means it.
const (
	rolePrimary      = "primary"
	roleReplica      = "replica"
	roleStalePrimary = "stale-primary"
)

// named is the primary by the newest configuration (the highest epoch, then most sentinels), as the sentinels call it.
func (a redisAnswers) named() string {
	votes := map[string]int{}
	var best sentinelWord
	for _, w := range a.sentinels {
		votes[w.host]++
	}
	for _, w := range a.sentinels {
		if w.epoch > best.epoch || best.host == "" || w.epoch == best.epoch && votes[w.host] > votes[best.host] {
			best = w
		}
	}
	return best.host
}

// redisPrimary is the one member that the sentinels name and that says so itself; without any sentinel, the only one
// that says so.
func redisPrimary(a redisAnswers, members []drills.Member) (drills.Member, bool) {
	var claims []drills.Member
	for _, m := range members {
		if a.nodes[m.ID].role == "master" {
			claims = append(claims, m)
		}
	}
	if len(a.sentinels) == 0 {
		if len(claims) == 1 {
			return claims[0], true
		}
		return drills.Member{}, false
	}
	i := slices.IndexFunc(claims, func(m drills.Member) bool { return nodeOf(m).is(a.named()) })
	if i < 0 {
		return drills.Member{}, false
	}
	return claims[i], true
}

// inSync tells whether a node is a connected replica of that primary.
func inSync(w dataWord, primary drills.Member) bool {
	return w.role == "slave" && w.linked && nodeOf(primary).is(w.follows)
}

// redisView folds the answers into the component's view.
func redisView(component string, members []drills.Member, a redisAnswers, lags map[string]lagOf) drills.RoleView {
	v := drills.RoleView{Component: component, At: time.Now().UTC(), Roles: map[string]string{}, Facts: map[string]drills.Fact{}}
	primary, agreed := redisPrimary(a, members)
	for _, m := range members {
		switch a.nodes[m.ID].role {
		case "slave":
			v.Roles[m.ID] = roleReplica
		case "master":
			v.Primaries = append(v.Primaries, m.ID)
			v.Roles[m.ID] = roleStalePrimary
			if agreed && m.ID == primary.ID {
				v.Roles[m.ID] = rolePrimary
			}
		}
	}
	slices.Sort(v.Primaries)
	v.Facts["replicas"] = drills.Fact{Number: float64(len(lags))}
	lagFacts(v.Facts, lags)
	sentinelFacts(v.Facts, a)
	v.Disagreement = redisDisagreement(v, members, a)
	v.Evidence = redisEvidence(members, a)
	return v
}

func sentinelFacts(facts map[string]drills.Fact, a redisAnswers) {
	facts["sentinels"] = drills.Fact{Number: float64(len(a.sentinels))}
	able := 0
	var since []time.Duration
	for _, w := range a.sentinels {
		if w.quorum {
			able++
		}
		since = append(since, w.since)
	}
	facts["quorum"] = drills.Fact{Word: "lost"}
	if able > a.asked/2 {
		facts["quorum"] = drills.Fact{Word: "ok"}
	}
	if len(since) > 0 { // the shortest: a sentinel that was started lately only knows less, and less is the safe side
		facts["last-role-change"] = drills.Fact{Number: slices.Min(since).Seconds(), Unit: "s"}
	}
}

// redisDisagreement is one sentence, or "" when everybody who answers agrees.
func redisDisagreement(v drills.RoleView, members []drills.Member, a redisAnswers) string {
	var out []string
	if len(v.Primaries) > 1 {
		out = append(out, strings.Join(namesOf(v.Primaries, members), " and ")+" both say that they are primary")
	}
	votes := map[string]int{}
	for _, w := range a.sentinels {
		votes[w.host]++
	}
	if len(votes) > 1 {
		var parts []string
		for _, host := range slices.Sorted(maps.Keys(votes)) {
			parts = append(parts, fmt.Sprintf("%s (%d)", host, votes[host]))
		}
		out = append(out, "the sentinels name different primaries: "+strings.Join(parts, ", "))
	}
	if len(a.sentinels) == 0 {
		out = append(out, fmt.Sprintf("no sentinel answered (%v)", a.silent))
		return strings.Join(out, "; ")
	}
	i := slices.IndexFunc(members, func(m drills.Member) bool { return nodeOf(m).is(a.named()) })
	switch {
	case i < 0:
		out = append(out, fmt.Sprintf("the sentinels name %s, which is not a member", a.named()))
	case a.nodes[members[i].ID].role == "slave":
		out = append(out, fmt.Sprintf("the sentinels name %s, which says that it is a replica", members[i].Name))
	}
	return strings.Join(out, "; ")
}

func namesOf(ids []string, members []drills.Member) []string {
	var out []string
	for _, m := range members {
		if slices.Contains(ids, m.ID) {
			out = append(out, m.Name)
		}
	}
	return out
}

// redisEvidence says what was heard, for people.
func redisEvidence(members []drills.Member, a redisAnswers) string {
	var parts []string
	for _, w := range slices.SortedFunc(slices.Values(a.sentinels), func(x, y sentinelWord) int { return strings.Compare(x.addr, y.addr) }) {
		part := fmt.Sprintf("%s: primary %s epoch %d", w.addr, w.host, w.epoch)
		if w.tilt {
			part += " in TILT"
		}
		parts = append(parts, part)
	}
	for _, m := range members {
		w, ok := a.nodes[m.ID]
		switch {
		case !ok:
			parts = append(parts, m.Name+": no answer")
		case w.role == "slave":
			parts = append(parts, fmt.Sprintf("%s: replica of %s offset %d linked %t", m.Name, w.follows, w.offset, w.linked))
		default:
			parts = append(parts, fmt.Sprintf("%s: %s offset %d", m.Name, w.role, w.offset))
		}
	}
	return fmt.Sprintf("%s (read in %v)", strings.Join(parts, "; "), a.took.Round(time.Millisecond))
}
