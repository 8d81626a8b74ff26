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

// pointEvery is how often a row carries a point: a new connection that uses PostGIS has to load it first, which costs the
// server more than the write.
const pointEvery = 16

// pgStore inserts numbered rows into a table of its own, some with a point where PostGIS is there. The
// table's name carries the run; should we be killed, it stays: see docs on sweeping, or drop it by its comment.
type pgStore struct {
	spec   drills.CanarySpec
	book   *book
	dial   *dialer
	table  string // quoted schema.table
	insert string
	// insertPoint is used for every pointEvery-th row, where PostGIS is there.
	insertPoint string

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

// unfit is what may not be in an identifier of ours.
var unfit = regexp.MustCompile(`[^a-z0-9_]+`)

// longestName is PostgreSQL's limit (NAMEDATALEN - 1): longer names are cut silently, and two could become one.
const longestName = 63

// tableName puts the run into the name of a table, as far as identifiers allow; the run's end is what tells runs apart.
func tableName(pattern, run string) string {
	schema, table, ok := strings.Cut(pattern, ".")
	if !ok {
		schema, table = "simulacro", pattern
	}
	clean := strings.Trim(unfit.ReplaceAllString(strings.ToLower(run), "_"), "_")
	room := max(longestName-len(strings.ReplaceAll(table, "{run}", "")), 8)
	if len(clean) > room {
		clean = clean[len(clean)-room:]
	}
	return schema + "." + strings.ReplaceAll(table, "{run}", clean)
}

// open makes the table, with a geography column where PostGIS is there, and pins the server where asked to.
func (p *pgStore) open(ctx context.Context) error {
	link, err := dialPG(ctx, p.config)
	if err != nil {
		return err
	}
	defer link.drop()
	columns := "id bigint primary key, sent timestamptz not null, sent_ns bigint not null, sha text not null"
	p.insert = "insert into " + p.table + " (id, sent, sent_ns, sha) values ($1, to_timestamp($2::float8), $3, $4)"
	var geo *string
	if err := link.QueryRow(ctx, "select to_regtype('geography')::text").Scan(&geo); err != nil {
		return err
	}
	if geo != nil {
		columns += ", geom geography(point)"
		p.insertPoint = "insert into " + p.table + " (id, sent, sent_ns, sha, geom) values ($1, to_timestamp($2::float8), $3, $4, " +
			"('SRID=4326;POINT(' || ($1::bigint % 360 - 180) || ' ' || ($1::bigint % 180 - 90) || ')')::geography)"
	}
	if _, err := link.Exec(ctx, "create table "+p.table+" ("+columns+")"); err != nil {
		return fmt.Errorf("make the table %s: %w", p.table, err)
	}
	note := "numbered test writes of simulacro run " + p.book.run + "; may be dropped"
	if _, err := link.Exec(ctx, "comment on table "+p.table+" is '"+strings.ReplaceAll(note, "'", "''")+"'"); err != nil {
		return err
	}
	if p.spec.Connection == "pinned" {
		return p.pin(link.address)
	}
	return nil
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
	insert := p.insert
	if p.insertPoint != "" && seq%pointEvery == 0 {
		insert = p.insertPoint
	}
	err = p.pool.use(ctx, patience(p.spec.Timeout.D()), link, func(ctx context.Context, link *pgLink) error {
		_, err := link.Exec(ctx, insert, seq, wall, at, p.book.digest(seq, at))
		return err
	}, p.usable)
	var reply *pgconn.PgError
	switch {
	case err == nil:
		return good()
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
	return dialPG(ctx, cfg)
}
