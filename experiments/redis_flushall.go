package experiments

import (
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/store"
)

// RedisFlushall removes every key of a Redis.
type RedisFlushall struct {
	Async   bool   `yaml:"async" json:"async,omitempty"` // memory is given back in the background
	Network string `yaml:"network" json:"network,omitempty"`
}

func redisFlushallKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "redis-flushall",
		Summary:  "Remove every key of a Redis (FLUSHALL)",
		Class:    drills.ClassIrreversible,
		Verbs:    []string{storePrefix + store.RedisFlush},
		Duration: "none",
		Proof:    "there were keys before, and fewer after",
		Undo:     "none: the keys are gone; only a disposable system",
	}, func() *RedisFlushall { return new(RedisFlushall) })
}

// Plan flushes each target.
func (f *RedisFlushall) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := noDuration(s, "redis-flushall"); err != nil {
		return nil, err
	}
	with := store.Flush{Async: f.Async}
	return onStore(s, storePlan{fault: store.RedisFlush, kind: "redis", class: drills.ClassIrreversible, with: with, network: f.Network})
}
