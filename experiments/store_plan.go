package experiments

import (
	"encoding/json"
	"net"
	"strconv"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/store"
)

// storeProof is how long the effect of a fault on a store may take to show.
const storeProof = drills.Duration(10 * time.Second)

// storePlan is a fault on each target's store.
type storePlan struct {
	fault   string // of package store
	kind    string // redis or postgres
	class   drills.Class
	with    any
	network string
	proxied bool // postgres: go where the DSN leads, not to the member itself
	prove   drills.Duration
	note    string
}

// onStore plans one change per target.
func onStore(s drills.Scene, p storePlan) ([]drills.Change, error) {
	network, err := sharedNetwork(p.network, s.Targets)
	if err != nil {
		return nil, err
	}
	with, err := json.Marshal(p.with)
	if err != nil {
		return nil, err
	}
	if p.prove == 0 {
		p.prove = storeProof
	}
	var out []drills.Change
	for _, m := range s.Targets {
		if err := running(m); err != nil {
			return nil, err
		}
		a := storeArgs{Network: network, Prove: p.prove, Once: p.class != drills.ClassUndo}
		a.Spec = store.Spec{Fault: p.fault, Mark: mark(s, m), For: s.Duration, With: with}
		if err := enter(s, m, p, network, &a.Spec); err != nil {
			return nil, err
		}
		act := plan{class: p.class, do: storePrefix + p.fault, note: p.note}
		if p.class == drills.ClassUndo {
			act.undo = verbEnd
		}
		c, err := change(s, m, act, a, a)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// enter says how the member's store is entered: by the component's `control:`, else, for Redis, as its roles are asked.
func enter(s drills.Scene, m drills.Member, p storePlan, network string, spec *store.Spec) error {
	var c drills.Component
	if s.System != nil {
		c = s.System.Components[m.Component]
	}
	if c.Kind != "" && c.Kind != p.kind {
		return drills.Errorf(drills.Input, "target a component of kind "+p.kind, "%s is for %s, and %s is %s", p.fault, p.kind, m.Component, c.Kind)
	}
	control := drills.Control{}
	if c.Control != nil {
		control = *c.Control
	}
	port := control.Port
	if port == 0 && c.Roles != nil {
		port = c.Roles.Port
	}
	if port == 0 {
		port = map[string]int{"redis": 6379, "postgres": 5432}[p.kind]
	}
	address := net.JoinHostPort(m.Networks[network], strconv.Itoa(port))
	if p.kind == "redis" {
		spec.Redis = &store.Redis{Address: address, Username: control.Username, Password: control.Password, TLS: control.TLS}
		if c.Control == nil && c.Roles != nil {
			spec.Redis.Username, spec.Redis.Password, spec.Redis.TLS = c.Roles.Username, c.Roles.Password, c.Roles.TLS
		}
		return nil
	}
	if control.DSN == "" {
		return drills.Errorf(drills.Input, "control: {dsn: \"postgres://user:${file:secret}@host:5432/db?sslmode=require\"} in the system file",
			"%s needs to enter the PostgreSQL of %s, and its `control:` has no dsn", p.fault, m.Component)
	}
	spec.Postgres = &store.Postgres{DSN: control.DSN, Address: address, TLS: control.TLS}
	if p.proxied {
		spec.Postgres.Address = ""
	}
	return nil
}

// storeKind is a registry entry of a fault on a store that is held.
func storeKind[F drills.Fault](kind, summary, proof, undo string, blank func() F) drills.Kind {
	return kindOf(drills.Info{
		Kind: kind, Summary: summary, Class: drills.ClassUndo, Verbs: []string{storePrefix + kind, verbEnd}, Duration: "required",
		Proof: proof, Undo: undo + "; also when its agent's stream or lease ends",
	}, blank)
}

// needDisposable refuses what takes data away, although the settings are put back.
func needDisposable(s drills.Scene, why string) error {
	if s.System == nil || s.System.Disposable {
		return nil
	}
	return drills.Errorf(drills.Blocked, "only a system that says disposable: true may lose data", "%s", why)
}

// between checks a number of a fault's parameters.
func (kind complaint) between(name string, v, least, most int) error {
	if v >= least && v <= most {
		return nil
	}
	return kind.bad("%s: must be between %d and %d, found %d", name, least, most, v)
}

// lasting checks a length of time of a fault's parameters.
func (kind complaint) lasting(name string, v drills.Duration, least, most time.Duration) error {
	if v.D() >= least && v.D() <= most {
		return nil
	}
	return kind.bad("%s: must be between %s and %s, found %s", name, least, most, v)
}
