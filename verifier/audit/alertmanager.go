package audit

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// amConfig is Alertmanager's configuration as far as routing goes.
type amConfig struct {
	Route     amRoute          `yaml:"route"`
	Inhibit   []amInhibit      `yaml:"inhibit_rules"`
	Receivers []map[string]any `yaml:"receivers"`
}

type amRoute struct {
	Receiver string            `yaml:"receiver"`
	Continue bool              `yaml:"continue"`
	Matchers []string          `yaml:"matchers"`
	Match    map[string]string `yaml:"match"`
	MatchRE  map[string]string `yaml:"match_re"`
	Routes   []*amRoute        `yaml:"routes"`
}

type amInhibit struct {
	SourceMatchers []string          `yaml:"source_matchers"`
	SourceMatch    map[string]string `yaml:"source_match"`
	SourceMatchRE  map[string]string `yaml:"source_match_re"`
}

// matcher is one condition on a label.
type matcher struct{ label, op, value string }

type matchers []matcher

var matcherText = regexp.MustCompile(`^\s*"?([A-Za-z_]\w*)"?\s*(=~|!~|!=|=)\s*"?(.*?)"?\s*$`)

// matchersOf reads both ways of writing matchers. One that cannot be read matches nothing, which is said by what it then reaches.
func matchersOf(texts []string, equal, re map[string]string) matchers {
	var out matchers
	for _, t := range texts {
		for part := range strings.SplitSeq(strings.Trim(t, "{} "), ",") {
			m := matcherText.FindStringSubmatch(part)
			if m == nil {
				out = append(out, matcher{label: part, op: "?"})
				continue
			}
			out = append(out, matcher{m[1], m[2], m[3]})
		}
	}
	for _, k := range sorted(equal) {
		out = append(out, matcher{k, "=", equal[k]})
	}
	for _, k := range sorted(re) {
		out = append(out, matcher{k, "=~", re[k]})
	}
	return out
}

func (ms matchers) match(labels map[string]string) bool {
	return !slices.ContainsFunc(ms, func(m matcher) bool { return !m.match(labels[m.label]) })
}

func (m matcher) match(v string) bool {
	switch m.op {
	case "=":
		return v == m.value
	case "!=":
		return v != m.value
	}
	re, err := regexp.Compile("^(?:" + m.value + ")$")
	if err != nil || m.op == "?" {
		return false
	}
	return re.MatchString(v) == (m.op == "=~")
}

// String is how it would be written.
func (ms matchers) String() string {
	var out []string
	for _, m := range ms {
		out = append(out, fmt.Sprintf("%s%s%q", m.label, m.op, m.value))
	}
	return "{" + strings.Join(out, ",") + "}"
}

func (r *amRoute) matchers() matchers { return matchersOf(r.Matchers, r.Match, r.MatchRE) }

// String is what the route matches.
func (r *amRoute) String() string { return r.matchers().String() }

// send marks the routes that an alert with these labels ends at: the deepest that match, the first of each level unless it
// says continue (Alertmanager's dispatch.Route.Match).
func (r *amRoute) send(labels map[string]string, hit map[*amRoute]bool) {
	taken := false
	for _, c := range r.Routes {
		if !c.matchers().match(labels) {
			continue
		}
		taken = true
		c.send(labels, hit)
		if !c.Continue {
			break
		}
	}
	if !taken {
		hit[r] = true
	}
}

// reached tells whether an alert ends here or below.
func (r *amRoute) reached(hit map[*amRoute]bool) bool {
	return hit[r] || slices.ContainsFunc(r.Routes, func(c *amRoute) bool { return c.reached(hit) })
}

// walk visits every route, parents first.
func (r *amRoute) walk(f func(*amRoute)) {
	f(r)
	for _, c := range r.Routes {
		c.walk(f)
	}
}

// receiverOf is the receiver of a route below r: its own, or that of the nearest parent that has one.
func (r *amRoute) receiverOf(x *amRoute) string {
	var find func(at *amRoute, above string) string
	find = func(at *amRoute, above string) string {
		name := cmp.Or(at.Receiver, above)
		if at == x {
			return name
		}
		for _, c := range at.Routes {
			if n := find(c, name); n != "" {
				return n
			}
		}
		return ""
	}
	return find(r, "")
}
