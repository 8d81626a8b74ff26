package drills

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Select picks the members of a target, never silently none. Pick is one | all | a count | a percentage (rounded up:
// 20 % of two is one). Where Pick is empty, role primary means exactly the one primary, anything else means one member.
// The choice is made by the seed, so that a run can be repeated. keep is how many healthy members must stay untouched.
func (t Topology) Select(x Target, seed int64, keep int) ([]Member, error) {
	found, err := t.Match(x)
	if err != nil {
		return nil, err
	}
	if x.Role == "primary" && len(found) > 1 {
		return nil, Errorf(Blocked, "wait until the system agrees on one, or drill the split by naming members", "%s is claimed by %d members", x, len(found))
	}
	n, err := pickCount(x.Pick, len(found))
	if err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(uint64(seed), 0))
	r.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
	chosen := found[:n]
	return chosen, t.keeps(x.Component, chosen, keep)
}

func pickCount(pick string, of int) (int, error) {
	switch {
	case pick == "" || pick == "one":
		return 1, nil
	case pick == "all":
		return of, nil
	case strings.HasSuffix(pick, "%"):
		p, err := strconv.ParseFloat(strings.TrimSuffix(pick, "%"), 64)
		if err != nil || p <= 0 || p > 100 {
			return 0, Errorf(Input, "use one, all, a count or a percentage such as 50%", "pick %q is not a selection", pick)
		}
		return int(math.Ceil(p / 100 * float64(of))), nil
	}
	n, err := strconv.Atoi(pick)
	if err != nil || n < 1 {
		return 0, Errorf(Input, "use one, all, a count or a percentage such as 50%", "pick %q is not a selection", pick)
	}
	if n > of {
		return 0, Errorf(Blocked, "", "pick %d asks for more members than the %d there are", n, of)
	}
	return n, nil
}

func (t Topology) keeps(component string, chosen []Member, keep int) error {
	hit := map[string]bool{}
	for _, m := range chosen {
		hit[m.ID] = true
	}
	left := 0
	for _, m := range t.Of(component) {
		if !hit[m.ID] && m.State == "running" {
			left++
		}
	}
	if left < keep {
		return Errorf(Blocked, fmt.Sprintf("keep-healthy of %s is %d", component, keep),
			"the fault would leave %d running members of %s", left, component)
	}
	return nil
}
