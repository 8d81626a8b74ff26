package experiments

import (
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/store"
)

// PostgresDropIndex drops an index, and makes it again from its definition.
type PostgresDropIndex struct {
	Index   string `yaml:"index" json:"index"` // schema.name
	Network string `yaml:"network" json:"network,omitempty"`
}

func postgresDropIndexKind() drills.Kind {
	return storeKind("postgres-drop-index", "Drop an index that queries stand on",
		"it is not there", "it is built again from the definition that was journaled before, on whatever server takes writes then; writers of the table wait meanwhile",
		func() *PostgresDropIndex { return new(PostgresDropIndex) })
}

// Validate checks the parameters.
func (f *PostgresDropIndex) Validate() error {
	return complaint("postgres-drop-index").identifier("index", f.Index)
}

// Plan is one change per target.
func (f *PostgresDropIndex) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "postgres-drop-index stays in force"); err != nil {
		return nil, err
	}
	with := store.Index{Index: f.Index}
	return onStore(s, storePlan{fault: store.PostgresIndex, kind: "postgres", class: drills.ClassUndo, with: with, network: f.Network})
}
