package experiments

import (
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/store"
)

// RedisSlowCommands keeps the one thread of a Redis busy, again and again.
type RedisSlowCommands struct {
	Busy    drills.Duration `yaml:"busy" json:"busy"`   // of one command
	Every   drills.Duration `yaml:"every" json:"every"` // from one to the next
	Network string          `yaml:"network" json:"network,omitempty"`
}

func redisSlowCommandsKind() drills.Kind {
	return storeKind("redis-slow-commands", "Keep a Redis busy with slow commands",
		"time that the server spent on scripts, as it counts it", "the connection is closed; the command under way ends by itself",
		func() *RedisSlowCommands {
			return &RedisSlowCommands{Busy: drills.Duration(200 * time.Millisecond), Every: drills.Duration(time.Second)}
		})
}

// Validate checks the parameters. A command of five seconds would make the server answer BUSY to everybody until it is killed.
func (f *RedisSlowCommands) Validate() error {
	const kind = complaint("redis-slow-commands")
	if err := kind.lasting("busy", f.Busy, time.Millisecond, 4*time.Second); err != nil {
		return err
	}
	return kind.lasting("every", f.Every, f.Busy.D()+time.Millisecond, time.Minute)
}

// Plan is one change per target.
func (f *RedisSlowCommands) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "redis-slow-commands goes on"); err != nil {
		return nil, err
	}
	with := store.Slow{Busy: f.Busy, Every: f.Every}
	return onStore(s, storePlan{fault: store.RedisSlow, kind: "redis", class: drills.ClassUndo, with: with, network: f.Network})
}
