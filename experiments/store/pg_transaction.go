package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Transactions are the parameters of postgres-long-transaction.
type Transactions struct {
	Sessions int    `json:"sessions"`
	Table    string `json:"table,omitempty"` // whose rows are locked
	Rows     int    `json:"rows,omitempty"`  // how many by each session
}

// transactions stand open and idle: each holds a snapshot, a transaction id and, where asked to, rows.
type transactions struct {
	pgServer
	with Transactions
	all  []*pgx.Conn
}

// Check asks for the primary and the right to lock rows.
func (f *transactions) Check(ctx context.Context) (map[string]string, error) {
	if err := f.primary(ctx); err != nil {
		return nil, err
	}
	if f.with.Table == "" {
		return nil, nil
	}
	return nil, f.mayOn(ctx, f.with.Table, "update", "GRANT SELECT, UPDATE ON %s TO %s")
}

// mayOn refuses a table that is not there or not ours to touch.
func (p *pgServer) mayOn(ctx context.Context, table, privilege, grant string) error {
	var there, may bool
	var user string
	const ask = `select to_regclass($1) is not null, coalesce(has_table_privilege(to_regclass($1), $2), false), current_user::text`
	if err := p.one(ctx, ask, []any{table, privilege}, &there, &may, &user); err != nil {
		return err
	}
	switch {
	case !there:
		return blocked("name it with its schema, such as public.tasks", "there is no table %s", table)
	case !may:
		return blocked(fmt.Sprintf(grant, table, user), "%s may not %s %s", user, privilege, table)
	}
	return nil
}

// Begin opens them, one by one.
func (f *transactions) Begin(ctx context.Context) error {
	limits := map[string]string{
		"idle_in_transaction_session_timeout": ms(f.spec.For.D() + serverSlack), "lock_timeout": ms(answerWithin), "statement_timeout": ms(2 * answerWithin),
	}
	for range f.with.Sessions {
		c, err := f.connect(ctx, f.spec.Name(), limits)
		if err != nil {
			return err
		}
		f.all = append(f.all, c)
		if err := f.enter(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func (f *transactions) enter(ctx context.Context, c *pgx.Conn) error {
	statements := []string{"begin isolation level repeatable read", "select pg_current_xact_id()"}
	if f.with.Rows > 0 {
		statements = append(statements, fmt.Sprintf("select 1 from %s limit %d for update skip locked", f.with.Table, f.with.Rows))
	}
	for _, sql := range statements {
		if _, err := c.Exec(ctx, sql); err != nil {
			return f.explain(err)
		}
	}
	return nil
}

// Beat is proof while the server shows them as idle in a transaction.
func (f *transactions) Beat(ctx context.Context) (Beat, error) {
	const ask = `select count(*), coalesce(max(extract(epoch from now() - xact_start)), 0)::float8, coalesce(max(age(backend_xmin)), 0)::bigint
		from pg_stat_activity where application_name = $1 and state = 'idle in transaction'`
	var n int
	var age float64
	var xmin int64
	err := f.one(ctx, ask, []any{f.spec.Name()}, &n, &age, &xmin)
	return Beat{Proven: n > 0, Facts: map[string]any{"transactions": n, "oldest_s": age, "held_back_transactions": xmin}}, err
}

// End rolls back by closing.
func (f *transactions) End(ctx context.Context) (string, error) {
	had := len(f.all) > 0
	closeAll(f.all)
	f.all = nil
	return f.endOfSessions(ctx, had)
}

// closeAll closes sessions, each in a bounded time; the server ends what they were at.
func closeAll(all []*pgx.Conn) {
	for _, c := range all {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_ = c.Close(ctx)
		cancel()
	}
}

// Present looks for our sessions.
func (f *transactions) Present(ctx context.Context) (bool, error) { return f.anySessions(ctx) }
