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

// Facts that time alone makes better: the age of a role, and, right after a start, how many members run and are healthy.
const (
	roleAge = "last-role-change"
	running = "running"
)

func (q Requirement) needsTime() bool {
	return q.Conditions[roleAge] != "" || q.Conditions[running] != ""
}

// youth is how long after its start a member may be expected to become healthy by itself.
const youth = 2 * time.Minute

// growing names the members that a requirement counts, that were started just now and are not healthy yet.
func growing(d *Drill, t Topology) []string {
	var out []string
	for _, q := range d.Require {
		if q.Component == "" || q.Conditions[running] == "" {
			continue
		}
		for _, m := range t.Of(q.Component) {
			if m.State == "running" && !m.Healthy && t.At.Sub(m.StartedAt) < youth && !slices.Contains(out, m.Name) {
				out = append(out, m.Name)
			}
		}
	}
	return out
}

// Ripe is how long it takes until the requirements that only need time hold, and which one takes longest. Zero when none has
// to be waited for. Sentinel, for one, does not fail over again within twice its failover-timeout.
func Ripe(d *Drill, t Topology) (time.Duration, string) {
	var longest time.Duration
	var what string
	for _, q := range d.Require {
		f, known := t.Views[q.Component].Facts[roleAge]
		least, asked := strings.CutPrefix(strings.TrimSpace(q.Conditions[roleAge]), ">")
		if !known || !asked {
			continue
		}
		n, err := conditionNumber(strings.TrimSpace(strings.TrimPrefix(least, "=")), f.Unit)
		if left := time.Duration((n - f.Number) * float64(time.Second)); err == nil && left >= 0 && left >= longest {
			if ok, _ := Holds(f, q.Conditions[roleAge]); !ok {
				longest, what = left, fmt.Sprintf("%s %s is %s and must be %s", q.Component, roleAge, f.text(), q.Conditions[roleAge])
			}
		}
	}
	return longest, what
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
