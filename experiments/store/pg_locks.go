package store

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/eevans-d/simulacro/drills"
)

// Locks are the parameters of postgres-lock-storm.
type Locks struct {
	Tables []string        `json:"tables"`
	Mode   string          `json:"mode"`           // as in LOCK TABLE
	Hold   drills.Duration `json:"hold,omitempty"` // how long at a time; zero: the whole time
	Gap    drills.Duration `json:"gap,omitempty"`  // how long it lets go in between
}

// locks takes table locks that others have to wait for.
type locks struct {
	pgServer
	with  Locks
	crew  crew
	conn  *pgx.Conn
	taken atomic.Int64
	most  int // sessions seen waiting for us at once
	worst float64
}

// Check asks for the primary and the right to lock every table.
func (f *locks) Check(ctx context.Context) (map[string]string, error) {
	if err := f.primary(ctx); err != nil {
		return nil, err
	}
	for _, t := range f.with.Tables {
		if err := f.mayOn(ctx, t, "update, delete, truncate", "GRANT UPDATE ON %s TO %s"); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// Begin returns with the first lock.
func (f *locks) Begin(ctx context.Context) error {
	hold := f.hold()
	var err error
	f.conn, err = f.connect(ctx, f.spec.Name(), map[string]string{
		"lock_timeout": ms(answerWithin), "statement_timeout": ms(2 * answerWithin), "idle_in_transaction_session_timeout": ms(hold + serverSlack),
	})
	if err != nil {
		return err
	}
	if err := f.lock(ctx); err != nil {
		if code(err) == lockNotAvailable {
			return blocked("who holds it: select * from pg_locks", "a table is locked by somebody else for longer than %s", answerWithin)
		}
		return f.explain(err)
	}
	ctx = f.crew.start(ctx)
	f.crew.work.Go(func() { f.turn(ctx, hold) })
	return nil
}

// hold is how long the lock is kept at a time.
func (f *locks) hold() time.Duration {
	if f.with.Hold > 0 {
		return f.with.Hold.D()
	}
	return f.spec.For.D() + serverSlack
}

// turn lets go and takes again until ctx ends. A lock that cannot be had is tried again.
func (f *locks) turn(ctx context.Context, hold time.Duration) {
	for drills.Wait(ctx, hold) {
		if _, err := f.conn.Exec(ctx, "rollback"); err != nil || !drills.Wait(ctx, f.with.Gap.D()) {
			return
		}
		for f.lock(ctx) != nil {
			if f.conn.IsClosed() || !drills.Wait(ctx, pausePoll) {
				return
			}
		}
	}
}

// lock takes all tables, in a transaction of its own.
func (f *locks) lock(ctx context.Context) error {
	if _, err := f.conn.Exec(ctx, "begin"); err != nil {
		return err
	}
	_, err := f.conn.Exec(ctx, fmt.Sprintf("lock table %s in %s mode", strings.Join(f.with.Tables, ", "), f.with.Mode))
	if err != nil {
		_, _ = f.conn.Exec(ctx, "rollback") // a broken session shows in the next begin
		return err
	}
	f.taken.Add(1)
	return nil
}

// Beat is proof once somebody was seen waiting for us.
func (f *locks) Beat(ctx context.Context) (Beat, error) {
	const ask = `select count(*), coalesce(max(extract(epoch from now() - a.query_start)), 0)::float8 from pg_stat_activity a
		where exists (select from pg_stat_activity o where o.application_name = $1 and o.pid = any(pg_blocking_pids(a.pid)))`
	var n int
	var longest float64
	if err := f.one(ctx, ask, []any{f.spec.Name()}, &n, &longest); err != nil {
		return Beat{}, err
	}
	f.most, f.worst = max(f.most, n), max(f.worst, longest)
	return Beat{Proven: f.most > 0, Facts: map[string]any{
		"taken": f.taken.Load(), "waiting": n, "most_waiting": f.most, "longest_wait_s": f.worst, "tables": f.with.Tables,
	}}, nil
}

// End lets go by closing.
func (f *locks) End(ctx context.Context) (string, error) {
	f.crew.stop()
	had := f.conn != nil
	if had {
		closeAll([]*pgx.Conn{f.conn})
		f.conn = nil
	}
	return f.endOfSessions(ctx, had)
}

// Present looks for our session.
func (f *locks) Present(ctx context.Context) (bool, error) { return f.anySessions(ctx) }
