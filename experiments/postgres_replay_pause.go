package experiments

import (
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/store"
)

// PostgresReplayPause keeps replicas from applying what they receive.
type PostgresReplayPause struct {
	Network string `yaml:"network" json:"network,omitempty"`
}

func postgresReplayPauseKind() drills.Kind {
	return storeKind("postgres-replay-pause", "Pause the replay of PostgreSQL replicas: they receive and do not apply",
		"more received than applied, as the replica says", "replay is resumed, unless somebody has or the replica was promoted",
		func() *PostgresReplayPause { return new(PostgresReplayPause) })
}

// Plan is one change per targeted replica.
func (f *PostgresReplayPause) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "postgres-replay-pause stays in force"); err != nil {
		return nil, err
	}
	return onStore(s, storePlan{fault: store.PostgresReplay, kind: "postgres", class: drills.ClassUndo, with: struct{}{}, network: f.Network})
}
