package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// pgConnections holds sessions.
type pgConnections struct {
	pgServer
	with Connections
	hold holder
}

// Check makes sure that the limit can be reached.
func (f *pgConnections) Check(ctx context.Context) (map[string]string, error) {
	const ask = `select current_setting('max_connections')::int, (select count(*) from pg_stat_activity where backend_type = 'client backend')::int`
	var most, now int
	if err := f.one(ctx, ask, nil, &most, &now); err != nil {
		return nil, err
	}
	if f.with.Count == 0 && most-now > f.with.AtMost {
		return nil, blocked("give `at-most` or `connections`", "the server takes %d more sessions, and at most %d are to be opened", most-now, f.with.AtMost)
	}
	return nil, nil
}

// Begin opens sessions until one is refused.
func (f *pgConnections) Begin(ctx context.Context) error {
	if _, err := f.control(ctx); err != nil { // our own way in, before all are taken
		return err
	}
	params := map[string]string{"idle_session_timeout": ms(f.spec.For.D() + serverSlack)}
	f.hold = holder{
		most: f.with.most(), open: func(ctx context.Context) (held, error) {
			c, err := f.connect(ctx, f.spec.Name(), params)
			if err != nil {
				return nil, err
			}
			return pgHeld{c}, nil
		},
		refused: func(err error) bool { return code(err) == tooManyConnections },
	}
	return f.hold.begin(ctx)
}

type pgHeld struct{ c *pgx.Conn }

func (h pgHeld) close() { closeAll([]*pgx.Conn{h.c}) }

// Beat is proof once one was refused, or all that were asked for are held.
func (f *pgConnections) Beat(ctx context.Context) (Beat, error) {
	b := f.hold.beat(f.with.Count)
	n, err := f.sessions(ctx)
	if err == nil {
		b.Facts["held"] = n // the server's own count
		b.Proven = b.Proven && n > 0
	}
	return b, nil
}

// End lets go.
func (f *pgConnections) End(ctx context.Context) (string, error) {
	had := f.hold.end() > 0
	return f.endOfSessions(ctx, had)
}

// Present looks for our sessions. A server that is full keeps us out: then they may be ours.
func (f *pgConnections) Present(ctx context.Context) (bool, error) {
	there, err := f.anySessions(ctx)
	if code(err) == tooManyConnections {
		return true, nil
	}
	return there, err
}
