package drills

import (
	"context"
	"fmt"
	"path"
	"slices"
	"sync"
	"time"
)

// Inventory lists the running parts of a system, before anyone says what they are for.
type Inventory interface {
	Members(context.Context) ([]Member, error)
}

// resolveLimit bounds one question to a component's control plane.
const resolveLimit = 3 * time.Second

// Mux is the Runtime: an inventory, the role sources, and the actuators by verb prefix.
type Mux struct {
	System    *System
	Inventory Inventory
	Resolvers map[string]RoleResolver // by RoleSource.From
	Actuators map[string]Actuator     // by verb prefix
}

// Topology reads the members and asks every role source. A role source that cannot be read is a view with a
// disagreement, not an error: a broken control plane is something that drills are about.
func (m *Mux) Topology(ctx context.Context) (Topology, error) {
	members, err := m.Inventory.Members(ctx)
	if err != nil {
		return Topology{}, err
	}
	t := Topology{At: time.Now(), Members: members, Groups: map[string][]string{}, Views: map[string]RoleView{}}
	for verb := range m.Actuators {
		t.Verbs = append(t.Verbs, verb)
	}
	slices.Sort(t.Verbs)
	for name, c := range m.System.Components {
		for _, x := range members {
			if c.Members.Select.Matches(x) {
				t.Groups[name] = append(t.Groups[name], x.ID)
			}
		}
	}
	m.views(ctx, &t)
	return t, nil
}

// Matches tells whether the selector means this member.
func (s Selector) Matches(m Member) bool {
	if s.Service != "" {
		if ok, _ := path.Match(s.Service, m.Service); !ok {
			return false
		}
	}
	for k, v := range s.Labels {
		if m.Labels[k] != v {
			return false
		}
	}
	return matchesName(s.Names, m.Name) && (s.Service != "" || len(s.Labels) > 0 || len(s.Names) > 0)
}

func (m *Mux) views(ctx context.Context, t *Topology) {
	members := map[string][]Member{} // read before anything is written beside it
	for name := range m.System.Components {
		members[name] = t.Of(name)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for name, c := range m.System.Components {
		wg.Go(func() {
			v := m.View(ctx, c, members[name])
			mu.Lock()
			defer mu.Unlock()
			t.Views[name] = v
		})
	}
	wg.Wait()
}

// View is what one component's role source says now, with the count of running members as the fact "running".
func (m *Mux) View(ctx context.Context, c Component, members []Member) RoleView {
	v := RoleView{Component: c.Name, At: time.Now(), Roles: map[string]string{}}
	if c.Roles != nil {
		v = m.resolve(ctx, c, members)
	}
	if v.Facts == nil {
		v.Facts = map[string]Fact{}
	}
	running := 0
	for _, x := range members {
		if x.State == "running" && x.Healthy {
			running++
		}
	}
	v.Facts["running"] = Fact{Number: float64(running)}
	return v
}

func (m *Mux) resolve(ctx context.Context, c Component, members []Member) RoleView {
	bad := RoleView{Component: c.Name, At: time.Now(), Roles: map[string]string{}}
	r, ok := m.Resolvers[c.Roles.From]
	if !ok {
		bad.Disagreement = fmt.Sprintf("no role source %q is known", c.Roles.From)
		return bad
	}
	ctx, cancel := context.WithTimeout(ctx, resolveLimit)
	defer cancel()
	v, err := r.Resolve(ctx, c, members)
	if err != nil {
		bad.Disagreement = "the roles could not be read: " + err.Error()
		return bad
	}
	v.Component = c.Name
	return v
}

// Apply sends the op to the actuator of its verb's prefix.
func (m *Mux) Apply(ctx context.Context, op Op) (Effect, error) {
	a, err := m.actuator(ctx, op)
	if err != nil {
		return Effect{}, err
	}
	return a.Apply(ctx, op)
}

// Prepare asks the actuator of the change's verb, where it has something to prepare.
func (m *Mux) Prepare(ctx context.Context, c Change) (Change, error) {
	a, err := m.actuator(ctx, c.Do)
	if err != nil {
		return c, err
	}
	if p, ok := a.(Preparer); ok {
		return p.Prepare(ctx, c)
	}
	return c, nil
}

// Present asks the actuator of its verb's prefix.
func (m *Mux) Present(ctx context.Context, op Op) (bool, error) {
	a, err := m.actuator(ctx, op)
	if err != nil {
		return false, err
	}
	return a.Present(ctx, op)
}

func (m *Mux) actuator(ctx context.Context, op Op) (Actuator, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	a, ok := m.Actuators[op.Prefix()]
	if !ok {
		return nil, Errorf(Blocked, "this runtime offers other verbs; see `simulacro doctor`", "nothing here can do %q", op.Verb)
	}
	return a, nil
}
