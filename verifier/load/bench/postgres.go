package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

func postgresGoals() []goal {
	return []goal{{"postgres-geo", "PostgreSQL: nearest and geofence queries in 50 sessions at once", "at least 50 sessions, every query answered by an index, p95 under 500 ms, p99 under 1 s", postgresGeo}}
}

const postgresServer = `b=/usr/lib/postgresql/15/bin; d=/tmp/bench
$b/initdb -D $d -A trust -U postgres --no-sync >/dev/null && exec $b/postgres -D $d -p "$PORT" -h 127.0.0.1 -k /tmp -c max_connections=120 -c fsync=off`

// geoTable is units in a city and a square of places around it that are asked for.
const geoTable = `CREATE EXTENSION postgis;
CREATE TABLE units (id serial PRIMARY KEY, geom geography(POINT, 4326));
INSERT INTO units (geom) SELECT ST_SetSRID(ST_MakePoint(-58.6 + 0.44 * random(), -34.78 + 0.36 * random()), 4326)::geography FROM generate_series(1, 100000);
CREATE INDEX units_geom ON units USING gist (geom);
ANALYZE units;`

const (
	geoHere     = "ST_SetSRID(ST_MakePoint($1::text::float8, $2::text::float8), 4326)::geography"
	geoNearest  = "SELECT id FROM units ORDER BY geom <-> " + geoHere + " LIMIT 5"
	geoGeofence = "SELECT count(*) FROM units WHERE ST_DWithin(geom, " + geoHere + ", 500)"
)

func postgresGeo(ctx context.Context, e env, t *table) (err error) {
	server, err := e.container(ctx, "gad/patroni:dev", "postgres", postgresServer, "bash", "-c", `psql -h /tmp -p "$PORT" -U postgres -c "select 1"`)
	if err != nil {
		return err
	}
	defer func() {
		if rerr := server.remove(ctx); err == nil {
			err = rerr
		}
	}()
	if _, err := server.psql(ctx, geoTable); err != nil {
		return err
	}
	indexed, err := server.indexed(ctx)
	if err != nil {
		return err
	}
	length := 10 * time.Second
	if e.short {
		length = 3 * time.Second
	}
	place := []string{"{float:-58.6:-58.16}", "{float:-34.78:-34.42}"}
	f := drills.LoadFlow{Name: "postgres", Rate: 300, Connections: 50, Timeout: drills.Duration(5 * time.Second), Postgres: &drills.PostgresLoad{
		DSN: fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", server.port),
		Statements: []drills.Statement{
			{Name: "nearest", SQL: geoNearest, Args: place, Rows: 5},
			{Name: "geofence", SQL: geoGeofence, Args: place, Rows: 1},
		},
	}}
	t.columns = []string{"generator", "sessions that answered", "asked for a second", "answered well a second", "not answered well", "CPU s per 100k", "p50", "p95", "p99", "RSS MiB"}
	m, ready, u, err := e.flow(ctx, f, drills.Duration(5*time.Second), drills.Duration(length)) // a session's first query loads PostGIS
	if err != nil {
		return err
	}
	bad := m.Due - m.Count.Good
	met := ready.Connected >= 50 && bad == 0 && m.P95.D() < 500*time.Millisecond && m.P99.D() < time.Second && indexed
	t.judge(met, "%d sessions, %.0f queries a second, %d of %d not answered well, p95 %s, p99 %s, index used: %t", ready.Connected, m.Achieved, bad, m.Due, millis(m.P95.D()), millis(m.P99.D()), indexed)
	t.row("simulacro", ready.Connected, f.Rate, m.Achieved, bad, perHundredThousand(u, m.Due), m.P50.D(), m.P95.D(), m.P99.D(), float64(u.RSS)/mib)
	if err := server.pgbench(ctx, t, length); err != nil {
		return err
	}
	t.note("100,000 places. Ours asks on a schedule and counts from when a query was due; pgbench is a closed loop of 50 clients without a rate: 50 queries are under way all the time, and its mean latency is what that costs.")
	return nil
}

func (c *container) psql(ctx context.Context, sql string) (string, error) {
	return c.exec(ctx, "psql", "-h", "/tmp", "-p", strconv.Itoa(c.port), "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-qAtc", sql)
}

// indexed tells whether the planner answers both queries from the index.
func (c *container) indexed(ctx context.Context) (bool, error) {
	for _, sql := range []string{geoNearest, geoGeofence} {
		sql = strings.NewReplacer("$1", "'-58.4'", "$2", "'-34.6'").Replace(sql)
		plan, err := c.psql(ctx, "EXPLAIN "+sql)
		if err != nil {
			return false, err
		}
		if !strings.Contains(plan, "units_geom") {
			return false, nil
		}
	}
	return true, nil
}

// pgbench is the comparison: C, a closed loop.
func (c *container) pgbench(ctx context.Context, t *table, length time.Duration) error {
	script := `\set lng random(-58600000, -58160000)
\set lat random(-34780000, -34420000)
SELECT id FROM units ORDER BY geom <-> ST_SetSRID(ST_MakePoint(:lng / 1000000.0, :lat / 1000000.0), 4326)::geography LIMIT 5;
SELECT count(*) FROM units WHERE ST_DWithin(geom, ST_SetSRID(ST_MakePoint(:lng / 1000000.0, :lat / 1000000.0), 4326)::geography, 500);`
	if _, err := c.exec(ctx, "bash", "-c", "cat >/tmp/geo.sql <<'EOF'\n"+script+"\nEOF"); err != nil {
		return err
	}
	out, u, err := c.tool(ctx, "/usr/lib/postgresql/15/bin/pgbench", "-n", "-h", "127.0.0.1", "-p", strconv.Itoa(c.port), "-U", "postgres",
		"-c", "50", "-T", strconv.Itoa(int(max(length, 5*time.Second).Seconds())), "-M", "prepared", "-f", "/tmp/geo.sql", "postgres")
	if err != nil {
		return err
	}
	find := func(pattern string) (float64, error) {
		m := regexp.MustCompile(pattern).FindStringSubmatch(out)
		if m == nil {
			return 0, errors.New("pgbench said something else than expected: " + out)
		}
		return strconv.ParseFloat(m[1], 64)
	}
	if strings.Contains(out, "actually processed: 0") {
		t.note("pgbench finished nothing in its time.")
		return nil
	}
	tps, err1 := find(`tps = ([0-9.]+)`)
	n, err2 := find(`actually processed: ([0-9]+)`)
	mean, err3 := find(`latency average = ([0-9.]+) ms`)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	t.row("pgbench (closed loop)", 50, "no rate", 2*tps, 0, perHundredThousand(u, int(2*n)), fmt.Sprintf("mean %s for both", figure(mean)+" ms"), "not known", "not known", float64(u.RSS)/mib)
	return nil
}
