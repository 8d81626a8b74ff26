package experiments

import (
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/store"
)

// ConnectionExhaustion opens connections to a store until it takes no more, and keeps them.
type ConnectionExhaustion struct {
	Connections int    `yaml:"connections" json:"connections,omitempty"` // so many; default: until one is refused
	AtMost      int    `yaml:"at-most" json:"at-most"`                   // never more
	LowerLimit  int    `yaml:"lower-limit" json:"lower-limit,omitempty"` // redis: set maxclients to this meanwhile
	Via         string `yaml:"via" json:"via"`                           // member (default), or dsn: where the control's DSN leads, such as a proxy or a pooler
	Network     string `yaml:"network" json:"network,omitempty"`
}

func connectionExhaustionKind() drills.Kind {
	k := storeKind("connection-exhaustion", "Open connections to a Redis or PostgreSQL until it takes no more",
		"the server's refusal of one more, or as many held as were asked for", "the connections are closed, and a limit that was lowered is put back",
		func() *ConnectionExhaustion { return &ConnectionExhaustion{AtMost: 1000, Via: "member"} })
	k.Info.Verbs = []string{storePrefix + store.PostgresConnections, storePrefix + store.RedisConnections, verbEnd}
	return k
}

// Validate checks the parameters.
func (f *ConnectionExhaustion) Validate() error {
	const kind = complaint("connection-exhaustion")
	if err := kind.between("at-most", f.AtMost, 1, maxKept); err != nil {
		return err
	}
	if err := kind.between("connections", f.Connections, 0, f.AtMost); err != nil {
		return err
	}
	if f.Via != "member" && f.Via != "dsn" {
		return kind.bad("via: must be member or dsn, found %q", f.Via)
	}
	return kind.between("lower-limit", f.LowerLimit, 0, 1_000_000)
}

// Plan is one change per target.
func (f *ConnectionExhaustion) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "connection-exhaustion holds connections"); err != nil {
		return nil, err
	}
	kind := ""
	if s.System != nil {
		kind = s.System.Components[s.Targets[0].Component].Kind
	}
	p := storePlan{fault: store.RedisConnections, kind: "redis", class: drills.ClassUndo, network: f.Network}
	switch {
	case kind == "postgres" && f.LowerLimit > 0:
		return nil, drills.Errorf(drills.Input, "remove it", "connection-exhaustion: lower-limit: PostgreSQL cannot lower max_connections while it runs")
	case kind == "postgres":
		p.fault, p.kind, p.proxied = store.PostgresConnections, "postgres", f.Via == "dsn"
	case kind != "redis":
		return nil, drills.Errorf(drills.Input, "target a component of kind redis or postgres", "connection-exhaustion does not know how to connect to a %q", kind)
	case f.Via == "dsn":
		return nil, drills.Errorf(drills.Input, "remove it", "connection-exhaustion: via: a Redis is not entered by a DSN")
	}
	p.with = store.Connections{Count: f.Connections, AtMost: f.AtMost, Lower: f.LowerLimit}
	return onStore(s, p)
}
