package experiments

import (
	"regexp"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/store"
)

// PostgresLongTransaction leaves transactions open and idle: they hold a snapshot, which keeps vacuum from cleaning up, and, where
// asked to, rows.
type PostgresLongTransaction struct {
	Sessions int    `yaml:"sessions" json:"sessions"`
	Table    string `yaml:"table" json:"table,omitempty"` // whose rows to lock
	Rows     int    `yaml:"rows" json:"rows,omitempty"`   // each session so many
	Network  string `yaml:"network" json:"network,omitempty"`
}

func postgresLongTransactionKind() drills.Kind {
	return storeKind("postgres-long-transaction", "Leave transactions open and idle, holding a snapshot and rows",
		"sessions idle in transaction, as the server shows them", "the sessions are closed, which rolls them back; the server ends them by itself half a minute after the step's time",
		func() *PostgresLongTransaction { return &PostgresLongTransaction{Sessions: 1} })
}

// identifier is a table or index as it may stand in a statement: it is not quoted, so nothing else may be in it.
var identifier = regexp.MustCompile(`^([a-z_][a-z0-9_$]*|"[^"]+")(\.([a-z_][a-z0-9_$]*|"[^"]+"))?$`)

func (kind complaint) identifier(name, v string) error {
	if identifier.MatchString(v) {
		return nil
	}
	return kind.bad("%s: must be a name such as public.tasks, found %q", name, v)
}

// Validate checks the parameters.
func (f *PostgresLongTransaction) Validate() error {
	const kind = complaint("postgres-long-transaction")
	if err := kind.between("sessions", f.Sessions, 1, 100); err != nil {
		return err
	}
	if f.Table == "" {
		if f.Rows > 0 {
			return kind.bad("rows: of which `table`?")
		}
		return nil
	}
	if err := kind.identifier("table", f.Table); err != nil {
		return err
	}
	return kind.between("rows", f.Rows, 1, 100_000)
}

// Plan is one change per target.
func (f *PostgresLongTransaction) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "postgres-long-transaction stays open"); err != nil {
		return nil, err
	}
	with := store.Transactions{Sessions: f.Sessions, Table: f.Table, Rows: f.Rows}
	return onStore(s, storePlan{fault: store.PostgresTransaction, kind: "postgres", class: drills.ClassUndo, with: with, network: f.Network})
}
