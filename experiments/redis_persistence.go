package experiments

import (
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/store"
)

// RedisPersistence changes what a Redis keeps on disk, lets it take writes so for a while, and restarts it: what is there then is
// what the setting is worth.
type RedisPersistence struct {
	AppendOnly string          `yaml:"appendonly" json:"appendonly"` // yes or no
	Save       *string         `yaml:"save" json:"save,omitempty"`   // save points as in redis.conf, "" for none; absent: as they are
	Exposed    drills.Duration `yaml:"exposed" json:"exposed"`       // how long writes are taken before the restart
	Grace      drills.Duration `yaml:"grace" json:"grace"`           // for the process to end by itself; 0s kills it
	Network    string          `yaml:"network" json:"network,omitempty"`
}

func redisPersistenceKind() drills.Kind {
	k := storeKind("redis-persistence", "Restart a Redis after a while with another persistence (AOF, RDB)",
		"the server says that it runs with the setting; the restart is the engine's",
		"settings that are still ours are put back; a restarted member has its own again",
		func() *RedisPersistence {
			return &RedisPersistence{AppendOnly: "no", Exposed: drills.Duration(3 * time.Second), Grace: drills.Duration(10 * time.Second)}
		})
	k.Info.Verbs = append(k.Info.Verbs, "unit.restart", "unit.start")
	return k
}

// Validate checks the parameters.
func (f *RedisPersistence) Validate() error {
	const kind = complaint("redis-persistence")
	if f.AppendOnly != "yes" && f.AppendOnly != "no" {
		return kind.bad("appendonly: must be yes or no, in quotes, found %q", f.AppendOnly)
	}
	if err := kind.lasting("exposed", f.Exposed, 0, 30*time.Second); err != nil {
		return err
	}
	return kind.lasting("grace", f.Grace, 0, time.Minute)
}

// Plan is two changes per target: the setting, which returns after the time of exposure, and the restart.
func (f *RedisPersistence) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "what the restart does not end stays in force"); err != nil {
		return nil, err
	}
	if f.AppendOnly == "no" {
		if err := needDisposable(s, "redis-persistence restarts a member that keeps nothing: what it took meanwhile may be lost"); err != nil {
			return nil, err
		}
	}
	with := store.Persistence{AppendOnly: f.AppendOnly, Save: f.Save, Exposed: f.Exposed}
	out, err := onStore(s, storePlan{fault: store.RedisPersistence, kind: "redis", class: drills.ClassUndo, with: with, network: f.Network})
	if err != nil {
		return nil, err
	}
	restarts, err := each(s, plan{class: drills.ClassHeals, do: "unit.restart", undo: "unit.start", doArgs: graceArgs{f.Grace}, undoArgs: startedAt})
	return append(out, restarts...), err
}
