package store

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed schema.sql
var schemaSQL string

// schemaLock keeps two instances that start together from creating the same tables at once.
const schemaLock = 0x6761645f617069 // "gad_api"

// Units is how many seeded units there are.
const Units = 500

// Admin is the one account with a password.
type Admin struct{ Email, PasswordHash string }

// Migrate creates what is missing and seeds it; it can be repeated at any time. It does not create the
// PostGIS extension, which needs a superuser.
func (s *Store) Migrate(ctx context.Context, admin Admin) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		steps := []func() error{
			func() error { return exec(ctx, tx, "SET LOCAL statement_timeout = 0") }, // the lock may be held a while
			func() error { return exec(ctx, tx, "SELECT pg_advisory_xact_lock($1)", schemaLock) },
			func() error { return prerequisites(ctx, tx) },
			func() error { return exec(ctx, tx, schemaSQL) },
			func() error { return seedAdmin(ctx, tx, admin) },
			func() error { return seedUnits(ctx, tx) },
			func() error { return exec(ctx, tx, "ANALYZE efectivos") }, // without it the planner ignores the GIST index
		}
		for _, step := range steps {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
}

func exec(ctx context.Context, tx pgx.Tx, sql string, args ...any) error {
	if _, err := tx.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("%.40s: %w", sql, err)
	}
	return nil
}

// prerequisites looks before it creates: CREATE SCHEMA asks for a right on the database that the owner
// of an existing schema need not have.
func prerequisites(ctx context.Context, tx pgx.Tx) error {
	var schema, postgis bool
	row := tx.QueryRow(ctx, "SELECT to_regnamespace('gad') IS NOT NULL, EXISTS (SELECT FROM pg_extension WHERE extname = 'postgis')")
	if err := row.Scan(&schema, &postgis); err != nil {
		return fmt.Errorf("look for schema and PostGIS: %w", err)
	}
	if !postgis {
		return errors.New("the database has no PostGIS: a superuser must run CREATE EXTENSION postgis")
	}
	if schema {
		return nil
	}
	return exec(ctx, tx, "CREATE SCHEMA gad")
}

// seedAdmin also follows a changed password: the secrets file decides, not the first start.
func seedAdmin(ctx context.Context, tx pgx.Tx, a Admin) error {
	return exec(ctx, tx, `INSERT INTO usuarios (email, nombre, apellido, telegram_id, nivel, hashed_password)
		VALUES ($1, 'Admin', 'GAD', 1, 'LEVEL_3', $2)
		ON CONFLICT (email) DO UPDATE SET hashed_password = EXCLUDED.hashed_password`, a.Email, a.PasswordHash)
}

// seedUnits puts the units around Buenos Aires, always at the same places, so that the nearest unit to
// a point is the same in every run.
func seedUnits(ctx context.Context, tx pgx.Tx) error {
	var lat, lng []float64
	for _, p := range unitPositions() {
		lat, lng = append(lat, p[0]), append(lng, p[1])
	}
	return exec(ctx, tx, `WITH pos AS (
			SELECT n, lat, lng FROM unnest($1::float8[], $2::float8[]) WITH ORDINALITY AS t(lat, lng, n)
		), u AS (
			INSERT INTO usuarios (email, nombre, apellido, telegram_id)
			SELECT format('unidad-%s@gad.example', lpad(n::text, 3, '0')), 'Unidad', n::text, 100000 + n FROM pos
			ON CONFLICT (email) DO NOTHING RETURNING id, telegram_id
		)
		INSERT INTO efectivos (usuario_id, codigo_interno, unidad, geom)
		SELECT u.id, format('EF-%s', lpad(pos.n::text, 3, '0')), format('Comisaria %s', pos.n % 15 + 1),
			ST_SetSRID(ST_MakePoint(pos.lng, pos.lat), 4326)::geography
		FROM u JOIN pos ON u.telegram_id = 100000 + pos.n`, lat, lng)
}

// unitPositions gives latitude and longitude within about 20 km of the Obelisco.
func unitPositions() [][2]float64 {
	r := rand.New(rand.NewPCG(1816, 7)) //nolint:gosec // the point is that it repeats
	out := make([][2]float64, Units)
	for i := range out {
		out[i] = [2]float64{-34.6037 + (r.Float64()-0.5)*0.36, -58.3816 + (r.Float64()-0.5)*0.44}
	}
	return out
}
