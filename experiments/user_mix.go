package experiments

import (
	"fmt"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// UserMix is people of several kinds at once: those who ask, those who listen, those who search on the map.
type UserMix struct {
	Users   int             `yaml:"users" json:"users"` // of all groups; stated, and checked
	Ramp    drills.Duration `yaml:"ramp" json:"ramp"`
	Network string          `yaml:"network" json:"network,omitempty"`
	URL     string          `yaml:"url" json:"url,omitempty"`   // of HTTP groups; default: the targets' own addresses
	Port    int             `yaml:"port" json:"port,omitempty"` // of the targets
	Login   *drills.Login   `yaml:"login" json:"login,omitempty"`
	Groups  []UserGroup     `yaml:"groups" json:"groups"`
}

// UserGroup is one kind of user: exactly one of Operations (HTTP), Statements (PostgreSQL) and Listen (WebSocket).
type UserGroup struct {
	Name        string             `yaml:"name" json:"name"`
	Users       int                `yaml:"users" json:"users"`
	Every       drills.Duration    `yaml:"every" json:"every,omitempty"`             // one operation of each user in so long
	Connections int                `yaml:"connections" json:"connections,omitempty"` // default: one for each user
	Timeout     drills.Duration    `yaml:"timeout" json:"timeout,omitempty"`         // default 5s
	Operations  []drills.HTTPOp    `yaml:"operations" json:"operations,omitempty"`
	DSN         string             `yaml:"dsn" json:"dsn,omitempty"`
	Statements  []drills.Statement `yaml:"statements" json:"statements,omitempty"`
	Listen      *Listen            `yaml:"listen" json:"listen,omitempty"`
}

// Listen is a WebSocket connection for each user of the group.
type Listen struct {
	Path    string   `yaml:"path" json:"path"`
	Publish *Publish `yaml:"publish" json:"publish,omitempty"`
}

// rate is what the group's users do together, operations a second.
func (g UserGroup) rate() float64 {
	if g.Every <= 0 {
		return 0
	}
	return float64(g.Users) / g.Every.D().Seconds()
}

func userMixKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "user-mix",
		Summary:  "Users of several kinds at once: requests, queries and WebSocket listeners, each at its own rate",
		Class:    drills.ClassUndo,
		Verbs:    []string{"load.open", "load.websocket", "load.stop"},
		Duration: "required",
		Proof:    "connections held and operations answered well, as the generators counted them",
		Undo:     "the generators are stopped; they also end when their streams close",
	}, func() *UserMix { return &UserMix{Ramp: drills.Duration(5 * time.Second)} })
}

// Validate checks the parameters.
func (f *UserMix) Validate() error {
	const kind = complaint("user-mix")
	sum, listening := 0, 0
	seen := map[string]bool{}
	for _, g := range f.Groups {
		if g.Name == "" || seen[g.Name] {
			return kind.bad("groups: each needs a name of its own, found %q", g.Name)
		}
		seen[g.Name] = true
		if err := g.check(kind, f.Ramp); err != nil {
			return err
		}
		sum += g.Users
		if g.Listen != nil {
			listening++
		}
	}
	switch {
	case len(f.Groups) == 0:
		return kind.bad("groups: at least one is needed")
	case listening > 1:
		return kind.bad("groups: at most one may listen")
	case sum != f.Users:
		return kind.bad("users: the groups have %d together, users says %d", sum, f.Users)
	}
	return kind.login(f.Login)
}

func (g UserGroup) check(kind complaint, ramp drills.Duration) error {
	parts := 0
	for _, has := range []bool{len(g.Operations) > 0, len(g.Statements) > 0, g.Listen != nil} {
		if has {
			parts++
		}
	}
	switch {
	case parts != 1:
		return kind.bad("groups: %s: exactly one of operations, statements and listen is needed", g.Name)
	case g.Users < 1:
		return kind.bad("groups: %s: users: must be at least 1", g.Name)
	case g.Listen != nil:
		w := SaturateWebSocket{Connections: g.Users, Path: g.Listen.Path, Publish: g.Listen.Publish, Ramp: ramp}
		return w.Validate()
	case g.Every <= 0:
		return kind.bad("groups: %s: every: is required, such as 10s for one operation of each user in 10 s", g.Name)
	}
	flow := g.flow()
	if err := kind.flow(flow.Rate, flow.Connections, flow.Timeout, ramp); err != nil {
		return err
	}
	if len(g.Statements) == 0 {
		return kind.operations(g.Operations)
	}
	if g.DSN == "" {
		return kind.bad("groups: %s: dsn: is required with statements", g.Name)
	}
	return kind.statements(g.Statements)
}

func (g UserGroup) flow() drills.LoadFlow {
	x := drills.LoadFlow{Name: g.Name, Users: g.Users, Rate: g.rate(), Connections: g.Connections, Timeout: g.Timeout}
	if x.Connections == 0 {
		x.Connections = g.Users
	}
	if x.Timeout == 0 {
		x.Timeout = drills.Duration(5 * time.Second)
	}
	return x
}

// Plan is one generator for those who ask, and one for those who listen.
func (f *UserMix) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "user-mix goes on"); err != nil {
		return nil, err
	}
	network, err := sharedNetwork(f.Network, s.Targets)
	if err != nil {
		return nil, err
	}
	var flows []drills.LoadFlow
	var out []drills.Change
	rate := 0.0
	for _, g := range f.Groups {
		if g.Listen != nil {
			w := SaturateWebSocket{Connections: g.Users, Path: g.Listen.Path, Port: f.Port, Network: network, Ramp: f.Ramp, Login: f.Login, Publish: g.Listen.Publish}
			changes, err := w.Plan(s)
			if err != nil {
				return nil, err
			}
			out = append(out, changes...)
			continue
		}
		flow := g.flow()
		rate += flow.Rate
		if len(g.Statements) > 0 {
			flow.Postgres = &drills.PostgresLoad{DSN: g.DSN, Statements: g.Statements}
		} else {
			urls, err := loadBase(s, f.URL, network, f.Port)
			if err != nil {
				return nil, err
			}
			flow.HTTP = &drills.HTTPLoad{URLs: urls, Login: f.Login, Operations: g.Operations}
		}
		flows = append(flows, flow)
	}
	if len(flows) > 0 {
		c, err := openLoad(s, network, f.Ramp, fmt.Sprintf("%d users, %.4g operations a second", f.Users, rate), flows...)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}
