package verifier

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"
)

// member opens a connection to one member for reading back or purging.
func (p *pgStore) member(ctx context.Context, m MemberAddr) (*pgLink, error) {
	cfg, err := p.at(m.Address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return dialPG(ctx, cfg)
}

// pgStanding asks for role, connection to the primary, position and timeline. The view of the WAL receiver shows its
// row, without details, to anybody.
const pgStanding = `select not pg_is_in_recovery(), exists (select 1 from pg_stat_wal_receiver),
 case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end - '0/0'::pg_lsn,
 (select timeline_id from pg_control_checkpoint())`

func (p *pgStore) standing(ctx context.Context, m MemberAddr) standing {
	link, err := p.member(ctx, m)
	if err != nil {
		return standing{err: err}
	}
	defer link.drop()
	var s standing
	var offset *float64
	if err := link.QueryRow(ctx, pgStanding).Scan(&s.primary, &s.linked, &offset, &s.rank); err != nil {
		return standing{err: err}
	}
	if offset != nil {
		s.offset = int64(*offset)
	}
	return s
}

// read takes stock of one member.
func (p *pgStore) read(ctx context.Context, m MemberAddr, h *Holding) error {
	link, err := p.member(ctx, m)
	if err != nil {
		return err
	}
	defer link.drop()
	point := "''"
	if p.spec.Geometry {
		point = "encode(ST_AsEWKB(geom, 'NDR'), 'hex')"
	}
	rows, err := link.Query(ctx, "select id, sent_ns, sha, "+point+" from "+p.table+" order by id")
	if err != nil {
		return err
	}
	var held []int64
	var seq, at int64
	var sha, geom string
	last := int64(-1)
	_, err = pgx.ForEachRow(rows, []any{&seq, &at, &sha, &geom}, func() error {
		sent, known := p.book.at(seq)
		switch {
		case !known:
			h.phantom(itoa(seq))
		case seq == last:
			h.Duplicated = append(h.Duplicated, seq)
		case at == sent && sha == p.book.digest(seq, sent) && (!p.spec.Geometry || geom == pointOf(seq)):
			held = append(held, seq)
		default:
			h.Corrupt = append(h.Corrupt, seq)
		}
		last = seq
		return nil
	})
	h.Held = spans(slices.Compact(held))
	return err
}

// purge drops the table on the primary.
func (p *pgStore) purge(ctx context.Context, primary MemberAddr) error {
	link, err := p.member(ctx, primary)
	if err != nil {
		return err
	}
	defer link.drop()
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	_, err = link.Exec(ctx, "drop table if exists "+p.table)
	return err
}

// left is 1 while a member has the table.
func (p *pgStore) left(ctx context.Context, m MemberAddr) (int, error) {
	link, err := p.member(ctx, m)
	if err != nil {
		return 0, err
	}
	defer link.drop()
	var name *string
	err = link.QueryRow(ctx, "select to_regclass($1)::text", p.table).Scan(&name)
	switch {
	case errors.Is(err, pgx.ErrNoRows), err == nil && name == nil:
		return 0, nil
	}
	return 1, err
}

// what names what is purged, for the proof.
func (p *pgStore) what() string { return "table " + p.table }

// anywhere is the address that the DSN leads to.
func (p *pgStore) anywhere(ctx context.Context) (MemberAddr, error) {
	link, err := dialPG(ctx, p.config)
	if err != nil {
		return MemberAddr{}, err
	}
	defer link.drop()
	return MemberAddr{Name: link.address, Address: link.address}, nil
}
