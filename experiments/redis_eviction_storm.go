package experiments

import (
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/store"
)

// RedisEvictionStorm writes keys of our own until the server has to evict at a rate.
type RedisEvictionStorm struct {
	Rate    float64 `yaml:"rate" json:"rate"` // keys a second
	Size    int     `yaml:"size" json:"size"` // bytes of a value
	Network string  `yaml:"network" json:"network,omitempty"`
}

func redisEvictionStormKind() drills.Kind {
	return storeKind("redis-eviction-storm", "Fill a Redis with own keys until it evicts",
		"keys evicted, as the server counts them",
		"writing stops and the own keys are removed, which expire in any case; what the server evicted of others does not come back",
		func() *RedisEvictionStorm { return &RedisEvictionStorm{Rate: 1000, Size: 10_000} })
}

// Validate checks the parameters.
func (f *RedisEvictionStorm) Validate() error {
	const kind = complaint("redis-eviction-storm")
	if !(f.Rate > 0) || f.Rate > 50_000 {
		return kind.bad("rate: must be above 0 and at most 50000 keys a second, found %g", f.Rate)
	}
	return kind.between("size", f.Size, 1, 1<<20)
}

// Plan is one change per target. Nothing keeps the server from evicting the system's own keys.
func (f *RedisEvictionStorm) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "redis-eviction-storm goes on"); err != nil {
		return nil, err
	}
	if err := needDisposable(s, "redis-eviction-storm has keys of the system evicted beside its own, and they do not come back"); err != nil {
		return nil, err
	}
	if err := loadAllowed(s, f.Rate); err != nil {
		return nil, err
	}
	with := store.Storm{Rate: f.Rate, Size: f.Size}
	return onStore(s, storePlan{fault: store.RedisStorm, kind: "redis", class: drills.ClassUndo, with: with, network: f.Network, prove: s.Duration})
}
