package store

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/eevans-d/simulacro/drills"
)

// Queries are the parameters of postgres-slow-queries.
type Queries struct {
	Sessions int             `json:"sessions"`
	Work     string          `json:"work"`            // cpu, sleep or query
	Query    string          `json:"query,omitempty"` // for work query; it runs read-only
	Each     drills.Duration `json:"each"`            // how long one may take: then the server cancels it
	Gap      drills.Duration `json:"gap,omitempty"`   // between two of one session
}

// cpuWork counts pairs: it needs neither tables nor memory nor disk, and does not end before the server cancels it.
const cpuWork = `select sum(a.i::float8 * b.i) from (select generate_series(1, 1000000000) i) a, (select generate_series(1, 1000) i) b`

// slowQueries keeps sessions busy with statements that take long.
type slowQueries struct {
	pgServer
	with     Queries
	crew     crew
	all      []*pgx.Conn
	finished atomic.Int64
	most     int
	longest  float64
}

// Check tries the query's syntax and permissions without running it.
func (f *slowQueries) Check(ctx context.Context) (map[string]string, error) {
	c, err := f.control(ctx)
	if err != nil || f.with.Work != "query" {
		return nil, err
	}
	tx, err := c.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	_, err = tx.Exec(ctx, "explain "+f.with.Query)
	return nil, f.explain(err)
}

func (f *slowQueries) sql() string {
	switch f.with.Work {
	case "sleep":
		return "select pg_sleep(" + seconds(f.with.Each.D()) + ")"
	case "query":
		return f.with.Query
	}
	return cpuWork
}

// Begin opens the sessions and sets them to work.
func (f *slowQueries) Begin(ctx context.Context) error {
	// A sleep ends by itself, a little before it would be cancelled.
	limits := map[string]string{"default_transaction_read_only": "on", "statement_timeout": ms(f.with.Each.D() + 100*time.Millisecond), "lock_timeout": ms(answerWithin)}
	for range f.with.Sessions {
		c, err := f.connect(ctx, f.spec.Name(), limits)
		if err != nil {
			return err
		}
		f.all = append(f.all, c)
	}
	ctx = f.crew.start(ctx)
	for _, c := range f.all {
		f.crew.work.Go(func() {
			for {
				_, err := c.Exec(ctx, f.sql())
				if err != nil && code(err) != queryCanceled || !drills.Wait(ctx, f.with.Gap.D()) {
					return
				}
				f.finished.Add(1)
			}
		})
	}
	return nil
}

// Beat is proof once the server shows one that has run for half of its time, or for a second.
func (f *slowQueries) Beat(ctx context.Context) (Beat, error) {
	const ask = `select count(*), coalesce(max(extract(epoch from clock_timestamp() - query_start)), 0)::float8
		from pg_stat_activity where application_name = $1 and state = 'active'`
	var n int
	var longest float64
	if err := f.one(ctx, ask, []any{f.spec.Name()}, &n, &longest); err != nil {
		return Beat{}, err
	}
	f.most, f.longest = max(f.most, n), max(f.longest, longest)
	return Beat{Proven: f.longest >= min(f.with.Each.D().Seconds()/2, 1), Facts: map[string]any{
		"active": n, "most_active": f.most, "longest_s": f.longest, "finished": f.finished.Load(),
	}}, nil
}

// End closes the sessions and has the server end what they were at.
func (f *slowQueries) End(ctx context.Context) (string, error) {
	had := len(f.all) > 0
	if had {
		if _, err := f.endSessions(ctx); err != nil && !gone(err) {
			return "", err
		}
	}
	f.crew.stop()
	closeAll(f.all)
	f.all = nil
	return f.endOfSessions(ctx, had)
}

// Present looks for our sessions.
func (f *slowQueries) Present(ctx context.Context) (bool, error) { return f.anySessions(ctx) }
