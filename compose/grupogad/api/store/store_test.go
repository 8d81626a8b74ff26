package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/apierr"
	"github.com/eevans-d/simulacro/compose/grupogad/api/metricstest"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"
)

func TestErrorsAreSortedIntoTheClientsAndTheDatabases(t *testing.T) {
	t.Parallel()
	pg := func(code string) error { return fmt.Errorf("insert: %w", &pgconn.PgError{Code: code}) }
	for name, tc := range map[string]struct {
		err  error
		want int
	}{
		"no rows":            {fmt.Errorf("scan: %w", pgx.ErrNoRows), http.StatusNotFound},
		"codigo exists":      {pg("23505"), http.StatusBadRequest},
		"no such user":       {pg("23503"), http.StatusBadRequest},
		"check violated":     {pg("23514"), http.StatusUnprocessableEntity},
		"too long":           {pg("22001"), http.StatusUnprocessableEntity},
		"read-only server":   {pg("25006"), http.StatusServiceUnavailable},
		"statement timeout":  {pg("57014"), http.StatusServiceUnavailable},
		"being shut down":    {pg("57P01"), http.StatusServiceUnavailable},
		"no table":           {pg("42P01"), http.StatusServiceUnavailable},
		"connection lost":    {errors.New("unexpected EOF"), http.StatusServiceUnavailable},
		"our own, passed on": {apierr.New(http.StatusTeapot, "x"), http.StatusTeapot},
		"deadline":           {context.DeadlineExceeded, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var e *apierr.Error
			if err := sortError(tc.err); !errors.As(err, &e) || e.Status != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("sortError = %v, want a %d that wraps the cause", err, tc.want)
			}
		})
	}
	if sortError(nil) != nil {
		t.Error("nil became an error")
	}
}

func TestUnitsStandAtTheSamePlacesAroundBuenosAires(t *testing.T) {
	t.Parallel()
	a, b := unitPositions(), unitPositions()
	seen := map[[2]float64]bool{}
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("unit %d stands at %v and at %v", i, a[i], b[i])
		}
		if math.Abs(a[i][0]+34.6037) > 0.18 || math.Abs(a[i][1]+58.3816) > 0.22 {
			t.Errorf("unit %d stands at %v", i, a[i])
		}
		seen[a[i]] = true
	}
	if len(seen) != Units {
		t.Errorf("%d different places, want %d", len(seen), Units)
	}
	// The first place is fixed, so that a changed generator cannot go unnoticed: drills expect a known nearest unit.
	if got := fmt.Sprintf("%.6f %.6f", a[0][0], a[0][1]); got != firstPlace {
		t.Errorf("the first unit stands at %s, want %s", got, firstPlace)
	}
}

const firstPlace = "-34.476366 -58.430608"

// Nothing listens there: what a query costs and says without a database.
func TestADatabaseThatIsNotThereIsA503InTime(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	s, err := New(t.Context(), Options{URL: "postgres://app:secret-word@127.0.0.1:1/gad", Timeout: time.Second, MaxConns: 2, Register: reg})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	began := time.Now()
	_, err = s.Task(t.Context(), 1)
	var e *apierr.Error
	if !errors.As(err, &e) || e.Status != http.StatusServiceUnavailable || strings.Contains(err.Error(), "secret-word") {
		t.Errorf("Task = %v, want a 503 without the password", err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	if got := metricstest.Value(t, reg, "query_duration_seconds", "query=task_get"); got != 1 {
		t.Errorf("%v observations, want 1", got)
	}
	if err := s.Migrate(t.Context(), Admin{}); err == nil {
		t.Error("Migrate succeeded without a database")
	}
}

func TestABadURLIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	if _, err := New(t.Context(), Options{URL: "postgres://%zz", Register: prometheus.NewRegistry()}); err == nil || !strings.Contains(err.Error(), "DATABASE_URL") {
		t.Errorf("New = %v", err)
	}
}
