package store

import (
	"context"
	"net/http"

	"github.com/eevans-d/simulacro/compose/grupogad/api/apierr"
)

// User is what login needs.
type User struct {
	ID           int
	Nivel        string
	PasswordHash string
	Verificado   bool
}

// UserByEmail finds a user; a missing one is a 404.
func (s *Store) UserByEmail(ctx context.Context, email string) (User, error) {
	var u User
	err := s.query(ctx, "user_login", func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, "SELECT id, nivel, hashed_password, verificado FROM usuarios WHERE email = $1", email).
			Scan(&u.ID, &u.Nivel, &u.PasswordHash, &u.Verificado)
	})
	return u, err
}

// Nearest is the unit that an emergency is given to.
type Nearest struct {
	UnitID    int     `json:"assigned_efectivo_id"`
	DistanceM float64 `json:"distance_m"`
}

// NearestUnit asks PostGIS for the nearest unit by the GIST index; no unit at all is a 404.
func (s *Store) NearestUnit(ctx context.Context, lat, lng float64) (Nearest, error) {
	var n Nearest
	err := s.query(ctx, "nearest_unit", func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, `WITH here AS (SELECT ST_SetSRID(ST_MakePoint($1, $2), 4326)::geography AS p)
			SELECT e.id, ST_Distance(e.geom, here.p) FROM efectivos e, here
			WHERE e.geom IS NOT NULL AND e.deleted_at IS NULL ORDER BY e.geom <-> here.p LIMIT 1`, lng, lat).
			Scan(&n.UnitID, &n.DistanceM)
	})
	var e *apierr.Error
	if asNotFound(err, &e) {
		e.Detail = "no unit with a position"
	}
	return n, err
}

// UserStats counts a user's tasks of the last days.
type UserStats struct {
	UserID     int `json:"user_id"`
	Days       int `json:"days"`
	Total      int `json:"total"`
	Open       int `json:"open"`
	Completed  int `json:"completed"`
	CreatedByU int `json:"created"`
}

// Stats counts the tasks delegated to and created by a user; an unknown user is a 404.
func (s *Store) Stats(ctx context.Context, userID, days int) (UserStats, error) {
	st := UserStats{UserID: userID, Days: days}
	var exists bool
	err := s.query(ctx, "stats_user", func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM usuarios WHERE id = $1),
				count(*) FILTER (WHERE delegado_usuario_id = $1),
				count(*) FILTER (WHERE delegado_usuario_id = $1 AND estado NOT IN ('finalizada', 'cancelada')),
				count(*) FILTER (WHERE delegado_usuario_id = $1 AND estado = 'finalizada'),
				count(*) FILTER (WHERE creado_por_usuario_id = $1)
			FROM tareas WHERE created_at > now() - make_interval(days => $2)`, userID, days).
			Scan(&exists, &st.Total, &st.Open, &st.Completed, &st.CreatedByU)
	})
	if err == nil && !exists {
		err = apierr.New(http.StatusNotFound, "no user %d", userID)
	}
	return st, err
}
