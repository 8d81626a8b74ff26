package experiments

import (
	"slices"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/store"
)

// RedisMaxmemory leaves a Redis less memory than it uses.
type RedisMaxmemory struct {
	Share   Percent `yaml:"share" json:"share"`   // of what is in use when it begins
	Policy  string  `yaml:"policy" json:"policy"` // what the server does then; noeviction refuses writes and loses nothing
	Network string  `yaml:"network" json:"network,omitempty"`
}

func redisMaxmemoryKind() drills.Kind {
	return storeKind("redis-maxmemory", "Lower a Redis' maxmemory below what it uses",
		"keys evicted, or commands refused for want of memory, as the server counts them",
		"maxmemory and its policy are put back, where they are still ours; keys that were evicted do not come back",
		func() *RedisMaxmemory { return &RedisMaxmemory{Share: 0.9, Policy: noEviction} })
}

const noEviction = "noeviction"

// Validate checks the parameters.
func (f *RedisMaxmemory) Validate() error {
	const kind = complaint("redis-maxmemory")
	policies := []string{noEviction, "allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"}
	if !slices.Contains(policies, f.Policy) {
		return kind.bad("policy: must be one of %v, found %q", policies, f.Policy)
	}
	if f.Share <= 0 {
		return kind.bad("share: must be above 0%%, such as 90%%")
	}
	return nil
}

// Plan is one change per target. What a policy evicts is the system's: that needs a disposable one.
func (f *RedisMaxmemory) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "redis-maxmemory stays in force"); err != nil {
		return nil, err
	}
	if f.Policy != noEviction {
		if err := needDisposable(s, "redis-maxmemory with policy "+f.Policy+" has keys of the system evicted, and they do not come back"); err != nil {
			return nil, err
		}
	}
	with := store.Memory{Share: float64(f.Share), Policy: f.Policy}
	return onStore(s, storePlan{fault: store.RedisMemory, kind: "redis", class: drills.ClassUndo, with: with, network: f.Network})
}
