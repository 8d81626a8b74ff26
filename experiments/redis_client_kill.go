package experiments

import (
	"slices"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/store"
)

// RedisClientKill closes connections from the server's side.
type RedisClientKill struct {
	Type    string `yaml:"type" json:"type"` // normal, pubsub, replica
	Network string `yaml:"network" json:"network,omitempty"`
}

func redisClientKillKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "redis-client-kill",
		Summary:  "Close all connections of one type to a Redis (CLIENT KILL)",
		Class:    drills.ClassHeals,
		Verbs:    []string{storePrefix + store.RedisClientKill},
		Duration: "none",
		Proof:    "the server says how many it closed",
		Undo:     "none: the clients have to come back",
	}, func() *RedisClientKill { return &RedisClientKill{Type: "normal"} })
}

// Validate checks the parameters.
func (f *RedisClientKill) Validate() error {
	if types := []string{"normal", "pubsub", "replica"}; !slices.Contains(types, f.Type) {
		return complaint("redis-client-kill").bad("type: must be one of %v, found %q", types, f.Type)
	}
	return nil
}

// Plan is one change per target.
func (f *RedisClientKill) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := noDuration(s, "redis-client-kill"); err != nil {
		return nil, err
	}
	with := store.Kill{Type: f.Type}
	return onStore(s, storePlan{fault: store.RedisClientKill, kind: "redis", class: drills.ClassHeals, with: with, network: f.Network})
}
