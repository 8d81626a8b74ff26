package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/eevans-d/simulacro/drills"
)

// SQLSTATE codes that mean something here.
const (
	tooManyConnections = "53300"
	noPrivilege        = "42501"
	queryCanceled      = "57014"
	lockNotAvailable   = "55P03"
)

// serverSlack is how long after the fault's time the server itself ends our sessions, should nobody else do it.
const serverSlack = 30 * time.Second

// pgServer is one server and a connection to it, dialled when it is first needed.
type pgServer struct {
	spec Spec
	dial Dial
	ctl  *pgx.Conn
}

// connect opens a session under a name.
func (p *pgServer) connect(ctx context.Context, name string, params map[string]string) (*pgx.Conn, error) {
	return p.connectTo(ctx, p.spec.Postgres.Address, name, params)
}

// connectTo replaces the DSN's hosts by one address, unless it is empty.
func (p *pgServer) connectTo(ctx context.Context, address, name string, params map[string]string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(p.spec.Postgres.DSN)
	if err != nil {
		return nil, drills.Errorf(drills.Input, "postgres://user:${file:secret}@host:5432/db?sslmode=require", "the dsn cannot be parsed (not shown, it may hold a password)")
	}
	if address != "" {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return nil, err
		}
		cfg.Host, cfg.Port, cfg.Fallbacks, cfg.ValidateConnect = host, uint16(n), nil, nil
	}
	if p.spec.Postgres.TLS != nil {
		own, err := p.spec.Postgres.TLS.Config()
		if err != nil {
			return nil, err
		}
		if own.ServerName == "" {
			own.ServerName = cfg.Host
		}
		cfg.TLSConfig = own
	}
	cfg.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	cfg.DialFunc = pgconn.DialFunc(p.dial)
	cfg.ConnectTimeout = answerWithin
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec // no prepared statements: they break behind poolers
	cfg.RuntimeParams["application_name"] = name
	for k, v := range params {
		cfg.RuntimeParams[k] = v
	}
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, p.explain(err)
	}
	return c, nil
}

// control is our session for questions and for small deeds. A broken one is replaced.
func (p *pgServer) control(ctx context.Context) (*pgx.Conn, error) {
	if p.ctl != nil && !p.ctl.IsClosed() {
		return p.ctl, nil
	}
	var err error
	p.ctl, err = p.connect(ctx, controlName, map[string]string{"statement_timeout": ms(answerWithin), "lock_timeout": ms(answerWithin)})
	return p.ctl, err
}

// Close gives the session back.
func (p *pgServer) Close() {
	if p.ctl != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = p.ctl.Close(ctx) // nothing is lost
		p.ctl = nil
	}
}

// one reads one row.
func (p *pgServer) one(ctx context.Context, sql string, args []any, into ...any) error {
	c, err := p.control(ctx)
	if err != nil {
		return err
	}
	return p.explain(c.QueryRow(ctx, sql, args...).Scan(into...))
}

// exec runs one statement.
func (p *pgServer) exec(ctx context.Context, sql string) error {
	c, err := p.control(ctx)
	if err != nil {
		return err
	}
	_, err = c.Exec(ctx, sql)
	return p.explain(err)
}

// code is the SQLSTATE of an error, "" when it is not the server's.
func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// explain gives the server's refusals a hint. pgx's own text of a failed connection may hold the user and the database, never the password.
func (p *pgServer) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case code(err) == noPrivilege:
		return drills.Wrap(drills.Blocked, err, "PostgreSQL refuses", "grant our role what the message names")
	case code(err) == "28P01" || code(err) == "28000":
		return drills.Wrap(drills.Blocked, err, "PostgreSQL refuses our login", "look at `control: {dsn: …}` of the component, or the step's `dsn`")
	}
	return err
}

// primary refuses a server in recovery.
func (p *pgServer) primary(ctx context.Context) error {
	var replica bool
	if err := p.one(ctx, "select pg_is_in_recovery()", nil, &replica); err != nil {
		return err
	}
	if replica {
		return blocked("target the primary: `role: primary`", "%s is a replica", p.where())
	}
	return nil
}

func (p *pgServer) where() string {
	if p.spec.Postgres.Address != "" {
		return p.spec.Postgres.Address
	}
	return "the server that the dsn leads to"
}

// sessions counts the sessions that carry our act's name.
func (p *pgServer) sessions(ctx context.Context) (n int, err error) {
	err = p.one(ctx, "select count(*) from pg_stat_activity where application_name = $1", []any{p.spec.Name()}, &n)
	return n, err
}

// endSessions ends what runs under our act's name, which may be another process's, and waits until it is gone: a backend in the
// middle of a statement does not notice by itself that its client has died.
func (p *pgServer) endSessions(ctx context.Context) (ended int, err error) {
	const end = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = $1"
	if err := p.one(ctx, end, []any{p.spec.Name()}, &ended); err != nil {
		return 0, err
	}
	for {
		n, err := p.sessions(ctx)
		if err != nil || n == 0 {
			return ended, err
		}
		if !drills.Wait(ctx, 50*time.Millisecond) {
			return ended, fmt.Errorf("%d of our sessions are still there: %w", n, context.Cause(ctx))
		}
	}
}

// endOfSessions is the undo of a fault that is nothing but sessions.
func (p *pgServer) endOfSessions(ctx context.Context, had bool) (string, error) {
	n, err := p.endSessions(ctx)
	if gone(err) {
		return "the server is not there", nil
	}
	if err == nil && n == 0 && !had {
		return "no such session was there", nil
	}
	return "", err
}

// anySessions is the inspection of such a fault.
func (p *pgServer) anySessions(ctx context.Context) (bool, error) {
	n, err := p.sessions(ctx)
	return absentIfGone(n > 0, err)
}

func ms(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
