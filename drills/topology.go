package drills

import (
	"fmt"
	"path"
	"slices"
	"time"
)

// Member is one running part of a component: for Docker, one container.
type Member struct {
	ID        string            `json:"id"`   // resolved id
	Name      string            `json:"name"` // stable name: the compose service, or service-N when scaled
	Service   string            `json:"service"`
	Component string            `json:"component,omitempty"`
	Role      string            `json:"role,omitempty"`
	State     string            `json:"state"` // running, paused, exited, restarting, …
	Healthy   bool              `json:"healthy"`
	Networks  map[string]string `json:"networks,omitempty"` // short network name -> IPv4 address
	StartedAt time.Time         `json:"started_at"`
	Restarts  int               `json:"restarts"`
	Policy    string            `json:"policy,omitempty"` // restart policy
	Image     string            `json:"image,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	// Limits holds resource limits that faults respect, such as memory in bytes.
	Limits map[string]int64 `json:"limits,omitempty"`
}

// Addresses lists the member's addresses in a stable order.
func (m Member) Addresses() []string {
	var out []string
	for _, a := range m.Networks {
		if a != "" {
			out = append(out, a)
		}
	}
	slices.Sort(out)
	return out
}

// Fact is one number or word that a role resolver knows about a component, for `require:` and reports.
type Fact struct {
	Number float64 `json:"number,omitempty"` // seconds for times, a count otherwise
	Word   string  `json:"word,omitempty"`
	Unit   string  `json:"unit,omitempty"` // "s" or ""
}

// RoleView is what the role source of one component says, with its evidence.
type RoleView struct {
	Component    string            `json:"component"`
	At           time.Time         `json:"at"`
	Roles        map[string]string `json:"roles"`     // member id -> primary | replica | …
	Primaries    []string          `json:"primaries"` // member ids that claim the primary role
	Facts        map[string]Fact   `json:"facts,omitempty"`
	Disagreement string            `json:"disagreement,omitempty"` // e.g. two primaries, or sources that differ
	Evidence     string            `json:"evidence,omitempty"`
}

// Topology is the system as it is now.
type Topology struct {
	At      time.Time           `json:"at"`
	Members []Member            `json:"members"`
	Groups  map[string][]string `json:"groups,omitempty"` // component -> member ids; a member may be in several
	Views   map[string]RoleView `json:"views,omitempty"`  // by component
	Verbs   []string            `json:"verbs,omitempty"`  // what the runtime can do
}

// Target selects members. Never silently empty: Select returns an error instead.
type Target struct {
	Component string   `json:"component,omitempty" yaml:"component"`
	Role      string   `json:"role,omitempty" yaml:"role"`
	Names     []string `json:"names,omitempty" yaml:"names"`
	Pick      string   `json:"pick,omitempty" yaml:"pick"` // one | all | a count | a percentage; default one where role is primary, else all for peers and one for targets
}

// Member returns the member with that id.
func (t Topology) Member(id string) (Member, bool) {
	i := slices.IndexFunc(t.Members, func(m Member) bool { return m.ID == id })
	if i < 0 {
		return Member{}, false
	}
	return t.Members[i], true
}

// Of lists the members of a component, by name, with their roles in it.
func (t Topology) Of(component string) []Member {
	var out []Member
	for _, m := range t.Members {
		if slices.Contains(t.Groups[component], m.ID) {
			m.Component, m.Role = component, t.Views[component].Roles[m.ID]
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b Member) int { return compareNames(a.Name, b.Name) })
	return out
}

// Match lists every member the target can mean, in a stable order; Pick is not applied.
func (t Topology) Match(x Target) ([]Member, error) {
	var out []Member
	for _, m := range t.Of(x.Component) {
		if (x.Role == "" || m.Role == x.Role) && matchesName(x.Names, m.Name) {
			out = append(out, m)
		}
	}
	if len(out) == 0 {
		return nil, Errorf(Blocked, "see `simulacro status` for the members and their roles", "no member matches %s", x)
	}
	return out, nil
}

// String says the target in words.
func (x Target) String() string {
	s := fmt.Sprintf("component %q", x.Component)
	if x.Role != "" {
		s += fmt.Sprintf(" role %q", x.Role)
	}
	if len(x.Names) > 0 {
		s += fmt.Sprintf(" names %v", x.Names)
	}
	return s
}

func matchesName(globs []string, name string) bool {
	if len(globs) == 0 {
		return true
	}
	return slices.ContainsFunc(globs, func(g string) bool { ok, _ := path.Match(g, name); return ok })
}

func compareNames(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}
