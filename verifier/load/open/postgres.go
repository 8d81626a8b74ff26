package open

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/eevans-d/simulacro/drills"
)

// Postgres makes clients that hold one read-only session each.
type Postgres struct {
	config     *pgx.ConnConfig
	statements []statement
	choose     choice
	seed       uint64
}

type statement struct {
	drills.Statement
	args []Template
}

// NewPostgres checks statements and DSN; nothing is dialled yet. An error never holds the DSN, which has a password.
func NewPostgres(spec drills.PostgresLoad, timeout time.Duration, run string, seed uint64) (*Postgres, error) {
	cfg, err := pgx.ParseConfig(spec.DSN)
	if err != nil {
		return nil, errors.New("postgres: the dsn is not valid")
	}
	cfg.ConnectTimeout = timeout
	cfg.RuntimeParams["default_transaction_read_only"] = "on" // whatever a statement says
	cfg.RuntimeParams["application_name"] = "simulacro-load"
	p := &Postgres{config: cfg, seed: seed}
	var errs []error
	var weights []float64
	for _, s := range spec.Statements {
		if s.Weight == 0 {
			s.Weight = 1
		}
		x := statement{Statement: s}
		for _, a := range s.Args {
			t, err := ParseTemplate(a, run)
			if err != nil {
				errs = append(errs, fmt.Errorf("statement %s: %w", s.Name, err))
			}
			x.args = append(x.args, t)
		}
		p.statements, weights = append(p.statements, x), append(weights, s.Weight)
	}
	if len(p.statements) == 0 {
		errs = append(errs, errors.New("postgres: needs a statement"))
	}
	p.choose = newChoice(weights)
	return p, errors.Join(errs...)
}

// Names of the operations, for Flow.Ops.
func (p *Postgres) Names() []string {
	var out []string
	for _, s := range p.statements {
		out = append(out, s.Name)
	}
	return out
}

// Open makes the client of a worker.
func (p *Postgres) Open(int) Client { return &postgresClient{load: p} }

type postgresClient struct {
	load *Postgres
	conn *pgx.Conn // nil: to be dialled
}

// closeWithin bounds the farewell.
const closeWithin = time.Second

func (c *postgresClient) Close() {
	if c.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	_ = c.conn.Close(ctx) // the server may be gone
	c.conn = nil
}

// Do runs the statements one after the other.
func (c *postgresClient) Do(ctx context.Context, first int64, out []Outcome) {
	for i := range out {
		out[i] = c.one(ctx, first+int64(i))
	}
}

func (c *postgresClient) one(ctx context.Context, k int64) Outcome {
	d := roll(c.load.seed, k)
	n := c.load.choose.pick(&d)
	s := &c.load.statements[n]
	rows, err := c.query(ctx, s, k, &d)
	if err != nil {
		class, why := postgresClass(err)
		if c.conn != nil && c.conn.IsClosed() {
			c.conn = nil
		}
		return Outcome{Class: class, Op: n, Text: why}
	}
	if rows < s.Rows {
		return Outcome{Class: Failed, Op: n, Text: fmt.Sprintf("%s: fewer than %d rows", s.Name, s.Rows)}
	}
	return Outcome{Op: n}
}

func (c *postgresClient) query(ctx context.Context, s *statement, k int64, d *dice) (int, error) {
	if c.conn == nil {
		conn, err := pgx.ConnectConfig(ctx, c.load.config)
		if err != nil {
			return 0, err
		}
		c.conn = conn
	}
	args := make([]any, len(s.args))
	for i, t := range s.args {
		args[i] = t.fill(k, d)
	}
	rows, err := c.conn.Query(ctx, s.SQL, args...)
	if err != nil {
		return 0, err
	}
	n := 0
	for rows.Next() {
		n++
	}
	rows.Close()
	return n, rows.Err()
}

func postgresClass(err error) (Class, string) {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return classify(err)
	}
	class := Failed
	switch {
	case pg.Code[:2] == "28", pg.Code == "42501":
		class = Unauthorised
	case pg.Code[:2] == "42", pg.Code[:2] == "22", pg.Code == "25006":
		class = Malformed
	}
	return class, pg.Code + " " + pg.Message
}
