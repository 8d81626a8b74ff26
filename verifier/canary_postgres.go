package verifier

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/eevans-d/simulacro/drills"
)

// pgStore inserts numbered rows into a table of its own, each with a PostGIS point where the system file asks for it. The
// table's name carries the run; should we be killed, it stays: see docs on sweeping, or drop it by its comment.
type pgStore struct {
	spec   drills.CanarySpec
	book   *book
	dial   *dialer
	table  string // quoted schema.table
	insert string
	wal    bool // inserts return their WAL position
	ours   bool // a try made the table, or may have: its answer was lost

	pool *pool[*pgLink]

	mu     sync.Mutex
	config *pgx.ConnConfig
}

func newPGStore(s drills.CanarySpec, b *book) (*pgStore, error) {
	d := newDialer()
	cfg, err := pgConfig(s.DSN, d)
	if err != nil {
		return nil, err
	}
	if err := pgTLS(cfg, s.TLS); err != nil {
		return nil, err
	}
	p := &pgStore{spec: s, book: b, dial: d, config: cfg, table: pgx.Identifier(strings.SplitN(s.Table, ".", 2)).Sanitize()}
	p.pool = newPool(p.connect)
	p.pool.once = s.Connection == "fresh"
	return p, nil
}

const pgDuplicateTable = "42P07" // SQLSTATE

// unfit is what may not be in an identifier of ours.
var unfit = regexp.MustCompile(`[^a-z0-9_]+`)

// tableName puts the run into the name of a table.
func tableName(pattern, run string) string { return drills.TableName(pattern, run) }

// open makes the table and pins the server where asked to.
func (p *pgStore) open(ctx context.Context) error {
	link, err := dialPG(ctx, p.config)
	if err != nil {
		return err
	}
	defer link.drop()
	columns, err := p.columns(ctx, link)
	if err != nil {
		return err
	}
	if err := p.makeTable(ctx, link, columns); err != nil {
		return err
	}
	if p.spec.Connection == "pinned" {
		return p.pin(link.address)
	}
	return nil
}

// makeTable makes the table and says on it whose it is. Made by a try before, it is ours; by anybody else, it is not.
func (p *pgStore) makeTable(ctx context.Context, link *pgLink, columns string) error {
	_, err := link.Exec(ctx, "create table "+p.table+" ("+columns+")")
	var refused *pgconn.PgError
	answered := errors.As(err, &refused)
	if err != nil && (refused == nil || refused.Code != pgDuplicateTable || !p.ours) {
		p.ours = p.ours || !answered
		return fmt.Errorf("make the table %s: %w", p.table, err)
	}
	p.ours = true
	return p.comment(ctx, link)
}

// comment says on the table whose it is.
func (p *pgStore) comment(ctx context.Context, link *pgLink) error {
	note := "test writes of simulacro run " + p.book.run + "; may be dropped"
	_, err := link.Exec(ctx, "comment on table "+p.table+" is '"+strings.ReplaceAll(note, "'", "''")+"'")
	return err
}

// pin makes every later connection go to this address, whatever has become of the server there.
func (p *pgStore) pin(addr string) error {
	cfg, err := p.at(addr)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.config = cfg
	return nil
}

// at is the configuration for one server, primary or not.
func (p *pgStore) at(addr string) (*pgx.ConnConfig, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	cfg := p.config.Copy()
	cfg.Host, cfg.Port, cfg.Fallbacks, cfg.ValidateConnect = host, uint16(n), nil, nil
	return cfg, nil
}

// keep closes the kept connections at the end.
func (p *pgStore) keep(ctx context.Context) {
	<-ctx.Done()
	p.pool.close()
}

// check inserts number seq. Timeout means: sent, no answer.
func (p *pgStore) check(ctx context.Context, seq int64) result {
	link, _, err := p.pool.get(ctx)
	if err != nil {
		return beforeSending(postgres(err, true))
	}
	at := drills.Monotonic()
	p.book.note(seq, at)
	wall := float64(time.Now().UnixMicro()) / 1e6
	args := []any{seq, wall, at, p.book.digest(seq, at)}
	if p.spec.Geometry {
		args = append(args, pointOf(seq))
	}
	server := link.server
	err = p.pool.use(ctx, patience(p.spec.Timeout.D()), link, func(ctx context.Context, link *pgLink) error {
		if !p.wal {
			_, err := link.Exec(ctx, p.insert, args...)
			return err
		}
		var position string
		err := link.QueryRow(ctx, p.insert, args...).Scan(&position)
		p.book.stored(seq, strings.TrimLeft(position, "0"))
		return err
	}, p.usable)
	var reply *pgconn.PgError
	switch {
	case err == nil:
		return result{Good, server}
	case errors.As(err, &reply) && reply.Severity == "ERROR":
		return postgres(err, true) // a definite refusal, such as by a server that has become read-only
	}
	return result{Timeout, transport(err, true).text}
}

// usable tells whether the application would keep its connection after this error; a pinned one stays even with a
// server that has become a replica.
func (p *pgStore) usable(err error) bool {
	var reply *pgconn.PgError
	pinned := p.spec.Connection == "pinned" && errors.As(err, &reply) && reply.Severity == "ERROR"
	return pinned || pgUsable(err)
}

func (p *pgStore) connect(ctx context.Context) (*pgLink, error) {
	p.mu.Lock()
	cfg := p.config
	p.mu.Unlock()
	link, err := dialPG(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := link.QueryRow(ctx, pgWhere).Scan(&link.server); err != nil {
		link.drop()
		return nil, err
	}
	return link, nil
}

// pgWhere asks a server for its own address: through a proxy it is not the one that was dialled.
const pgWhere = "select coalesce(host(inet_server_addr()) || ':' || inet_server_port(), '')"
