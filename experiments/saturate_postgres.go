package experiments

import (
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// SaturatePostgres runs statements at a rate in read-only sessions.
type SaturatePostgres struct {
	Rate        float64            `yaml:"rate" json:"rate"`               // statements a second
	Connections int                `yaml:"connections" json:"connections"` // sessions; one statement each at a time
	Timeout     drills.Duration    `yaml:"timeout" json:"timeout"`
	Ramp        drills.Duration    `yaml:"ramp" json:"ramp"`
	DSN         string             `yaml:"dsn" json:"dsn"`
	Network     string             `yaml:"network" json:"network,omitempty"`
	Statements  []drills.Statement `yaml:"statements" json:"statements"`
}

func saturatePostgresKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "saturate-postgres",
		Summary:  "Run statements at a rate in many read-only sessions",
		Class:    drills.ClassUndo,
		Verbs:    []string{"load.open", "load.stop"},
		Duration: "required",
		Proof:    "sessions in which a statement was answered well, as the generator counted them",
		Undo:     "the generator is stopped; it also ends when its stream closes",
	}, func() *SaturatePostgres {
		return &SaturatePostgres{Connections: 50, Timeout: drills.Duration(5 * time.Second), Ramp: drills.Duration(2 * time.Second)}
	})
}

// Validate checks the parameters.
func (f *SaturatePostgres) Validate() error {
	const kind = complaint("saturate-postgres")
	if err := kind.flow(f.Rate, f.Connections, f.Timeout, f.Ramp); err != nil {
		return err
	}
	if f.DSN == "" {
		return kind.bad("dsn: is required, such as postgres://user:${file:secret}@host:5432/db?sslmode=require")
	}
	return kind.statements(f.Statements)
}

// Plan is one change: the DSN says where the sessions go, which may be through a proxy as the application's do.
func (f *SaturatePostgres) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "saturate-postgres goes on"); err != nil {
		return nil, err
	}
	network, err := sharedNetwork(f.Network, s.Targets)
	if err != nil {
		return nil, err
	}
	c, err := openLoad(s, network, f.Ramp, "", drills.LoadFlow{
		Name: "postgres", Rate: f.Rate, Connections: f.Connections, Timeout: f.Timeout, Postgres: &drills.PostgresLoad{DSN: f.DSN, Statements: f.Statements},
	})
	return []drills.Change{c}, err
}
