package experiments

import (
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/store"
)

// PostgresSlowQueries keeps sessions busy with statements that take long.
type PostgresSlowQueries struct {
	Sessions int             `yaml:"sessions" json:"sessions"`
	Work     string          `yaml:"work" json:"work"`             // cpu (default), sleep, or query
	Query    string          `yaml:"query" json:"query,omitempty"` // read-only; with work: query
	Each     drills.Duration `yaml:"each" json:"each"`             // how long one may take
	Gap      drills.Duration `yaml:"gap" json:"gap,omitempty"`     // between two of one session
	Network  string          `yaml:"network" json:"network,omitempty"`
}

func postgresSlowQueriesKind() drills.Kind {
	return storeKind("postgres-slow-queries", "Run statements that take long, side by side",
		"statements under way for half of their time, as the server shows them", "the sessions are ended by the server",
		func() *PostgresSlowQueries {
			return &PostgresSlowQueries{Sessions: 4, Work: "cpu", Each: drills.Duration(2 * time.Second)}
		})
}

// Validate checks the parameters.
func (f *PostgresSlowQueries) Validate() error {
	const kind = complaint("postgres-slow-queries")
	if err := kind.between("sessions", f.Sessions, 1, 500); err != nil {
		return err
	}
	switch {
	case f.Work != "cpu" && f.Work != "sleep" && f.Work != "query":
		return kind.bad("work: must be cpu, sleep or query, found %q", f.Work)
	case (f.Work == "query") != (strings.TrimSpace(f.Query) != ""):
		return kind.bad("query: belongs to `work: query`")
	}
	if err := kind.lasting("gap", f.Gap, 0, time.Minute); err != nil {
		return err
	}
	return kind.lasting("each", f.Each, 100*time.Millisecond, 5*time.Minute)
}

// Plan is one change per target.
func (f *PostgresSlowQueries) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "postgres-slow-queries goes on"); err != nil {
		return nil, err
	}
	if err := loadAllowed(s, float64(f.Sessions)/max(f.Each+f.Gap, 1).D().Seconds()); err != nil {
		return nil, err
	}
	with := store.Queries{Sessions: f.Sessions, Work: f.Work, Query: f.Query, Each: f.Each, Gap: f.Gap}
	return onStore(s, storePlan{fault: store.PostgresSlow, kind: "postgres", class: drills.ClassUndo, with: with, network: f.Network})
}
