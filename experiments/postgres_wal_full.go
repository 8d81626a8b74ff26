package experiments

import (
	"path"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
	"github.com/eevans-d/simulacro/experiments/store"
)

// PostgresWALFull fills the volume that holds a primary's pg_wal and has it write WAL until it cannot.
type PostgresWALFull struct {
	Path    string `yaml:"path" json:"path"`       // of pg_wal, as the member names it
	UpTo    Size   `yaml:"up-to" json:"up-to"`     // a larger file system is refused
	AtMost  Size   `yaml:"at-most" json:"at-most"` // of WAL that we have it write
	Network string `yaml:"network" json:"network,omitempty"`
}

func postgresWALFullKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "postgres-wal-full",
		Summary:  "Fill the volume of a PostgreSQL primary's WAL, which has a size of its own, until it refuses writes; only in a disposable system",
		Class:    drills.ClassUndo,
		Verbs:    []string{verbWALFill, verbWALFree},
		Duration: "required",
		Proof:    "PostgreSQL's own refusal (53100, PANIC, or that it recovers from a crash), and the volume's free bytes",
		Undo:     "the space is given back, the member is started if it ended, and a write is waited for; the space comes back also when the filling process's stream or lease ends",
	}, func() *PostgresWALFull { return &PostgresWALFull{UpTo: 10 << 30, AtMost: 1 << 30} })
}

// Validate checks the parameters.
func (f *PostgresWALFull) Validate() error {
	if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path {
		return drills.Errorf(drills.Input, "for example `path: /var/lib/postgresql/data/pg_wal`", "postgres-wal-full: path: %q is not a clean absolute path", f.Path)
	}
	return nil
}

// Plan is one change per target. A server that cannot write its WAL ends all that it does (PANIC), and whoever was about to be
// answered never learns what became of his write.
func (f *PostgresWALFull) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "postgres-wal-full stays in force"); err != nil {
		return nil, err
	}
	if err := needDisposable(s, "postgres-wal-full makes PostgreSQL end all sessions at once, and perhaps itself"); err != nil {
		return nil, err
	}
	network, err := sharedNetwork(f.Network, s.Targets)
	if err != nil {
		return nil, err
	}
	var out []drills.Change
	for _, m := range s.Targets {
		if err := running(m); err != nil {
			return nil, err
		}
		a := walArgs{
			Spec: store.Spec{Fault: store.PostgresWAL, Mark: mark(s, m), For: s.Duration}, StartedAt: m.StartedAt, AtMost: int64(f.AtMost),
			Disk: helper.Disk{Path: f.Path, Share: 1, Most: int64(f.UpTo)},
		}
		if err := enter(s, m, storePlan{fault: store.PostgresWAL, kind: "postgres"}, network, &a.Spec); err != nil {
			return nil, err
		}
		c, err := change(s, m, plan{class: drills.ClassUndo, do: verbWALFill, undo: verbWALFree}, a, a)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}
