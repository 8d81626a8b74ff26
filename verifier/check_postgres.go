package verifier

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/eevans-d/simulacro/drills"
)

// Queries by operation. The write is one transactional WAL record that nothing decodes: it needs a primary, waits for
// the commit (and for synchronous replicas) like any other write, and leaves nothing behind.
const (
	pgRead  = "select 1"
	pgWrite = "select pg_catalog.pg_logical_emit_message(true, 'simulacro', 'probe')"
)

// pgCheck runs one statement per probe on a kept connection, re-dialled after an error: opening one costs the server a
// process and both sides a key derivation, which at probe rates would itself be load.
type pgCheck struct {
	config *pgx.ConnConfig
	dial   *dialer
	query  string
	pool   *pool[*pgLink]

	patience time.Duration
}

// pgLink is a connection with the socket under it, so that a broken one can be dropped at once.
type pgLink struct {
	*pgx.Conn
	pgSocket
	server string // its own address, where it was asked
}

// pgSocket is what was dialled last.
type pgSocket struct {
	socket  net.Conn
	address string // as in the DSN: host:port
}

// pgDial marks contexts in which our dialer may dial, see pgConfig.
type pgDial struct{}

// pgConfig parses a DSN for connections whose sockets we own. pgx sends a cancel request over a new connection when a
// query's context ends and drains for up to 15 s; during an outage that would pile up, so its dials are refused.
func pgConfig(dsn string, d *dialer) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("postgres: the dsn cannot be parsed (not shown, it may hold a password)")
	}
	cfg.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		catch, ok := ctx.Value(pgDial{}).(*pgSocket)
		if !ok {
			return nil, errors.New("no cancel requests")
		}
		c, err := d.DialContext(ctx, network, addr)
		*catch = pgSocket{c, addr}
		return c, err
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "simulacro"
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec // no prepared statements: they break behind poolers
	return cfg, nil
}

// dialPG opens a link.
func dialPG(ctx context.Context, cfg *pgx.ConnConfig) (*pgLink, error) {
	var last pgSocket
	conn, err := pgx.ConnectConfig(context.WithValue(ctx, pgDial{}, &last), cfg)
	if err != nil {
		if last.socket != nil {
			_ = last.socket.Close()
		}
		return nil, err
	}
	return &pgLink{Conn: conn, pgSocket: last}, nil
}

func (l *pgLink) drop() { _ = l.socket.Close() }

func newPGCheck(s drills.ProbeSpec) (*pgCheck, error) {
	d := newDialer()
	cfg, err := pgConfig(s.DSN, d)
	if err != nil {
		return nil, err
	}
	if err := pgTLS(cfg, s.TLS); err != nil {
		return nil, err
	}
	c := &pgCheck{
		config: cfg, dial: d, query: s.Query, patience: patience(s.Timeout.D()),
		pool: newPool(func(ctx context.Context) (*pgLink, error) { return dialPG(ctx, cfg) }),
	}
	if c.query == "" && s.Operation == "write" {
		c.query = pgWrite
	} else if c.query == "" {
		c.query = pgRead
	}
	return c, nil
}

// pgTLS replaces the TLS settings of the DSN where the system file gives its own.
func pgTLS(cfg *pgx.ConnConfig, t *drills.TLS) error {
	own, err := t.Config()
	if err != nil || own == nil {
		return err
	}
	if own.ServerName == "" {
		own.ServerName = cfg.Host
	}
	cfg.TLSConfig, cfg.Fallbacks = own, nil
	return nil
}

func (c *pgCheck) check(ctx context.Context, _ int64) result {
	reused, err := c.once(ctx)
	var reply *pgconn.PgError
	if err != nil && reused && ctx.Err() == nil && (!errors.As(err, &reply) || reply.Severity == "FATAL") {
		// The kept connection had been cut some time before; whether the service answers now, a new one tells.
		c.pool.renew()
		_, err = c.once(ctx)
	}
	return c.classify(ctx, err)
}

func (c *pgCheck) once(ctx context.Context) (reused bool, err error) {
	link, reused, err := c.pool.get(ctx)
	if err != nil {
		return reused, err
	}
	return reused, c.pool.use(ctx, c.patience, link, func(ctx context.Context, link *pgLink) error {
		_, err := link.Exec(ctx, c.query)
		return err
	}, pgUsable)
}

// pgUsable tells whether a connection is worth keeping after an error: the server refused one statement, and not because
// it is a primary no more.
func pgUsable(err error) bool {
	var reply *pgconn.PgError
	return errors.As(err, &reply) && reply.Severity == "ERROR" && reply.Code != pgReadOnly
}

// pgReadOnly is read_only_sql_transaction: what a server says that is, or has become, a replica.
const pgReadOnly = "25006"

func (c *pgCheck) classify(ctx context.Context, err error) result {
	if err == nil {
		return good()
	}
	r := postgres(err, c.dial.known(c.config.Host))
	if r.class == Failed && ctx.Err() != nil {
		return result{Timeout, "no answer in time"}
	}
	return r
}

// keep opens the first connection and closes all at the end.
func (c *pgCheck) keep(ctx context.Context, opened func()) {
	if link, _, err := c.pool.get(ctx); err == nil {
		c.pool.put(link)
	}
	opened()
	<-ctx.Done()
	c.pool.close()
}
