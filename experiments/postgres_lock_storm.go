package experiments

import (
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/store"
)

// PostgresLockStorm locks tables that others need, for the whole time or again and again.
type PostgresLockStorm struct {
	Tables  []string        `yaml:"tables" json:"tables"`
	Mode    string          `yaml:"mode" json:"mode"`           // as in LOCK TABLE; default access exclusive: readers wait too
	Hold    drills.Duration `yaml:"hold" json:"hold,omitempty"` // at a time; default: the whole time
	Gap     drills.Duration `yaml:"gap" json:"gap,omitempty"`   // between two
	Network string          `yaml:"network" json:"network,omitempty"`
}

func postgresLockStormKind() drills.Kind {
	return storeKind("postgres-lock-storm", "Lock tables that others need",
		"sessions that the server shows as waiting for ours", "the session is closed, which lets go; the server ends it by itself half a minute after the step's time",
		func() *PostgresLockStorm { return &PostgresLockStorm{Mode: "access exclusive"} })
}

// Validate checks the parameters.
func (f *PostgresLockStorm) Validate() error {
	const kind = complaint("postgres-lock-storm")
	if len(f.Tables) == 0 {
		return kind.bad("tables: at least one is needed, such as [public.tasks]")
	}
	for _, t := range f.Tables {
		if err := kind.identifier("tables", t); err != nil {
			return err
		}
	}
	f.Mode = strings.ToLower(f.Mode)
	if modes := []string{"access exclusive", "exclusive", "share row exclusive", "share", "share update exclusive"}; !slices.Contains(modes, f.Mode) {
		return kind.bad("mode: must be one of %v, found %q", modes, f.Mode)
	}
	if err := kind.lasting("hold", f.Hold, 0, time.Hour); err != nil {
		return err
	}
	if f.Hold == 0 && f.Gap > 0 {
		return kind.bad("gap: give a `hold` as well, or neither")
	}
	return kind.lasting("gap", f.Gap, 0, time.Hour)
}

// Plan is one change per target.
func (f *PostgresLockStorm) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "postgres-lock-storm goes on"); err != nil {
		return nil, err
	}
	with := store.Locks{Tables: f.Tables, Mode: f.Mode, Hold: f.Hold, Gap: f.Gap}
	return onStore(s, storePlan{fault: store.PostgresLocks, kind: "postgres", class: drills.ClassUndo, with: with, network: f.Network})
}
