package drills

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Requirements compares the drill's `require:` with the facts of the role views; one check per condition.
// "alerts-firing" is asked of the monitoring, not here.
func Requirements(d *Drill, t Topology) []Check {
	var out []Check
	for _, q := range d.Require {
		if q.Component == "" {
			continue
		}
		v := t.Views[q.Component]
		for _, fact := range slices.Sorted(maps.Keys(q.Conditions)) {
			out = append(out, requirement(q.Component, fact, q.Conditions[fact], v))
		}
		if v.Disagreement != "" {
			out = append(out, Check{Name: "roles of " + q.Component, Expected: "one primary, all sources agree", Actual: v.Disagreement})
		}
	}
	return out
}

func requirement(component, fact, want string, v RoleView) Check {
	c := Check{Name: component + " " + fact, Expected: want, Hint: "the drill requires this redundancy before it takes any away"}
	got, ok := v.Facts[fact]
	if !ok {
		c.Actual = "not known"
		return c
	}
	c.Actual = got.text()
	holds, err := Holds(got, want)
	if err != nil {
		c.Hint = err.Error()
	}
	c.OK = holds
	return c
}

func (f Fact) text() string {
	switch {
	case f.Word != "":
		return f.Word
	case f.Unit == "s":
		return time.Duration(f.Number * float64(time.Second)).Round(time.Millisecond).String()
	}
	return strconv.FormatFloat(f.Number, 'g', -1, 64)
}

// Holds compares a fact with a condition such as ">= 2", "< 1s" or "ok".
func Holds(f Fact, condition string) (bool, error) {
	condition = strings.TrimSpace(condition)
	for _, op := range []string{"<=", ">=", "==", "<", ">"} {
		rest, ok := strings.CutPrefix(condition, op)
		if !ok {
			continue
		}
		n, err := conditionNumber(strings.TrimSpace(rest), f.Unit)
		if err != nil {
			return false, err
		}
		return map[string]bool{"<=": f.Number <= n, ">=": f.Number >= n, "==": f.Number == n, "<": f.Number < n, ">": f.Number > n}[op], nil
	}
	return f.Word == condition, nil
}

func conditionNumber(s, unit string) (float64, error) {
	if unit == "s" {
		d, err := time.ParseDuration(s)
		if err != nil {
			return 0, fmt.Errorf("%q is not a duration such as 1s", s)
		}
		return d.Seconds(), nil
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	return n, nil
}
