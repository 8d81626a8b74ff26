package verifier

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func (r *redisStore) openRegisters(ctx context.Context, _ bool) error { return r.open(ctx) }

// operate reads or writes one register: GET, or SET with the expiry of every key of ours.
func (r *redisStore) operate(ctx context.Context, o registerOp) result {
	link, _, err := r.pool.get(ctx)
	if err != nil {
		return beforeSending(redisError(err, true))
	}
	key := r.prefix + "r" + itoaInt(o.register)
	command := []string{"GET", key}
	if o.write {
		command = []string{"SET", key, itoa(o.value()), "PX", canaryExpiryMS}
	}
	server := link.c.RemoteAddr().String()
	err = r.pool.use(ctx, patience(r.spec.Timeout.D()), link, func(ctx context.Context, link *respConn) error {
		if d, ok := ctx.Deadline(); ok {
			_ = link.c.SetDeadline(d)
		}
		replies, err := link.do(command)
		if err == nil && !o.write {
			answered(r.book, o, replies[0])
		}
		return err
	}, r.usable)
	var reply replyError
	switch {
	case err == nil:
		return result{Good, server}
	case errors.As(err, &reply):
		return redisReply(reply)
	}
	return result{Timeout, transport(err, true).text}
}

// openRegisters makes the table, once, and pins the client where asked to.
func (p *pgStore) openRegisters(ctx context.Context, first bool) error {
	link, err := dialPG(ctx, p.config)
	if err != nil {
		return err
	}
	defer link.drop()
	if first {
		if err := p.makeTable(ctx, link, "k int primary key, v bigint not null"); err != nil {
			return err
		}
	}
	if p.spec.Connection == "pinned" {
		return p.pin(link.address)
	}
	return nil
}

// operate reads or writes one register, each a transaction of its own.
func (p *pgStore) operate(ctx context.Context, o registerOp) result {
	link, _, err := p.pool.get(ctx)
	if err != nil {
		return beforeSending(postgres(err, true))
	}
	server := link.server
	err = p.pool.use(ctx, patience(p.spec.Timeout.D()), link, func(ctx context.Context, link *pgLink) error {
		if o.write {
			_, err := link.Exec(ctx, "insert into "+p.table+" (k, v) values ($1, $2) on conflict (k) do update set v = excluded.v", o.register, o.value())
			return err
		}
		var v int64
		err := link.QueryRow(ctx, "select v from "+p.table+" where k = $1", o.register).Scan(&v)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			answered(p.book, o, nil)
			return nil
		case err == nil:
			answered(p.book, o, itoa(v))
		}
		return err
	}, p.usable)
	var reply *pgconn.PgError
	switch {
	case err == nil:
		return result{Good, server}
	case errors.As(err, &reply) && reply.Severity == "ERROR":
		return postgres(err, true)
	}
	return result{Timeout, transport(err, true).text}
}
